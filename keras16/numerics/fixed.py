"""Sums of 16-bit floats in 32-bit integers: no rounding that nobody asked for.

A float16 is 11 bits at a place; with 16 more bits below, the sum of several fits
a 32-bit integer. So a weight and its compensation are 27 bits (float32 has 24), an
update is added at its own place, and the result is rounded once, to nearest or by
chance. Being integers, the sums are what is written here under every compiler,
however it keeps the products that are added.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from keras16.numerics import bits, noise
from keras16.numerics.scaled_steps import Scaled

FRACTION_BITS = 16
_LONGEST_SHIFT = 30


class Fixed(NamedTuple):
    """units x 2**(place - 16), in units in the last place of the smallest floats.

    Attributes:
        units: int32, below 2**29.
        place: int32: the exponent field of the floats with 16 bits less.
    """

    units: Any
    place: Any


def fixed(x: Any, fraction: Any = None, exponent: Any = 0) -> Fixed:
    """A 16-bit tensor times 2**exponent, exactly.

    Args:
        x: Finite.
        fraction: int16 tensor: what to add, in 2**-16 of x's last place.
        exponent: int32.
    """
    form = bits.format_of(x)
    raw = bits.as_bits(x)
    field = ops.right_shift(ops.bitwise_and(raw, 0x7FFF), form.mantissa)
    stored = ops.bitwise_and(raw, (1 << form.mantissa) - 1)
    hidden = ops.left_shift(ops.minimum(field, 1), form.mantissa)
    sign = 1 - 2 * ops.right_shift(raw, 15)
    units = (stored + hidden) * sign * (1 << FRACTION_BITS)
    if fraction is not None:
        units = units + ops.cast(fraction, "int32")
    return Fixed(units, ops.maximum(field, 1) + exponent)


def total(a: Fixed, b: Fixed, random: Any = None) -> Fixed:
    """The sum of two, at the higher place of both.

    Args:
        a: Three addends at most may be summed up.
        b: Likewise.
        random: int32 words: what falls below 2**-16 of the last place is rounded
            by chance; None rounds it to nearest.
    """
    place = ops.maximum(a.place, b.place)
    return Fixed(_at(a, place, random) + _at(b, place, random), place)


def nearest(sum_: Fixed, dtype: str) -> tuple[Any, Any]:
    """The sum rounded to the nearest 16-bit float, and what that left out.

    Returns:
        (16-bit tensor, infinite beyond the format; int16 fraction of it).
    """
    return _rounded(sum_, dtype, None)


def by_chance(sum_: Fixed, dtype: str, random: Any) -> Any:
    """One of the two floats around the sum: its expected value is the sum."""
    return _rounded(sum_, dtype, random)[0]


def added_by_chance(x: Any, addend: Scaled, random: Any) -> Any:
    """X + addend in 16 bits, right on average however small the addend is.

    Args:
        x: 16-bit tensor.
        addend: Of the same shape and dtype.
        random: int32 words, one an element.
    """
    step = fixed(addend.value, exponent=addend.exponent)
    sum_ = total(fixed(x), step, noise.again(random))
    result = by_chance(sum_, bits.name_of(x), random)
    return finite_or_sum(result, x, addend.value)


def finite_or_sum(result: Any, a: Any, b: Any) -> Any:
    """The result, or a + b where one of them is infinite or NaN."""
    unusual = a * 0 + b * 0
    return ops.where(unusual == 0, result, a + b)


def _at(a: Fixed, place: Any, random: Any) -> Any:
    """The units of a number at a higher place."""
    shift = place - a.place
    # Beyond 30 places nothing but chance can see the number.
    beyond = ops.clip(shift - _LONGEST_SHIFT, 0, 31)
    units = a.units if random is None else ops.right_shift(a.units, beyond)
    return _shifted(units, ops.minimum(shift, _LONGEST_SHIFT), random)


def _shifted(units: Any, shift: Any, random: Any) -> Any:
    """Units / 2**shift, rounded; shift in [0, 30]."""
    if random is None:
        extra = ops.right_shift(ops.left_shift(1, shift), 1)
    else:
        extra = noise.highest(random, shift)
    return ops.right_shift(units + extra, shift)


def _rounded(sum_: Fixed, dtype: str, random: Any) -> tuple[Any, Any]:
    form = bits.FORMATS[dtype]
    size = ops.abs(sum_.units)
    shift = _length(size) - (form.mantissa + 1)
    # Subnormal numbers all have the lowest place, 1.
    shift = ops.maximum(shift, FRACTION_BITS + 1 - sum_.place)
    right = ops.clip(shift, 0, _LONGEST_SHIFT)
    kept = _shifted(size, right, random)
    significand = ops.left_shift(kept, ops.clip(-shift, 0, _LONGEST_SHIFT))
    below = sum_.place + shift - (FRACTION_BITS + 1)
    # A significand that rounding carried over carries into the exponent.
    raw = ops.left_shift(ops.maximum(below, 0), form.mantissa) + significand
    infinite = (2 * form.bias + 1) << form.mantissa
    raw = ops.where(size == 0, 0, ops.minimum(raw, infinite))
    negative = sum_.units < 0
    signed = ops.where(negative, raw - 0x8000, raw)
    rounded = bits.reinterpreted(ops.cast(signed, "int16"), dtype)
    left = size - ops.left_shift(kept, right)
    place = ops.maximum(ops.right_shift(raw, form.mantissa), 1)
    fraction = _fraction(left, place - sum_.place)
    fraction = ops.where(negative, -fraction, fraction)
    return rounded, ops.cast(fraction, "int16")


def _fraction(left: Any, shift: Any) -> Any:
    """What rounding left out, in 2**-16 of the last place of the result."""
    finer = ops.left_shift(left, ops.clip(-shift, 0, _LONGEST_SHIFT))
    fraction = _shifted(finer, ops.clip(shift, 0, _LONGEST_SHIFT), None)
    limit = (1 << (FRACTION_BITS - 1)) - 1
    return ops.clip(fraction, -limit, limit)


def _length(size: Any) -> Any:
    """The number of bits of an int32 in [0, 2**30), in few operations.

    bfloat16 has the exponents of 32-bit integers. Without the bit that its
    rounding looks at, the number is never rounded up to the next power of two.
    """
    lower = ops.bitwise_and(size, ops.bitwise_xor(ops.right_shift(size, 8), -1))
    raw = bits.as_bits(ops.cast(lower, "bfloat16"))
    return ops.maximum(ops.right_shift(raw, 7) - 126, 0)
