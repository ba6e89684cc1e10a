"""Exact sums of 16-bit floats in 32-bit integer words.

Every float16 is a whole multiple of 2**-24 below 2**40 of them, so integers can
add any number of them without an error. A sum is kept as `DIGITS` digits of
14 bits, the lowest worth 2**-24, the highest signed, and one more word that
counts what is not finite. JAX has no 64-bit integers by default, hence 32.

A bfloat16 reaches further both ways: below 2**-24 it is rounded to a multiple
of 2**-24 towards zero, and from 2**44 on it counts as not finite.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import ops

from keras16 import backend
from keras16.numerics import bits
from keras16.numerics.scaled import Scaled, normal

DIGITS = 7
DIGIT_BITS = 14
UNIT_EXPONENT = -24
WORDS = DIGITS + 1
_DIGIT_MASK = (1 << DIGIT_BITS) - 1
# One element adds less than 2**14 to a digit, so this many stay below 2**31.
_CHUNK = 1 << 16
# The shift from which a number is too large for the digits.
_LIMIT = 61


def zero() -> np.ndarray:
    """An empty sum: `WORDS` int32 words."""
    return np.zeros((WORDS,), "int32")


def add(words: Any, x: Any) -> Any:
    """Adds every element of a 16-bit tensor to a sum, exactly.

    Args:
        words: [WORDS] int32.
        x: float16 or bfloat16 of any shape, empty too.

    Returns:
        [WORDS] int32, carried.
    """
    found = _by_kernel(words, x)
    return carried(words + total(x)) if found is None else found


def add_multiple(words: Any, x: Any, count: Any) -> Any:
    """Adds `count` times a 16-bit scalar, exactly.

    Args:
        words: [WORDS] int32.
        x: 16-bit scalar.
        count: int32 scalar, at least 0.
    """
    found = _by_kernel(words, x, count)
    if found is not None:
        return found
    product = words
    once = total(x)
    for place in range(3):
        shift = place * DIGIT_BITS
        digit = ops.bitwise_and(ops.right_shift(count, shift), _DIGIT_MASK)
        product = carried(product + _shifted(once, place) * digit)
    return product


def add_count(words: Any, count: Any) -> Any:
    """Adds a whole number, an int32 scalar of at least 0, exactly."""
    found = _by_kernel(words, ops.ones((), dtype="float16"), count)
    if found is not None:
        return found
    low = ops.left_shift(ops.bitwise_and(count, _DIGIT_MASK), 10)
    high = ops.left_shift(ops.right_shift(count, DIGIT_BITS), 10)
    # 2**24 units are one: digit 1 (2**14 units) shifted by 10 bits.
    place = np.eye(WORDS, dtype="int32")
    return carried(words + low * place[1] + high * place[2])


def divided(words: Any, n: Any) -> Any:
    """A sum over a whole number, in units of 2**-24, rounded towards zero.

    Args:
        words: [WORDS] int32, carried.
        n: int or int32 scalar, at least 1; from 2**17 on, to its leading 17 bits.
    """
    negative = words[DIGITS - 1] < 0
    columns = ops.unstack(carried(_signed(words, negative)), WORDS)
    n = ops.cast(n, "int32")
    spare = ops.maximum(bits.bit_length(n) - 17, 0)
    n = ops.maximum(ops.right_shift(n, spare), 1)
    remainder = ops.zeros_like(columns[0])
    quotients = []
    for column in reversed(columns[:DIGITS]):
        # Long division: a remainder below 2**17 and one digit are 31 bits.
        part = ops.left_shift(remainder, DIGIT_BITS) + column
        quotients.append(part // n)
        remainder = part - quotients[-1] * n
    result = ops.stack([*reversed(quotients), columns[DIGITS]])
    for _ in range(2):  # at most 14 bits at a time
        places = ops.minimum(spare, DIGIT_BITS)
        result, spare = _shifted_down(result, places), spare - places
    return _signed(result, negative)


def total(x: Any) -> Any:
    """The exact sum of all elements, as [WORDS] int32.

    Args:
        x: 16-bit tensor, or a Scaled: its numbers are whole multiples of 2**-24
            or lose what is below, and count as not finite from 2**47 on (of
            bfloat16, 2**44).
    """
    found = _by_kernel(ops.convert_to_tensor(zero()), x)
    if found is not None:
        return found
    digits = _digits_of(x)
    chunked = ops.concatenate(
        [digits, ops.zeros((_missing(digits), WORDS), "int32")], axis=0
    )
    chunked = ops.reshape(chunked, (-1, _chunk_of(digits), WORDS))
    partial = carried(ops.sum(chunked, axis=1))
    return _flagged(carried(ops.sum(partial, axis=0)))


def carried(words: Any) -> Any:
    """Carries, so that each digit but the signed highest is in [0, 2**14).

    Args:
        words: [..., WORDS] int32.
    """
    if len(words.shape) == 1:
        found = _by_kernel(words, ops.zeros((0,), dtype="float16"))
        if found is not None:
            return found
    columns = ops.unstack(words, WORDS, axis=-1)
    carry = ops.zeros_like(columns[0])
    done = []
    for column in columns[: DIGITS - 1]:
        column = column + carry
        done.append(ops.bitwise_and(column, _DIGIT_MASK))
        carry = ops.right_shift(column, DIGIT_BITS)
    return ops.stack([*done, columns[DIGITS - 1] + carry, columns[DIGITS]], axis=-1)


def ratio(numerator: Any, denominator: Any, dtype: str) -> Any:
    """The quotient of two sums in 16 bits, for use inside the step.

    Args:
        numerator: [WORDS] int32.
        denominator: [WORDS] int32, at least 0; a quotient by 0 is 0, as Keras'.
        dtype: "float16" or "bfloat16".

    Returns:
        16-bit scalar within 1 unit in the last place; NaN where anything
        summed was not finite.
    """
    negative = numerator[DIGITS - 1] < 0
    magnitude = carried(ops.where(negative, -numerator, numerator))
    top, top_exponent = _leading_bits(magnitude)
    bottom, bottom_exponent = _leading_bits(denominator)
    # 28 bits over 15 bits: a quotient of 13 to 14 bits, more than either format.
    bottom = ops.right_shift(bottom, 13)
    quotient = ops.floor_divide(top, ops.maximum(bottom, 1))
    exponent = top_exponent - bottom_exponent - 13
    value = ops.cast(ops.where(negative, -quotient, quotient), dtype)
    value = bits.times_power_of_two(value, exponent)
    value = ops.where(bottom > 0, value, ops.zeros_like(value))
    bad = (numerator[DIGITS] + denominator[DIGITS]) > 0
    return ops.where(bad, ops.cast(math.nan, dtype), value)


def segment_totals(x: Any, segments: Any, count: int) -> Any:
    """The exact sums of the elements of each segment.

    Args:
        x: [n] 16-bit, or a Scaled.
        segments: [n] int32 in [0, count).
        count: Number of segments.

    Returns:
        [count, WORDS] int32, carried.
    """
    digits = _digits_of(x)
    rows = ops.shape(digits)[0]
    # One digit of 2**16 elements stays below 2**31.
    chunk = ops.right_shift(ops.arange(rows, dtype="int32"), 16)
    chunks = rows // _CHUNK + 1
    sums = ops.segment_sum(
        digits, chunk * count + segments, num_segments=chunks * count
    )
    partial = carried(ops.reshape(sums, (-1, count, WORDS)))
    return _flagged(carried(ops.sum(partial, axis=0)))


def as_scaled(words: Any, dtype: str) -> Scaled:
    """Sums >= 0 with 14 leading bits, rounded to 16 bits; NaN where not finite.

    Args:
        words: [..., WORDS] int32, carried.
        dtype: "float16" or "bfloat16".
    """
    leading, exponent = _leading_bits(words)
    # 28 bits, of which a 16-bit float keeps 11 or 8.
    value = normal(ops.cast(ops.right_shift(leading, 14), dtype), exponent + 14)
    finite = words[..., DIGITS] == 0
    return Scaled(ops.where(finite, value.x, math.nan), value.exponent)


def to_floats(words: Any) -> np.ndarray:
    """The values of sums as float64, on the host; NaN where not finite.

    Args:
        words: [..., WORDS] int32.
    """
    words = np.asarray(words)
    flat = [to_float(one) for one in words.reshape(-1, WORDS)]
    return np.array(flat, "float64").reshape(words.shape[:-1])


def to_float(words: Any) -> float:
    """The value of a sum as a Python float, on the host; NaN where not finite."""
    values = [int(word) for word in np.asarray(words)]
    if values[DIGITS]:
        return math.nan
    units = sum(digit << (DIGIT_BITS * i) for i, digit in enumerate(values[:DIGITS]))
    return units * 2.0**UNIT_EXPONENT


def _by_kernel(words: Any, x: Any, count: Any = 1) -> Any:
    """Words + count times the sum of x, carried; None where there is no kernel."""
    x, exponents = (x.x, x.exponent) if isinstance(x, Scaled) else (x, None)
    own = backend.module().own_kernels(x)
    return None if own is None else own.accumulated(words, x, exponents, count)


def _signed(words: Any, negative: Any) -> Any:
    """Minus a sum where it is negative; the count of what isn't finite stays."""
    keep = np.eye(WORDS, dtype="int32")[DIGITS] > 0
    return ops.where(ops.logical_and(negative, ~keep), -words, words)


