"""One row of the table, and how two results are compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

LARGEST = 65504.0
_MANTISSA, _LOWEST = 10, -14  # of float16


@dataclasses.dataclass(frozen=True)
class Found:
    """What one measurement gave.

    Attributes:
        error: The largest error, in the unit of its row; infinite or NaN where a
            result was.
        wide: Tensors of what was measured that are wider than 16 bits.
    """

    error: float
    wide: int = 0


Measure = Callable[[bool], Found]


@dataclasses.dataclass(frozen=True)
class Row:
    """One part on stated inputs.

    Attributes:
        part: What is measured.
        inputs: What it is tried on.
        unit: What the errors are counted in.
        bound: What the error keeps, graph or XLA.
        ours: Called with whether XLA compiles it.
        stock: The same of stock Keras in float16; None where it has no equal.
        tested: The file of the tests that hold the bound.
    """

    part: str
    inputs: str
    unit: str
    bound: float
    ours: Measure
    stock: Measure | None
    tested: str

    def holds(self, found: Found) -> bool:
        """Whether a measurement of ours keeps the bound, and 16 bits."""
        return bool(found.error <= self.bound) and found.wide == 0


def wide(x: Any) -> np.ndarray:
    """An array in float64."""
    return np.asarray(x, "float64")


def last_place(x: Any) -> np.ndarray:
    """The unit in the last place of float16 numbers of that magnitude, in float64."""
    x = np.abs(wide(x))
    exponent = np.where(x == 0, _LOWEST, np.frexp(x)[1] - 1)
    return np.ldexp(1.0, np.maximum(exponent, _LOWEST) - _MANTISSA)


def units_off(found: Any, exact: Any, scale: Any = None) -> float:
    """The largest error in units in the last place of float16.

    Args:
        found: float16 array.
        exact: float64 array; what is beyond float16 must be found infinite.
        scale: Magnitude that the units are those of: `exact` by default.
    """
    found, exact = wide(found), wide(exact)
    scale = np.broadcast_to(exact if scale is None else scale, exact.shape)
    beyond = np.abs(exact) >= LARGEST + 16
    gap = np.abs(np.where(beyond, 0.0, found) - np.where(beyond, 0.0, exact))
    off = gap / last_place(np.where(beyond, 1.0, scale))
    off = np.where(beyond & (found != np.copysign(np.inf, exact)), np.inf, off)
    return worst(off)


def share_off(found: Any, exact: Any) -> float:
    """The largest error as a share of the exact number; of 0, as it is."""
    found, exact = wide(found), wide(exact)
    return worst(np.abs(found - exact) / np.where(exact == 0, 1.0, np.abs(exact)))


def level_off(found: Any, exact: Any, floor: float = 0.0) -> float:
    """The largest error in 2**-11 of the larger of a number and the tensor's rms.

    Half the smallest float16 is free: rounding alone may cost it.

    Args:
        found: float16 array.
        exact: float64 array of the same shape.
        floor: What an rms of next to nothing counts as: gradients that are 0 by
            symmetry.
    """
    found, exact = wide(found), wide(exact)
    level = rms(exact)
    scale = np.maximum(np.abs(exact), level if level > 1e-9 else floor)
    gap = np.maximum(np.abs(found - exact) - 2.0**-25, 0)
    return worst(gap / np.maximum(scale, 1e-300) * 2.0**11)


def rms(x: np.ndarray) -> float:
    """The root of the mean of squares; 0 of nothing."""
    return float(np.sqrt(np.mean(np.square(x)))) if np.size(x) else 0.0


def worst(errors: Any) -> float:
    """The largest of an array or list of errors; infinite where one is not a number."""
    errors = np.atleast_1d(wide(errors))
    if not errors.size:
        return 0.0
    return float(np.max(np.where(np.isnan(errors), np.inf, errors)))


def found_worst(errors: Iterable[float], *functions: Any) -> Found:
    """The largest of some errors, and how wide the functions that gave them are."""
    return Found(worst(list(errors)), sum(each.wide for each in functions))
