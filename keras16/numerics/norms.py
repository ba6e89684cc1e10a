"""Roots of sums of squares whose squares may leave the range of 16 bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from keras16.numerics import bits, products, reductions, softfloat
from keras16.numerics.softfloat import SoftFloat


def hypot(a: Any, b: Any) -> Any:
    """sqrt(a**2 + b**2) of two non-negative 16-bit tensors, squares never seen.

    Returns:
        Tensor of the same dtype, within 2 units in the last place; infinite only
        where the result is.
    """
    large, small = ops.maximum(a, b), ops.minimum(a, b)
    quotient = small / _not_zero(large)
    return large * ops.sqrt(1 + quotient * quotient)


def _not_zero(x: Any) -> Any:
    return ops.where(x == 0, ops.ones_like(x), x)


def euclidean(tensors: Sequence[Any]) -> SoftFloat:
    """The root of the sum of all squares of some 16-bit tensors.

    The largest element is brought to 1/2 by a power of two, so that no square and no
    sum of the squares of a block leaves the format.

    Args:
        tensors: Of one dtype; at most 2**25 elements in all.
    """
    peak = ops.max(ops.stack([ops.max(ops.abs(x)) for x in tensors]))
    scale, exponent = _scale_to(peak, -1)
    squares = [_squares_of_blocks(ops.reshape(x, (-1,)) * scale) for x in tensors]
    part, depth = reductions.shrunk_sum(ops.concatenate(squares))
    odd = depth % 2
    norm = softfloat.of(ops.sqrt(part * 2**odd))
    return norm.times_power_of_two(exponent + (depth - odd) // 2)


def _squares_of_blocks(x: Any) -> Any:
    """[n] -> [blocks]: what a kernel adds one after another is short."""
    missing = -x.shape[0] % reductions.BLOCK
    x = ops.concatenate([x, ops.zeros((missing,), dtype=x.dtype)])
    rows = ops.reshape(x, (-1, 1, reductions.BLOCK))
    return ops.reshape(products.matmul(rows, ops.transpose(rows, (0, 2, 1))), (-1,))


def _scale_to(peak: Any, exponent: int) -> tuple[Any, Any]:
    """A power of two that brings a scalar to 2**exponent, and the way back."""
    form = bits.format_of(peak)
    back = ops.maximum(bits.biased_exponent(peak), 1) - form.bias - exponent
    back = ops.clip(back, -form.bias, form.bias - 1)
    return bits.power_of_two(-back, bits.name_of(peak)), back