def _shifted_down(words: Any, places: Any) -> Any:
    """A sum >= 0 over 2**places, for places up to DIGIT_BITS."""
    above = ops.concatenate([words[1:DIGITS], ops.zeros_like(words[:2])], axis=0)
    low = ops.bitwise_and(above, ops.left_shift(ops.ones_like(places), places) - 1)
    moved = ops.right_shift(words, places) + ops.left_shift(low, DIGIT_BITS - places)
    return ops.concatenate([moved[:DIGITS], words[DIGITS:]], axis=0)


def _digits_of(x: Any) -> Any:
    """[n, WORDS] int32 of a tensor or a Scaled of any shape."""
    if isinstance(x, Scaled):
        return _digits(ops.reshape(x.x, (-1,)), ops.reshape(x.exponent, (-1,)))
    return _digits(ops.reshape(x, (-1,)))


def _digits(flat: Any, exponent: Any = 0) -> Any:
    """[n] 16-bit x 2**exponent -> [n, WORDS] int32: digits of 14 bits."""
    form = bits.format_of(flat)
    raw = bits.as_bits(flat)
    field = ops.right_shift(ops.bitwise_and(raw, 0x7FFF), form.mantissa)
    fraction = ops.bitwise_and(raw, (1 << form.mantissa) - 1)
    hidden = ops.cast(field > 0, "int32") * (1 << form.mantissa)
    significand = fraction + hidden
    sign = 1 - 2 * ops.right_shift(raw, 15)
    # The place of the significand's lowest bit, in units of 2**-24.
    shift = ops.maximum(field, 1) - form.bias - form.mantissa - UNIT_EXPONENT
    shift = shift + exponent
    is_number = ops.logical_and(field <= 2 * form.bias, shift < _LIMIT)
    finite = ops.cast(is_number, "int32")
    significand = ops.right_shift(significand, ops.clip(-shift, 0, 31))
    shift = ops.clip(shift, 0, _LIMIT)
    place = shift // DIGIT_BITS
    wide = ops.left_shift(significand, shift % DIGIT_BITS) * sign * finite
    # Two digits: the sign goes with both, so that carrying is left to the sums.
    low = sign * ops.bitwise_and(sign * wide, _DIGIT_MASK)
    high = sign * ops.right_shift(sign * wide, DIGIT_BITS)
    columns = [_at(low, place, i) + _at(high, place + 1, i) for i in range(DIGITS)]
    return ops.stack([*columns, 1 - finite], axis=-1)


