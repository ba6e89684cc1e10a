"""Softmax and its logarithm in 16 bits, with their gradients."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras16 import backend
from keras16.numerics import bits, extremes, reductions, rounding
from keras16.numerics.derivatives import by_hand_once


def softmax(x: Any, axis: Any = -1) -> Any:
    """Exponentials over their sum along one or several axes.

    What the difference to the largest logit loses to rounding, up to 0.8 % of a
    probability, is put back. The gradient is invariant to a constant added to the
    incoming one: that of the largest logit is subtracted, so that a probability
    near 1 doesn't cancel. A probability below 6e-5 of the largest is right to 6e-8
    of it: there the exponentials are subnormal.

    Args:
        x: 16-bit logits; -inf gives 0.
        axis: The axis or axes that add up to 1; None for all.

    Returns:
        Tensor of x's shape and dtype.
    """

    @by_hand_once("softmax")
    def normalize(rows):
        exponentials = backend.one_pass(_exponentials)(rows, _top(rows))
        total = _Total(exponentials)

        def backward(gradient):
            return _softmax_gradient(gradient, exponentials, total)

        return total.divide(exponentials), backward

    def of_rows(rows):
        own = backend.module().own_kernels(rows)
        return normalize(rows) if own is None else own.softmax(rows)

    return _along_last(of_rows, x, axis)


def log_softmax(x: Any, axis: Any = -1) -> Any:
    """The logarithm of `softmax`, never infinite where the logits are finite.

    Args:
        x: 16-bit logits.
        axis: As of `softmax`.
    """

    @by_hand_once("the logarithm of softmax")
    def normalize(rows):
        parts = _Softmax(rows)
        logarithm = ops.log1p(parts.rest)
        outputs = (rows - ops.max(rows, axis=-1, keepdims=True)) - logarithm

        def backward(gradient):
            # Of the largest logit: g (1 - p) - p x (the others' g), uncancelled.
            others = _row_sum(gradient * (1 - parts.is_top))
            of_top = _row_sum(gradient * parts.is_top)
            share = parts.exponentials / (1 + parts.rest)
            at_top = of_top * (parts.rest / (1 + parts.rest)) - share * others
            elsewhere = gradient - share * (of_top + others)
            return ops.where(parts.is_top > 0, at_top, elsewhere)

        return outputs, backward

    return _along_last(normalize, x, axis)


class _Softmax:
    """Exponentials of the logits, and the sum of all but the largest."""

    def __init__(self, logits: Any) -> None:
        top = bits.argmax(logits)
        self.is_top = ops.one_hot(top, logits.shape[-1], dtype=logits.dtype)
        largest = ops.max(logits, axis=-1, keepdims=True)
        shifted, error = rounding.two_sum(logits, -largest)
        exponentials = ops.exp(shifted)
        # What rounded differences are off by: 2**-8 at -16, and so would exp be.
        # Where the difference overflows, the error is not finite and exp is 0.
        error = ops.where(exponentials > 0, error, ops.zeros_like(error))
        # Not exp(error): XLA would make exp(shifted + error) of the product.
        self.exponentials = exponentials + exponentials * ops.expm1(error)
        # Below 1 each, and 0 in place of the largest.
        self.rest = _row_sum(self.exponentials * (1 - self.is_top))


def _row_sum(x: Any) -> Any:
    """[..., n] -> [..., 1], added inside a matrix product."""
    return reductions.last_axis_sum(x)


class _Total:
    """The sum of each row of exponentials, times a power of two that keeps it small.

    The powers are 1 for rows of up to 4,096.
    """

    def __init__(self, exponentials: Any) -> None:
        length = ops.shape(exponentials)[-1]
        self.exponent = reductions.exponent_of_count(length, spare=12)
        self.power: Any = 1
        if not isinstance(self.exponent, int) or self.exponent:
            dtype = bits.name_of(exponentials)
            self.power = reductions.small_power_of_two(self.exponent, dtype)
        self.sum = self.of(exponentials)
        self.sum = ops.where(self.sum == 0, ops.ones_like(self.sum), self.sum)

    def of(self, rows: Any) -> Any:
        """The sum of other rows, times the same power."""
        return reductions.weighted_last_axis_sum(rows, self.exponent)

    def divide(self, rows: Any) -> Any:
        """Rows over the true sum."""
        return backend.one_pass(_quotient)(rows, self.sum, self.power)


def _softmax_gradient(gradient: Any, exponentials: Any, total: _Total) -> Any:
    scale = bits.scale_to_one(extremes.magnitude(gradient, -1, keepdims=True))
    keys = backend.one_pass(_keys_of_top)(gradient, scale, exponentials)
    of_top = bits.of_key(ops.max(keys, axis=-1, keepdims=True), bits.name_of(scale))
    less, along = backend.one_pass(_less_and_along)(
        gradient, scale, of_top, exponentials
    )
    mean = total.of(along) / total.sum
    return backend.one_pass(_pull)(
        less, mean, scale, exponentials, total.sum, total.power
    )


# Chains of element-wise operations, each one loop.


def _quotient(rows: Any, total: Any, power: Any) -> Any:
    return rows / total * power


def _keys_of_top(gradient: Any, scale: Any, exponentials: Any) -> Any:
    """The scaled gradients in order, below any of them where it is not a top's."""
    scaled = bits.rounded(gradient * scale)
    return bits.key(ops.where(exponentials == 1, scaled, ops.full_like(scaled, -4)))


def _less_and_along(
    gradient: Any, scale: Any, of_top: Any, exponentials: Any
) -> tuple[Any, Any]:
    less = bits.rounded(gradient * scale) - of_top
    return less, less * exponentials


def _pull(
    gradient: Any, mean: Any, scale: Any, exponentials: Any, total: Any, power: Any
) -> Any:
    # Scaled back before the division, which may end among the subnormals; by 4 less,
    # since the difference may be 4 times the largest gradient.
    pull = bits.rounded(exponentials * (gradient - mean) * 0.25) / scale
    return _quotient(pull, total * 0.25, power)


def _exponentials(rows: Any, top: Any) -> Any:
    """Exp(rows - top), as if the difference were not rounded."""
    difference, error = rounding.two_sum(rows, ops.broadcast_to(-top, ops.shape(rows)))
    exponentials = ops.exp(difference)
    # The error of an infinite difference is no number; that of 0 is of no matter. Not
    # where it is above 0: NaN is not.
    zeros = ops.zeros_like(exponentials)
    return ops.where(exponentials == 0, zeros, exponentials + exponentials * error)


def _top(rows: Any) -> Any:
    """The largest of each row, or 0 for a row of -inf alone."""
    top, _ = extremes.along(rows, -1)
    return ops.where(ops.isinf(top), ops.zeros_like(top), top)


def _along_last(function: Any, x: Any, axis: Any) -> Any:
    """Function of [n, length], along any axes of a tensor."""
    rank = len(x.shape)
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = list(range(rank)) if axis is None else sorted(a % rank for a in given)
    order = [*(a for a in range(rank) if a not in axes), *axes]
    moved = x if order == list(range(rank)) else ops.transpose(x, order)
    shape = ops.shape(moved)
    length = 1
    for size in shape[rank - len(axes) :]:
        length = length * size
    outputs = ops.reshape(function(ops.reshape(moved, (-1, length))), shape)
    back = [order.index(a) for a in range(rank)]
    return outputs if back == list(range(rank)) else ops.transpose(outputs, back)
