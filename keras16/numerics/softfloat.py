"""Floating point in two 32-bit integers, for what 16 bits have neither range nor room.

A learning rate of 1e-8, the square of a gradient, the sum of a weight and a thousandth
of its last place: none of them is a float16. Software floating point holds them, with
integers alone, so that no float of the step is wider than 16 bits and no compiler can
round anything otherwise than is written here. Integers are also the fast way: a CPU
without float16 arithmetic does thirty of these operations in the time of one of its
float16 operations.

Source of the representation: Knuth, vol. 2, section 4.2.1.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from keras import ops

from keras16.numerics import bits, noise

FRACTION_BITS = 16  # of a last place, that a fraction beside a 16-bit float counts
_ROOM = 29  # bits of units, without the sign
_HALF = 15  # what a factor leaves out, so that a product fits
_LONGEST_SHIFT = 30
_OF_ZERO = -(1 << 12)  # the exponent of a quotient that is 0: below all others
_OF_NAN = 1 << 20  # the exponent of infinity and NaN: above all others
_LARGEST = 1 << 17  # the exponent of any number, and of products and roots, is below
_QUIET_NAN = 0x7E00  # of float16
_INVERSE = (32664, -14259, 4839)  # 1 / sqrt(1 + x) for x in 0 to 1, in 2**-15
_OF_HALF = 23170  # the root of a half, in 2**-15
_MIDDLE = 6  # what `over` multiplies quotients by: 2**-20 is normal then


@dataclasses.dataclass(frozen=True)
class SoftFloat:
    """units x 2**exponent, the units not normalized.

    Sums are right to 2**-27 of the larger addend, roots to 2**-14, quotients, taken
    in float16, to 2**-10. Products are exact of 16-bit numbers, and right to 2**-13 of
    numbers that `normal` was called for; a sum that cancels has fewer bits for them.

    Attributes:
        units: int32 tensor or whole number in (-2**29, 2**29).
        exponent: int32 tensor of a shape that broadcasts with it, or whole number.
    """

    units: Any
    exponent: Any

    def __neg__(self) -> SoftFloat:
        return SoftFloat(-self.units, self.exponent)

    def __abs__(self) -> SoftFloat:
        return SoftFloat(ops.abs(self.units), self.exponent)

    def __add__(self, other: SoftFloat) -> SoftFloat:
        return self.plus(other)

    def __sub__(self, other: SoftFloat) -> SoftFloat:
        return self.plus(-other)

    def plus(self, other: SoftFloat, random: Any = None) -> SoftFloat:
        """The sum.

        Args:
            other: Of a shape that broadcasts.
            random: int32 words: what does not fit is rounded by chance, so that
                many small addends are right on average; None rounds to nearest.
        """
        top = ops.maximum(self.exponent, other.exponent) + 1
        units = _lowered(self.units, top - self.exponent, random)
        units = units + _lowered(other.units, top - other.exponent, random)
        return SoftFloat(units, top)

    def __mul__(self, other: SoftFloat) -> SoftFloat:
        units = _highest_half(self.units) * _highest_half(other.units)
        return SoftFloat(units, self.exponent + other.exponent + 2 * _HALF)

    def __truediv__(self, other: SoftFloat) -> SoftFloat:
        """The quotient; 0 where either number is 0."""
        is_special = _special(self.exponent, other.exponent)
        above, below = abs(self).normal(), abs(other).normal()
        found = of(_float16(above.units) / _float16(below.units))
        is_zero = ops.logical_or(ops.equal(above.units, 0), ops.equal(below.units, 0))
        negative = ops.bitwise_xor(self.units, other.units) < 0
        units = ops.where(negative, -found.units, found.units)
        exponent = found.exponent + (above.exponent - below.exponent)
        quotient = _with_zero(is_zero, units, exponent)
        exponent = ops.where(is_special, _OF_NAN, quotient.exponent)
        return SoftFloat(quotient.units, exponent)

    def over(self, other: SoftFloat) -> SoftFloat:
        """The quotient of numbers of a like size, in fewer operations.

        Below 2**-20 it is 0, beyond 2**8 it stays between 2**7 and 2**9, and it is 0
        where either number is 0.
        """
        above, below = abs(self).normal(), abs(other).normal()
        power = above.exponent - below.exponent + _MIDDLE
        is_zero = ops.logical_or(ops.equal(below.units, 0), power < -14)
        numerator = _float16_bits(above.units) + ops.left_shift(
            ops.minimum(power, 14), 10
        )
        numerator = ops.where(is_zero, 0, numerator)
        is_special = _special(self.exponent, other.exponent)
        numerator = ops.where(is_special, _QUIET_NAN, numerator)
        negative = ops.bitwise_xor(self.units, other.units) < 0
        numerator = ops.where(negative, numerator - 0x8000, numerator)
        found = of(_reinterpreted(numerator) / _float16(below.units))
        return found.times_power_of_two(-_MIDDLE)

    def root(self) -> SoftFloat:
        """The square root; 0 of a negative number.

        In integers: LLVM has no vectors of roots of float16 and takes them one by
        one. A parabola gives the inverse root to 2**-8, a step of Newton's the rest.
        """
        x = positive_part(self).normal()
        place = x.exponent + (_ROOM - 1)
        odd = ops.bitwise_and(place, 1)
        share = ops.right_shift(x.units, 13) - (1 << 15)  # above 1, in 2**-15
        inverse = ops.right_shift(_INVERSE[2] * share, 15) + _INVERSE[1]
        inverse = ops.right_shift(inverse * share, 15) + _INVERSE[0]
        halved = ops.right_shift(inverse * _OF_HALF, 15)
        inverse = ops.where(ops.equal(odd, 1), halved, inverse)
        square = ops.left_shift(x.units, odd)  # 0, or from 2**28 to below 2**30
        guess = ops.right_shift(ops.right_shift(square, 15) * inverse, 14)
        left = (square - guess * guess) * ops.right_shift(inverse, 7)
        units = ops.left_shift(guess, 13) + ops.right_shift(left, 10)
        half = ops.right_shift(place - odd, 1) - (_ROOM - 1) // 2
        return SoftFloat(units, half - 13)

    def with_sign_of(self, other: SoftFloat) -> SoftFloat:
        """The magnitude of this number, and 0 where the other is."""
        signed = ops.sign(other.units) * self.units
        is_special = _special(self.exponent, other.exponent)
        return SoftFloat(signed, ops.where(is_special, _OF_NAN, self.exponent))

    def normal(self) -> SoftFloat:
        """The same number, its units in [2**28, 2**29) but for the sign, or 0."""
        shift = _ROOM - _length(ops.abs(self.units))
        is_zero = ops.equal(self.units, 0)
        is_zero = ops.logical_and(is_zero, self.exponent < _LARGEST)
        exponent = ops.where(is_zero, _OF_ZERO, self.exponent - shift)
        return SoftFloat(ops.left_shift(self.units, shift), exponent)

    def times_power_of_two(self, power: Any) -> SoftFloat:
        """Times 2**power, exactly."""
        return SoftFloat(self.units, self.exponent + power)

    def rounded(self, dtype: str, random: Any = None) -> Any:
        """The number as a 16-bit tensor.

        Args:
            dtype: "float16" or "bfloat16".
            random: int32 words, one an element: one of the two neighbours, by a
                chance that makes it right on average; None takes the nearest one,
                and the even one of two.

        Returns:
            Infinite beyond the format; NaN where infinity or NaN came in.
        """
        return _packed(self, dtype, random)[0]

    def rounded_with_fraction(self, dtype: str, random: Any = None) -> tuple[Any, Any]:
        """The nearest 16-bit number, and what that leaves out.

        Args:
            dtype: "float16" or "bfloat16".
            random: int32 words: the fraction itself is rounded by chance; None
                rounds it to nearest.

        Returns:
            (16-bit tensor; int16 tensor in 2**-16 of the last place of it)
        """
        rounded, raw, left, shift = _packed(self, dtype, None)
        # A significand that was rounded up to a power of two has a wider last place.
        mantissa = bits.FORMATS[dtype].mantissa
        carried = ops.bitwise_and(raw, (1 << mantissa) - 1) == 0
        carried = ops.logical_and(carried, left < 0)
        place = shift + ops.cast(carried, "int32") - FRACTION_BITS
        fraction = _lowered(left, ops.clip(place, 0, _LONGEST_SHIFT), random)
        fraction = ops.left_shift(fraction, ops.clip(-place, 0, FRACTION_BITS))
        fraction = ops.where(self.units < 0, -fraction, fraction)
        limit = (1 << (FRACTION_BITS - 1)) - 1
        return rounded, ops.cast(ops.clip(fraction, -limit, limit), "int16")


def number(x: float) -> SoftFloat:
    """A finite number of the host, to 29 bits."""
    share, exponent = math.frexp(x)
    units = round(share * (1 << _ROOM))
    if abs(units) == 1 << _ROOM:
        units, exponent = units // 2, exponent + 1
    return SoftFloat(units, exponent - _ROOM if units else _OF_ZERO)


def of(x: Any, fraction: Any = None) -> SoftFloat:
    """A 16-bit tensor, exactly.

    Args:
        x: Of any shape. Infinity and NaN come out of everything as NaN.
        fraction: int16 tensor: what to add to x, in 2**-16 of its last place.
    """
    form = bits.format_of(x)
    raw = bits.as_bits(x)
    field = ops.bitwise_and(ops.right_shift(raw, form.mantissa), 2 * form.bias + 1)
    stored = ops.bitwise_and(raw, (1 << form.mantissa) - 1)
    hidden = ops.left_shift(ops.minimum(field, 1), form.mantissa)
    spare = _ROOM - 1 - form.mantissa
    units = ops.left_shift(stored + hidden, spare)
    units = ops.where(raw >= 0x8000, -units, units)
    if fraction is not None:
        moved = ops.cast(fraction, "int32")
        units = units + _times_two_to(moved, spare - FRACTION_BITS)
        # The sum of the largest significand and a fraction has one bit more.
        units, spare = ops.right_shift(units, 1), spare - 1
    place = ops.maximum(field, 1) - (form.bias + form.mantissa + spare)
    is_special = ops.equal(field, 2 * form.bias + 1)
    return SoftFloat(units, ops.where(is_special, _OF_NAN, place))


def maximum(a: SoftFloat, b: SoftFloat) -> SoftFloat:
    """The larger of two numbers."""
    return where((a - b).units > 0, a, b)


def where(condition: Any, a: SoftFloat, b: SoftFloat) -> SoftFloat:
    """The first number where a condition holds, and else the second."""
    return SoftFloat(
        ops.where(condition, a.units, b.units),
        ops.where(condition, a.exponent, b.exponent),
    )


def highest_place(x: SoftFloat) -> Any:
    """The exponent of the largest magnitude, as an int32 scalar; 0 if all are 0."""
    found = x.normal()
    is_zero = ops.all(ops.equal(found.units, 0))
    highest = ops.max(found.exponent) + (_ROOM - 1)
    return ops.where(ops.logical_or(is_zero, highest > _LARGEST), 0, highest)


def positive_part(x: SoftFloat) -> SoftFloat:
    """The number, and 0 where it is negative."""
    return SoftFloat(ops.maximum(x.units, 0), x.exponent)


def hypot(a: SoftFloat, b: SoftFloat) -> SoftFloat:
    """sqrt(a**2 + b**2)."""
    return (a * a + b * b).root()


def word(x: Any) -> np.ndarray:
    """Non-negative numbers of the host as int32 words: the bits of float32."""
    with np.errstate(under="ignore"):
        return np.asarray(x, "float64").astype("float32").view("int32")


def host_number(word: Any) -> float:
    """What one word stands for, on the host."""
    return float(np.asarray(word, "int32").view("float32"))


def on_host(x: SoftFloat) -> np.ndarray:
    """Numbers as float64 of the host, exactly; NaN where infinity or NaN came in."""
    units = np.asarray(ops.convert_to_numpy(x.units), "float64")
    exponent = np.asarray(ops.convert_to_numpy(x.exponent), "int32")
    is_special = exponent > _OF_NAN // 2
    return np.where(is_special, np.nan, np.ldexp(units, np.minimum(exponent, 900)))


def of_word(word: Any) -> SoftFloat:
    """What an int32 word stands for, exactly; numbers below 2**-126 count as 0."""
    mantissa, bias = 23, 127
    field = ops.right_shift(word, mantissa)
    stored = ops.bitwise_and(word, (1 << mantissa) - 1)
    spare = _ROOM - 1 - mantissa
    units = ops.left_shift(stored + (1 << mantissa), spare)
    return _with_zero(field <= 0, units, field - (bias + mantissa + spare))


def _special(exponent: Any, other: Any) -> Any:
    """Whether either of two numbers is infinite or NaN."""
    return ops.maximum(exponent, other) > _LARGEST


def _with_zero(is_zero: Any, units: Any, exponent: Any) -> SoftFloat:
    units = ops.where(is_zero, ops.zeros_like(units), units)
    return SoftFloat(units, ops.where(is_zero, _OF_ZERO, exponent))


def _lowered(units: Any, shift: Any, random: Any) -> Any:
    """Units / 2**shift, rounded to the nearest where random is None: shift >= 1."""
    if random is None:
        below = ops.right_shift(units, ops.minimum(shift - 1, _LONGEST_SHIFT))
        return ops.right_shift(below + 1, 1)
    beyond = ops.clip(shift - _LONGEST_SHIFT, 0, 31)
    shift = ops.minimum(shift, _LONGEST_SHIFT)
    units = ops.right_shift(units, beyond) + noise.highest(random, shift)
    return ops.right_shift(units, shift)


def _highest_half(units: Any) -> Any:
    return ops.right_shift(units + (1 << (_HALF - 1)), _HALF)


def _float16(units: Any) -> Any:
    """Normal positive units as float16 in [1, 2]."""
    return _reinterpreted(_float16_bits(units))


def _float16_bits(units: Any) -> Any:
    """The bits of that."""
    spare = _ROOM - 11
    top = ops.right_shift(units + (1 << (spare - 1)), spare)
    return top + (0x3C00 - 0x400)


def _reinterpreted(raw: Any) -> Any:
    return bits.reinterpreted(ops.cast(raw, "int16"), "float16")


def _times_two_to(units: Any, power: int) -> Any:
    if power >= 0:
        return units * (1 << power)
    return ops.right_shift(units, -power)


def _packed(x: SoftFloat, dtype: str, random: Any) -> tuple[Any, Any, Any, Any]:
    """Rounds to 16 bits.

    Returns:
        The 16-bit tensor, its bits without the sign, what was left out of the
        magnitude in units, and the units of a last place as a power of two.
    """
    form = bits.FORMATS[dtype]
    x = x.normal()
    size = ops.abs(x.units)
    field = x.exponent + (_ROOM - 1 + form.bias)
    # Subnormal numbers all have the lowest place.
    shift = (_ROOM - 1 - form.mantissa) + ops.maximum(1 - field, 0)
    size = ops.right_shift(size, ops.clip(shift - _LONGEST_SHIFT, 0, 31))
    shift = ops.minimum(shift, _LONGEST_SHIFT)
    kept = _shifted(size, shift, random)
    raw = ops.left_shift(ops.maximum(field, 1) - 1, form.mantissa) + kept
    infinite = (2 * form.bias + 1) << form.mantissa
    raw = ops.where(field > 2 * form.bias, infinite, raw)
    quiet_nan = infinite + (1 << (form.mantissa - 1))
    raw = ops.where(field > _LARGEST, quiet_nan, raw)
    signed = ops.where(x.units < 0, raw - 0x8000, raw)
    rounded = bits.reinterpreted(ops.cast(signed, "int16"), dtype)
    return rounded, raw, size - ops.left_shift(kept, shift), shift


def _shifted(size: Any, shift: Any, random: Any) -> Any:
    """Size / 2**shift, rounded by chance, or to the nearest and then even number."""
    if random is not None:
        return ops.right_shift(size + noise.highest(random, shift), shift)
    odd = ops.bitwise_and(ops.right_shift(size, shift), 1)
    half = ops.left_shift(1, shift - 1) - 1
    return ops.right_shift(size + half + odd, shift)


def _length(size: Any) -> Any:
    """The number of bits of an int32 in [0, 2**30), in few operations.

    bfloat16 has the exponents of 32-bit integers. Without the bit that its
    rounding looks at, the number is never rounded up to the next power of two.
    """
    lower = ops.bitwise_and(size, ops.bitwise_xor(ops.right_shift(size, 8), -1))
    raw = bits.as_bits(ops.cast(lower, "bfloat16"))
    return ops.maximum(ops.right_shift(raw, 7) - 126, 0)
