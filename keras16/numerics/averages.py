"""Moving averages in 16 bits that do not stall.

An average held in float16 stops moving once its increment is below half a unit in
its last place: at momentum 0.99 that is 5 % short of the goal. Here each average
has 15 more bits, kept as an integer: how far the exact value lies from the rounded
one, in units of 2**-15 of its last place.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from keras16 import backend
from keras16.numerics import bits, rounding

FRACTION_BITS = 15

Increment = Callable[[Any, Any, Any], Any]


def move(
    average: Any,
    fraction: Any,
    target: Any,
    increment: Increment,
    beyond: Any = 0,
) -> tuple[Any, Any]:
    """Moves an average towards a target.

    Args:
        average: 16-bit tensor.
        fraction: int16 tensor of the same shape, 0 at the start.
        target: 16-bit tensor of the same shape.
        increment: `towards(share)`, `root_towards(share)` or `both_towards(share)`.
            Called with (average, residual, target), all scaled by one power of two
            that brings the larger to about 1; returns what to add.
        beyond: What the target was short of before it was rounded.

    Returns:
        The new (average, fraction).
    """
    return backend.one_pass(_moved, increment)(average, fraction, target, beyond)


def _moved(
    increment: Increment, average: Any, fraction: Any, target: Any, beyond: Any
) -> tuple[Any, Any]:
    scale = bits.scale_to_one(ops.maximum(ops.abs(average), ops.abs(target)))
    residual = scaled_residual(average, fraction, scale)
    scaled = average * scale
    step = residual + increment(scaled, residual - beyond * scale, target * scale)
    total, error = rounding.two_sum(scaled, step)
    moved = bits.rounded(total / scale)
    # What subnormal averages lose when they are scaled back.
    error = error + bits.rounded(total - moved * scale)
    left = bits.times_power_of_two(error, -_fraction_place(moved, scale))
    limit = float(2**FRACTION_BITS - 1)
    return moved, ops.cast(ops.round(ops.clip(left, -limit, limit)), "int16")


@functools.cache
def towards(share: float) -> Increment:
    """The increment of average += share (target - average)."""
    return lambda average, residual, target: share * ((target - average) - residual)


@functools.cache
def root_towards(share: float) -> Increment:
    """The same for an average of squares that is held as its root."""

    def increment(root, residual, target):
        gap = ((target - root) - residual) * (target + root) * share
        # Not as root squared plus the gap: that cancels where the root falls fast.
        moved = ops.sqrt(root * root * (1 - share) + target * target * share)
        return gap / ops.maximum(moved + root, 2.0**-10)

    return increment


@functools.cache
def both_towards(share: float) -> Increment:
    """Of an average and, behind it, of one of squares: [2, ...]."""
    rules = towards(share), root_towards(share)

    def increment(*values):
        rows = zip(*map(ops.unstack, values), strict=True)
        return ops.stack([rule(*row) for rule, row in zip(rules, rows, strict=True)])

    return increment


def scaled_residual(average: Any, fraction: Any, scale: Any) -> Any:
    """The part of an average that its rounded value leaves out, times a scale.

    Args:
        average: As kept.
        fraction: As kept.
        scale: Power of two of the same dtype.
    """
    units = ops.cast(fraction, bits.name_of(average))
    return bits.times_power_of_two(units, _fraction_place(average, scale))


def _fraction_place(average: Any, scale: Any) -> Any:
    """The exponent of one unit of the fraction, times the scale."""
    form = bits.format_of(average)
    last_place = ops.maximum(bits.biased_exponent(average), 1) - form.mantissa
    # Both exponents are biased once: the two biases leave together.
    return last_place + bits.biased_exponent(scale) - 2 * form.bias - FRACTION_BITS


def split(value: Any, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the host as an average is kept.

    Args:
        value: Finite numbers, or infinities, which have the fraction 0.
        dtype: "float16" or "bfloat16".

    Returns:
        (averages of that dtype, fractions as int16).
    """
    with np.errstate(over="ignore", invalid="ignore"):
        average = bits.host_cast(value, dtype)
        rest = np.asarray(value, "float64") - average.astype("float64")
        units = np.nan_to_num(rest / _unit(average), posinf=0, neginf=0)
    limit = 2**FRACTION_BITS - 1
    return average, np.clip(np.round(units), -limit, limit).astype("int16")


def joined(average: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    """The float64 numbers that averages and their fractions stand for."""
    return average.astype("float64") + fraction * _unit(average)


def _unit(average: np.ndarray) -> np.ndarray:
    """What a fraction of 1 is worth, in float64."""
    form = bits.FORMATS[str(average.dtype)]
    _, exponent = np.frexp(average.astype("float64"))
    lowest = 1 - form.bias
    # frexp's mantissa is below 1, and 0 has the exponent of the subnormals.
    place = np.where(average == 0, lowest, np.maximum(exponent - 1, lowest))
    return np.ldexp(1.0, place - form.mantissa - FRACTION_BITS)
