"""The one comparison of the tests: dtype first, then units in the last place."""

from __future__ import annotations

import dataclasses

import keras
import ml_dtypes
import numpy as np


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """What a dtype can keep.

    Attributes:
        mantissa: Stored bits of the significand.
        lowest: Exponent of the smallest normal number.
        units: Units in the last place that a result may be off by, where a test
            names no bound of its own.
    """

    mantissa: int
    lowest: int
    units: float


TOLERANCES = {
    "float16": Tolerance(10, -14, 2),
    "bfloat16": Tolerance(7, -126, 2),
    "float32": Tolerance(23, -126, 16),  # 16 units: 1e-6 to 2e-6
    "float64": Tolerance(52, -1022, 16),
}


def numpy_dtype(dtype: str) -> np.dtype:
    """The NumPy dtype of a name, bfloat16 among them."""
    return np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


def rounded(values, dtype: str) -> np.ndarray:
    """Numbers of the host rounded once; beyond the format infinite, silently."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(values, "float64").astype(numpy_dtype(dtype))


def host(x) -> np.ndarray:
    """A tensor, a variable or an array as an array; bfloat16 scalars too."""
    return np.asarray(x.numpy() if hasattr(x, "numpy") else x)


def wide(x) -> np.ndarray:
    """The same in float64."""
    return host(x).astype("float64")


def unit(magnitude, dtype: str) -> np.ndarray:
    """The unit in the last place of numbers of that magnitude, in float64."""
    tolerance = TOLERANCES[dtype]
    magnitude = np.abs(np.asarray(magnitude, "float64"))
    exponent = np.where(magnitude == 0, tolerance.lowest, np.frexp(magnitude)[1] - 1)
    exponent = np.maximum(exponent, tolerance.lowest)
    return np.ldexp(1.0, exponent - tolerance.mantissa)


def units_off(actual, expected, dtype: str, scale=None) -> np.ndarray:
    """How many units in the last place of `scale` lie between two arrays.

    Args:
        actual: Tensor, variable or array.
        expected: float64; rounded to the dtype it may be infinite.
        dtype: What `actual` must be: a wider result is as wrong as a bad one.
        scale: Magnitude that the units are those of; |expected| by default.
    """
    found = keras.backend.standardize_dtype(actual.dtype)
    assert found == dtype, f"{found} instead of {dtype}"
    actual = wide(actual)
    expected = np.asarray(expected, "float64")
    assert actual.shape == expected.shape, f"{actual.shape} not {expected.shape}"
    nearest = rounded(expected, dtype).astype("float64")
    scale = np.broadcast_to(expected if scale is None else scale, expected.shape)
    special = ~(np.isfinite(actual) & np.isfinite(nearest))
    same = (actual == nearest) | (np.isnan(actual) & np.isnan(nearest))
    gap = np.where(special, 0, actual) - np.where(special, 0, expected)
    off = np.abs(gap) / unit(np.where(special, 1, scale), dtype)
    return np.where(special, np.where(same, 0, np.inf), off)


def assert_close(actual, expected, dtype: str, *, units=None, scale=None) -> None:
    """Asserts the dtype, the shape and every value of a result.

    Args:
        actual: Tensor, variable or array.
        expected: float64, of the same shape.
        dtype: Name of the dtype that `actual` must have.
        units: Units in the last place that it may be off by; the dtype's own
            where left out.
        scale: Magnitude that the units are those of, where results cancel:
            |expected| by default.
    """
    units = TOLERANCES[dtype].units if units is None else units
    off = units_off(actual, expected, dtype, scale)
    if off.size and off.max() > units:
        worst = np.unravel_index(np.argmax(off), off.shape)
        found = host(actual)[worst]
        raise AssertionError(
            f"{off.max():.4g} units in the last place off, {units} allowed: "
            f"{found!r} for {np.asarray(expected)[worst]!r} at {worst}"
        )
