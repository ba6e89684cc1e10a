"""Numbers as a 16-bit value times a power of two: further reach, same precision.

A learning rate of 1e-8 is 0 in float16, and 1e-3 times a gradient of 1e-5 as well.
Their significands are not: what leaves the range of the format is kept as a whole
exponent beside the value, and integers are free in a pure 16-bit step.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from keras16.numerics import bits

WORD_MANTISSA = 23
WORD_BIAS = 127


class Scaled(NamedTuple):
    """value x 2**exponent.

    Attributes:
        value: 16-bit tensor.
        exponent: int32 tensor or whole number; its shape broadcasts to value's.
    """

    value: Any
    exponent: Any

    def times(self, other: Scaled) -> Scaled:
        """The product, rounded once, of values whose own product fits the format."""
        return Scaled(self.value * other.value, self.exponent + other.exponent)

    def collapsed(self) -> Any:
        """The number as one 16-bit tensor, as far as it fits."""
        return bits.times_power_of_two(self.value, self.exponent)


def number(x: float, dtype: str) -> Scaled:
    """A number of the host, its value in [1/2, 1)."""
    value, exponent = math.frexp(x)
    return Scaled(bits.host_cast(value, dtype), exponent)


def normal(x: Any) -> Scaled:
    """A tensor, each element with a power of two that brings it to about 1.

    Subnormal numbers are exact in it and stay so when they are multiplied.

    Args:
        x: 16-bit tensor, of either sign.
    """
    scale = bits.scale_to_one(ops.abs(x))
    return Scaled(x * scale, bits.format_of(x).bias - bits.biased_exponent(scale))


def word(x: Any) -> np.ndarray:
    """Non-negative numbers of the host as int32 words: the bits of float32."""
    with np.errstate(under="ignore"):
        return np.asarray(x, "float64").astype("float32").view("int32")


def of_word(word: Any, dtype: str) -> Scaled:
    """What an int32 word stands for, rounded to the precision of a 16-bit dtype.

    Args:
        word: int32 tensor; numbers below 2**-126 count as 0.
        dtype: "float16" or "bfloat16".

    Returns:
        The number, its value 0 or in [1/2, 1).
    """
    form = bits.FORMATS[dtype]
    dropped = WORD_MANTISSA - form.mantissa
    nearest = word + (1 << (dropped - 1))
    field = ops.right_shift(nearest, WORD_MANTISSA)
    fraction = ops.bitwise_and(
        ops.right_shift(nearest, dropped), ~(-1 << form.mantissa)
    )
    raw = ops.where(field > 0, fraction + ((form.bias - 1) << form.mantissa), 0)
    value = bits.reinterpreted(ops.cast(raw, "int16"), dtype)
    return Scaled(value, field - (WORD_BIAS - 1))


def host_number(word: Any) -> float:
    """What one word stands for, on the host."""
    return float(np.asarray(word, "int32").view("float32"))
