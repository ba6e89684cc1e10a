"""Sums and means of 16-bit tensors that neither overflow nor stall.

A 16-bit `reduce_sum` adds in 16 bits on some kernels: 10,000 ones give 2,048.
Matrix products accumulate wider inside the kernel on every device, and weights
that are powers of two make each product exact. So a sum is written as a product
with a vector of them, small enough that the result can't overflow.

Wider is not exact: a kernel that adds 2**22 equal numbers one after another in float32
is off by 65 units in the last place of float16. So what is longer than `LONGEST` is
summed in blocks whose sums are summed again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from keras import ops

from keras16 import backend
from keras16.numerics import bits

LONGEST = 1 << 15  # in one product: off by at most 1 unit in the last place there
# Of rows: up to 4 units there, if all numbers are equal. Under XLA on a CPU a training
# step of batch normalization takes three times as long in blocks.
LONGEST_OF_ROWS = 1 << 17
BLOCK = 1 << 12
_SPARE = 13  # log2 of what a block's sum may be beyond the format


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean along some axes.

    Args:
        x: 16-bit tensor.
        axis: An axis, several, or None for all.
        keepdims: Whether the reduced axes stay, at length 1.

    Returns:
        Tensor of x's dtype, within 2 units in the last place of mean(abs(x)),
        for up to 2**22 elements; 0 of no elements, as Keras' losses have it.
    """
    axes = standardized(axis, len(x.shape))
    if not axes:
        return x
    shape = _result_shape(x, axes, keepdims)
    return ops.reshape(_batched_mean(*_in_three(x, axes)), shape)


