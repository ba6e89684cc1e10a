"""Weights carried from a layer to its twin, cast to its dtypes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras16.backend import layer as private
from keras16.convert._report import Conversion, Rounded
from keras16.errors import UserError
from keras16.layers.batch_normalization import BatchNormalization
from keras16.numerics import averages, bits

LARGEST, SMALLEST_NORMAL = 65504.0, 2.0**-14

Layer = Any  # of keras.layers.Layer, whose subclasses have what is asked for here
Pair = tuple[Any, np.ndarray]


def transfer(pairs: Iterable[tuple[Layer, Layer]], report: Conversion) -> None:
    """Gives layers the weights of their twins.

    Args:
        pairs: (from, to) of every layer with weights.
        report: Is told the weights with values too small for float16.

    Raises:
        UserError: Finite weights are beyond float16's range, or two layers don't
            have the same weights.
    """
    too_large: list[str] = []
    for source, target in pairs:
        for variable, value in _values(source, target):
            too_large += _too_large(variable, value)
            variable.assign(_rounded(value, variable.dtype))
            _note(variable, value, report)
        _finish(source, target)
    if too_large:
        raise UserError(
            f"{'; '.join(too_large)}, beyond float16's 65,504: convert to bf16 (train "
            "it with --precision bf16), or scale the weights down."
        )


def _values(source: Layer, target: Layer) -> Iterator[Pair]:
    """Each variable of the target, inner layers included, and its value."""
    if isinstance(target, keras.layers.BatchNormalization):
        yield from _batch_normalization(source, target)
        return
    if isinstance(target, keras.layers.Normalization):
        yield from _normalization(source, target)
        return
    inside = list(zip(private.inner(source), private.inner(target), strict=True))
    held = [[id(v) for one, _ in inside for v in one.variables]]
    held += [[id(v) for _, one in inside for v in one.variables]]
    own = [v for v in source.variables if id(v) not in held[0]]
    new = [v for v in target.variables if id(v) not in held[1]]
    if [tuple(v.shape) for v in own] != [tuple(v.shape) for v in new]:
        raise UserError(
            f"layer {source.name!r} has other weights in the new precision: build the "
            "model in FILE.py:function instead."
        )
    for old, variable in zip(own, new, strict=True):
        yield variable, ops.convert_to_numpy(old)
    for one, other in inside:
        yield from _values(one, other)


def _batch_normalization(source: Layer, target: Layer) -> Iterator[Pair]:
    """The weights of a batch normalization, its statistics in either form.

    keras16's keeps the root of the variance, and of either statistic what 16 bits
    leave out of it.
    """
    exact = _statistics(source)
    is_narrow = isinstance(target, BatchNormalization) and target.built
    if is_narrow and hasattr(target, "moving_deviation"):
        dtype = target.variable_dtype
        for name in ("moving_mean", "moving_deviation"):
            parts = averages.split(exact[name], dtype)
            exact[name], exact[f"{name}_fraction"] = parts
    for variable in target.variables:
        yield variable, exact[variable.name]


def _statistics(layer: Layer) -> dict[str, np.ndarray]:
    """The weights of a batch normalization by name, those of both forms."""
    values = {v.name: ops.convert_to_numpy(v) for v in layer.variables}
    for name in ("moving_mean", "moving_deviation"):
        if f"{name}_fraction" in values:
            values[name] = averages.joined(values[name], values[f"{name}_fraction"])
    if "moving_variance" in values:
        root = np.sqrt(values["moving_variance"].astype("float64"))
        values["moving_deviation"] = root
    elif "moving_deviation" in values:
        values["moving_variance"] = values["moving_deviation"].astype("float64") ** 2
    return values


def _normalization(source: Layer, target: Layer) -> Iterator[Pair]:
    values = {v.name: ops.convert_to_numpy(v) for v in source.variables}
    if "deviation" in values:
        exact = {k: v.astype("float64") for k, v in values.items()}
        values["mean"] = exact["mean"] + exact["mean_residual"]
        values["variance"] = exact["deviation"] ** 2
    if bits.is_16_bit(target.compute_dtype):
        values.pop("deviation", None)
        values = target.values_from(values)
    for variable in target.variables:
        if variable.name in values:
            yield variable, values[variable.name]


def _finish(source: Layer, target: Layer) -> None:
    """What some layers keep beside their variables."""
    if hasattr(target, "finalize_state"):
        target.finalize_state()
    if hasattr(source, "get_vocabulary") and hasattr(target, "set_vocabulary"):
        target.set_vocabulary(source.get_vocabulary(include_special_tokens=False))


def _rounded(value: np.ndarray, dtype: str) -> np.ndarray:
    """Rounded once: on the way from float64 a backend may round twice."""
    with np.errstate(over="ignore"):
        return bits.host_cast(value, dtype) if bits.is_16_bit(dtype) else value


def _too_large(variable: Any, value: np.ndarray) -> list[str]:
    if str(variable.dtype) != "float16" or not value.size:
        return []
    largest = float(np.max(np.abs(value.astype("float64"))))
    if not np.isfinite(largest) or largest <= LARGEST:
        return []
    return [f"weight {variable.path} reaches {largest:.4g}"]


def _note(variable: Any, value: np.ndarray, report: Conversion) -> None:
    """Counts the values that are 0 or subnormal in float16 and were not before."""
    if str(variable.dtype) != "float16" or value.dtype == np.float16:
        return
    size = np.abs(value.astype("float64"))
    vanished = int(np.sum((size > 0) & (size <= 2.0**-25)))
    subnormal = int(np.sum((size > 2.0**-25) & (size < SMALLEST_NORMAL)))
    if vanished or subnormal:
        weight = Rounded(variable.path, int(value.size), vanished, subnormal)
        report.rounded.append(weight)