def _flagged(words: Any) -> Any:
    """The count of what is not finite, cut to 0 or 1: it must not wrap around."""
    ceiling = np.full((WORDS,), np.iinfo("int32").max, "int32")
    ceiling[DIGITS] = 1
    return ops.minimum(words, ceiling)


def _at(digit: Any, place: Any, wanted: int) -> Any:
    return ops.where(place == wanted, digit, 0)


def _chunk_of(digits: Any) -> Any:
    rows = digits.shape[0]
    return _CHUNK if rows is None or rows > _CHUNK else max(rows, 1)


def _missing(digits: Any) -> Any:
    chunk = _chunk_of(digits)
    return -ops.shape(digits)[0] % chunk if digits.shape[0] != 0 else 1


def _shifted(words: Any, places: int) -> Any:
    """Times 2**(14 places); the count of what is not finite stays where it is."""
    if not places:
        return words
    columns = ops.unstack(words, WORDS)
    # What would be pushed out goes into the highest digit, which has the sign.
    highest = columns[DIGITS - 1]
    for column in reversed(columns[DIGITS - 1 - places : DIGITS - 1]):
        highest = highest * (1 << DIGIT_BITS) + column
    zeros = [ops.zeros_like(highest)] * places
    kept = columns[: DIGITS - 1 - places]
    return ops.stack([*zeros, *kept, highest, columns[DIGITS]])


def _leading_bits(words: Any) -> tuple[Any, Any]:
    """The leading 28 bits of carried sums >= 0, and the exponent of the lowest.

    Args:
        words: [..., WORDS] int32.

    Returns:
        (int32 [...] in [2**27, 2**28), or 0 for 0; int32 [...]).
    """
    digits = ops.flip(words[..., :DIGITS], axis=-1)
    first = ops.cast(ops.argmax(ops.cast(digits > 0, "int32"), axis=-1), "int32")
    here = ops.equal(ops.expand_dims(first, -1), np.arange(DIGITS, dtype="int32"))
    padded = ops.concatenate([digits, ops.zeros_like(digits[..., :2])], axis=-1)
    top, middle, bottom = (
        ops.sum(ops.where(here, padded[..., i : i + DIGITS], 0), axis=-1)
        for i in range(3)
    )
    pair = ops.left_shift(top, DIGIT_BITS) + middle
    shift = 2 * DIGIT_BITS - bits.bit_length(pair)
    shift = ops.clip(shift, 0, DIGIT_BITS)
    leading = ops.left_shift(pair, shift) + ops.right_shift(bottom, DIGIT_BITS - shift)
    return leading, UNIT_EXPONENT + DIGIT_BITS * (DIGITS - 2 - first) - shift