def total(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The sum along some axes, rounded once; infinite only where it must be.

    Args: as of `mean`.
    """
    axes = standardized(axis, len(x.shape))
    if not axes:
        return x
    shape = _result_shape(x, axes, keepdims)
    in_three, n = _in_three(x, axes)
    return ops.reshape(_weighted(in_three, n, 0), shape)


def total_like(x: Any, like: Any) -> Any:
    """The sum over what broadcasting added to a tensor: the gradient of that.

    Args:
        x: 16-bit tensor, of the shape that `like` was broadcast to.
        like: The tensor before, of static shape but for the axes they share.
    """
    missing = len(x.shape) - len(like.shape)
    axes = [
        a
        for a in range(len(x.shape))
        if a < missing or (like.shape[a - missing] == 1 and x.shape[a] != 1)
    ]
    return ops.reshape(total(x, tuple(axes)), ops.shape(like)) if axes else x


def shrunk_sum(x: Any, axis: Any = None, keepdims: bool = False) -> tuple[Any, Any]:
    """The sum along some axes over a power of two, so that it can't overflow.

    Returns:
        (part, exponent): the sum is part x 2**exponent; part, of x's dtype, is no
        larger than the largest element, exponent a whole number.
    """
    axes = standardized(axis, len(x.shape))
    if not axes:
        return x, 0
    rows, n = _in_three(x, axes)
    exponent = _ceiling_of_log2(n)
    part = _weighted(rows, n, exponent)
    return ops.reshape(part, _result_shape(x, axes, keepdims)), exponent


def _batched_mean(x: Any, n: Any) -> Any:
    """[before, n, after] -> [before, 1, after]: the mean over the middle axis."""
    own = backend.module().own_kernels(x)
    if own is not None:
        return _by_kernel(own, x, n)
    exponent = _ceiling_of_log2(n)
    part = _weighted(x, n, exponent)
    return part * _power_over_count(n, exponent, bits.name_of(x))


def _weighted(x: Any, n: Any, exponent: Any, longest: int = LONGEST) -> Any:
    """[before, n, after] -> [before, 1, after]: 2**-exponent times the sum."""
    own = backend.module().own_kernels(x)
    if own is not None:
        return _by_kernel(own, x, ops.left_shift(1, exponent))
    if isinstance(n, int):
        return (_in_blocks if n > longest else _at_once)(x, n, exponent)
    return _by_length(longest)(x, n, exponent)


def _by_kernel(own: Any, x: Any, over: Any) -> Any:
    """The sum over a whole number, rounded once."""
    if x.shape[2] == 1:
        return ops.expand_dims(own.last_axis_sum(ops.squeeze(x, -1), over), -1)
    return ops.expand_dims(own.row_sums_of_each(x, over), 1)


@functools.cache
def _by_length(longest: int) -> Callable[..., Any]:
    """The same where only the run knows how many there are."""
    return backend.module().traced_once(
        lambda x, n, exponent: ops.cond(
            n > longest,
            lambda: _in_blocks(x, n, exponent),
            lambda: _at_once(x, n, exponent),
        )
    )


def _in_blocks(x: Any, n: Any, exponent: Any) -> Any:
    """The same of many: every block's sum, and then the sum of those.

    Blocks whose sums overflow are taken times a power of two, all blocks of a sum
    alike; the others are not, since they would lose their last bits. The last
    operation is a product: XLA would compute any cheaper one again and again, for
    each element of what the sum is used for.
    """
    before, after = ops.shape(x)[0], x.shape[2] or ops.shape(x)[2]
    blocks = (n + BLOCK - 1) // BLOCK
    if not isinstance(n, int) or n % BLOCK:
        missing = ops.zeros((before, blocks * BLOCK - n, after), dtype=x.dtype)
        x = ops.concatenate([x, missing], axis=1)
    # A block is every so manyth row: a view whose products need no transposition.
    x = ops.reshape(x, (before, BLOCK, blocks * after))
    plain, shrunk = (
        ops.reshape(_at_once(x, BLOCK, spare), (before, blocks, after))
        for spare in (0, _SPARE)
    )
    fits = ops.all(ops.isfinite(plain), axis=1, keepdims=True)
    zeros = ops.zeros_like(plain)
    kept = [ops.where(fits, plain, zeros), ops.where(fits, zeros, shrunk)]
    weight = small_power_of_two(exponent, bits.name_of(x))
    weights = [weight, weight * 2.0**_SPARE]
    row = ops.concatenate([ops.broadcast_to(w, (1, blocks)) for w in weights], axis=1)
    return _product(row, ops.concatenate(kept, axis=1))


def _at_once(x: Any, n: Any, exponent: Any) -> Any:
    """The same by one product."""
    weight = small_power_of_two(exponent, bits.name_of(x))
    return _product(ops.broadcast_to(weight, (1, n)), x)


def _product(row: Any, x: Any) -> Any:
    """[1, n] times [before, n, after] -> [before, 1, after]."""
    if x.shape[0] == 1:
        return ops.expand_dims(ops.matmul(row, ops.squeeze(x, 0)), 0)
    if x.shape[2] != 1:
        return ops.matmul(row, x)
    # One product with a column, where a product for each row would be slow.
    part = ops.matmul(ops.squeeze(x, -1), ops.transpose(row))
    return ops.expand_dims(part, -1)


def row_sum(rows: Any) -> Any:
    """[n, columns] 16-bit -> [columns]: the sum of the rows, rounded once.

    Infinite only where the sum itself is beyond the format.
    """
    return weighted_row_sum(rows, 0)


def last_axis_sum(x: Any) -> Any:
    """[..., n] 16-bit -> [..., 1]: the sum along the last axis, rounded once."""
    own = backend.module().own_kernels(x)
    if own is not None:
        return own.last_axis_sum(x, 1)
    return ops.matmul(x, ops.ones((x.shape[-1], 1), dtype=x.dtype))


def weighted_last_axis_sum(x: Any, exponent: Any) -> Any:
    """[..., n] 16-bit -> [..., 1]: 2**-exponent times the sum, rounded once."""
    own = backend.module().own_kernels(x)
    if own is not None:
        return own.last_axis_sum(x, ops.left_shift(1, exponent))
    weight = small_power_of_two(exponent, bits.name_of(x))
    return ops.matmul(x, ops.broadcast_to(weight, (ops.shape(x)[-1], 1)))


def exponent_of_count(n: Any, spare: int = 0) -> Any:
    """Log2(n) rounded up, less `spare`, at least 0.

    The sum of n numbers below 1, times 2**-that, is at most 2**spare.
    """
    exponent = _ceiling_of_log2(n)
    if isinstance(exponent, int):
        return max(exponent - spare, 0)
    return ops.maximum(exponent - spare, 0)


def over_count(x: Any, n: Any) -> Any:
    """X / n for a whole number n that may itself be beyond the format."""
    exponent = _ceiling_of_log2(n)
    dtype = bits.name_of(x)
    # In this order nothing overflows; rounded, so that XLA does not multiply the
    # two factors first, whose product may be subnormal.
    part = bits.rounded(x * small_power_of_two(exponent, dtype))
    return part * _power_over_count(n, exponent, dtype)


def row_mean(rows: Any, mask: Any = None) -> Any:
    """[n, columns] 16-bit -> [columns]: the mean over the rows.

    Args:
        rows: [n, columns].
        mask: [n, 1] boolean, the rows that count; None for all. 0 of none.
    """
    n = ops.shape(rows)[0] if mask is None else count_of(mask)
    exponent = _ceiling_of_log2(n)
    dtype = bits.name_of(rows)
    if mask is not None:
        rows = ops.where(mask, rows, ops.zeros_like(rows))
    part = weighted_row_sum(rows, exponent)
    return part * _power_over_count(n, exponent, dtype)


def count_of(mask: Any) -> Any:
    """How many elements of a boolean tensor are true: int32 scalar."""
    return ops.sum(ops.cast(mask, "int32"))


def weighted_row_sum(rows: Any, exponent: Any) -> Any:
    """[n, columns] 16-bit -> [columns]: 2**-exponent times the sum of the rows.

    Args:
        rows: [n, columns].
        exponent: Whole number, so large that the result can't overflow: log2(n)
            rounded up makes it no larger than the largest element.
    """
    own = backend.module().own_kernels(rows)
    if own is not None:
        return own.row_sums(rows, ops.left_shift(1, exponent))
    n, in_three = ops.shape(rows)[0], ops.expand_dims(rows, 0)
    part = _weighted(in_three, n, exponent, LONGEST_OF_ROWS)
    return ops.reshape(part, (rows.shape[1],))


def small_power_of_two(exponent: Any, dtype: str) -> Any:
    """2**-exponent for 0 <= exponent <= 24, subnormal where it must be."""
    if isinstance(exponent, int):
        return ops.cast(2.0**-exponent, dtype)
    half = ops.right_shift(exponent, 1)
    first = bits.power_of_two(-half, dtype)
    return first * bits.power_of_two(half - exponent, dtype)


def _power_over_count(n: Any, exponent: Any, dtype: str) -> Any:
    """2**exponent / n, in [1, 2)."""
    if isinstance(n, int):
        return ops.cast(2.0**exponent / max(n, 1), dtype)
    # n / 2**exponent to 15 bits first, since n itself may not fit the format.
    extra = ops.maximum(exponent - 15, 0)
    count = ops.cast(ops.right_shift(n, extra), dtype)
    return bits.power_of_two(exponent - extra, dtype) / ops.maximum(count, 1)


def _ceiling_of_log2(n: Any) -> Any:
    if isinstance(n, int):
        return max(n - 1, 0).bit_length()
    return _traced_ceiling()(n)


@functools.cache
def _traced_ceiling() -> Callable[[Any], Any]:
    return backend.module().traced_once(
        lambda n: bits.bit_length(ops.maximum(ops.cast(n, "int32") - 1, 0))
    )


def standardized(axis: Any, rank: int) -> tuple[int, ...]:
    """Axes as a tuple of numbers from 0 on; None is all of them."""
    if axis is None:
        return tuple(range(rank))
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    return tuple(sorted(a % rank for a in axes))


def _in_three(x: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """[before, reduced, after], and the length of the reduced axis.

    Axes that stand together need no transposition.
    """
    rank = len(x.shape)
    if axes[-1] - axes[0] != len(axes) - 1:
        kept = [a for a in range(rank) if a not in axes]
        x, axes = ops.transpose(x, [*axes, *kept]), tuple(range(len(axes)))
    shape = ops.shape(x)
    first, last = axes[0], axes[-1] + 1
    n = product(shape[first:last])
    after = product(shape[last:])
    return ops.reshape(x, (product(shape[:first]), n, after)), n


def product(sizes: Any) -> Any:
    """The product of sizes, some of them known only when the graph runs."""
    product = 1
    for size in sizes:
        product = product * size
    return product


def _result_shape(x: Any, axes: tuple[int, ...], keepdims: bool) -> tuple[Any, ...]:
    shape = ops.shape(x)
    if keepdims:
        return tuple(1 if a in axes else size for a, size in enumerate(shape))
    return tuple(size for a, size in enumerate(shape) if a not in axes)
