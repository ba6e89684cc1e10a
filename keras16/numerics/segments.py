"""Sums of 16-bit rows by segment, exact in any order: the gradient of a look-up.

A float16 `scatter_add` stalls at 2,048. Every float16 is a whole multiple of 2**-24
below 2**40 of them, so its four digits of 10 bits are added as int32, which never
rounds; the total is rounded once, to nearest. A bfloat16 is first brought to that
range by a power of two, the same for all, and cut at 2**-17 of the largest.

Cost: four int32 scatters of the rows' size and as many int32 tables, where a plain
scatter takes one of 16 bits: for a table of 20,000 x 128 that is 41 MB beside 5. A
product with one-hot rows would take 1 GB for a batch of 25,600 ids.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from keras16.numerics import bits, extremes
from keras16.numerics.derivatives import by_hand_once

_DIGITS = 4
_DIGIT_BITS = 10
_MASK = (1 << _DIGIT_BITS) - 1
# So many rows of digits below 2**10 stay below 2**31.
LONGEST = 1 << 21


def take_rows(table: Any, ids: Any) -> Any:
    """table[ids], its gradient the exact sum over the uses of each row.

    Args:
        table: [rows, columns] 16-bit.
        ids: Integers of any shape, below `rows`; negative ones count from the end.
            At most `LONGEST` of them.
    """
    rows = table.shape[0]
    ids = ops.where(ids < 0, ids + rows, ids)

    @by_hand_once("a look-up in a table")
    def take(table):
        def backward(gradient):
            values = ops.reshape(gradient, (-1, table.shape[1]))
            return segment_sum(values, ops.reshape(ids, (-1,)), rows)

        return ops.take(table, ids, axis=0), backward

    return take(bits.read(table))


def segment_sum(values: Any, ids: Any, count: int) -> Any:
    """The sum of the rows of each segment, rounded once.

    Args:
        values: [n, columns] 16-bit, n up to `LONGEST`.
        ids: [n] int32, the segment of each row.
        count: Number of segments.

    Returns:
        [count, columns]; infinite where a sum is beyond the format, and infinite or
        NaN where what was added says so.
    """
    finite = ops.isfinite(values)
    kept = ops.where(finite, values, ops.zeros_like(values))
    scale = _into_range(kept)
    digits = ops.concatenate(_digits(kept * scale), axis=1)
    sums = ops.segment_sum(digits, ids, num_segments=count)
    total = _rounded(ops.split(sums, _DIGITS, axis=1), bits.name_of(values)) / scale
    # Only what is not finite: adding zeros to it is exact.
    others = ops.where(finite, ops.zeros_like(values), values)
    return total + ops.segment_sum(others, ids, num_segments=count)


def _into_range(values: Any) -> Any:
    """A power of two with which no sum of the values is beyond 2**16.

    What is then no multiple of 2**-24 is cut: a bfloat16 below 2**-17 of the largest.
    """
    dtype = bits.name_of(values)
    if dtype == "float16":
        return ops.ones((), dtype=dtype)
    largest = extremes.magnitude(values)
    return bits.scale_to_one(largest) * ops.cast(2.0**-7, dtype)


def _digits(values: Any) -> list[Any]:
    """16-bit [...] -> four int32 [...], signed, the lowest worth 2**-24."""
    form = bits.format_of(values)
    raw = bits.as_bits(values)
    field = ops.right_shift(ops.bitwise_and(raw, 0x7FFF), form.mantissa)
    hidden = ops.cast(field > 0, "int32") * (1 << form.mantissa)
    significand = ops.bitwise_and(raw, (1 << form.mantissa) - 1) + hidden
    shift = ops.maximum(field, 1) - form.bias - form.mantissa + 24
    significand = ops.right_shift(significand, ops.clip(-shift, 0, 31))
    shift = ops.clip(shift, 0, 39)
    sign = 1 - 2 * ops.right_shift(raw, 15)
    place, inside = shift // _DIGIT_BITS, shift % _DIGIT_BITS
    # At most 11 + 9 bits: two digits, of which the upper is at most 2**10.
    wide = ops.left_shift(significand, inside)
    low = sign * ops.bitwise_and(wide, _MASK)
    high = sign * ops.right_shift(wide, _DIGIT_BITS)
    return [
        ops.where(place == i, low, 0) + ops.where(place + 1 == i, high, 0)
        for i in range(_DIGITS)
    ]


def _rounded(digits: list[Any], dtype: str) -> Any:
    """Four int32 sums of digits -> their value in 16 bits, rounded to nearest."""
    digits = _carried(digits)
    negative = digits[-1] < 0
    sign = 1 - 2 * ops.cast(negative, "int32")
    first, second, third, fourth = _carried([sign * digit for digit in digits])
    # Beyond 2**17 the value is infinite however large it is.
    fourth = ops.minimum(fourth, 1 << 11)
    upper = ops.left_shift(fourth, _DIGIT_BITS) + third
    lower = ops.left_shift(second, _DIGIT_BITS) + first
    # 28 bits: of the upper ones as many as there are, of the lower ones the rest.
    room = 28 - bits.bit_length(upper)
    shift = ops.clip(room, 0, 2 * _DIGIT_BITS)
    drop = 2 * _DIGIT_BITS - shift
    top = ops.left_shift(upper, shift) + ops.right_shift(lower, drop)
    lost = _below(lower, drop)
    excess = ops.maximum(bits.bit_length(top) - 13, 0)
    lost = ops.bitwise_or(lost, _below(top, excess))
    # 13 bits, the last of them 1 where anything was cut: the cast rounds right.
    head = ops.bitwise_or(ops.right_shift(top, excess), lost)
    value = ops.cast(sign * head, dtype)
    return bits.times_power_of_two(value, drop + excess - 24)


def _below(number: Any, places: Any) -> Any:
    """1 where any of the lowest bits is set, else 0."""
    mask = ops.left_shift(ops.ones_like(number), places) - 1
    return ops.cast(ops.bitwise_and(number, mask) > 0, "int32")


def _carried(digits: list[Any]) -> list[Any]:
    """Digits in [0, 2**10), but for the highest, which has the sign."""
    carry, done = ops.zeros_like(digits[0]), []
    for digit in digits[:-1]:
        digit = digit + carry
        done.append(ops.bitwise_and(digit, _MASK))
        carry = ops.right_shift(digit, _DIGIT_BITS)
    return [*done, digits[-1] + carry]
