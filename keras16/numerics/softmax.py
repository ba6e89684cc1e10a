"""Softmax cross-entropy of integer labels in 16 bits, with its gradient."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.numerics import bits, reductions, rounding


def sparse_cross_entropy(labels: Any, logits: Any) -> Any:
    """Cross-entropy of each row of logits with its class id, in nats.

    The largest logit is left out of the sum of exponentials, so that the rest
    keeps its relative precision: log1p(rest), where log(1 + rest) would round
    every loss below 2**-12 to 0. The gradient of the labelled class is minus the
    sum of the other probabilities, never p - 1.

    Args:
        labels: [...] integer class ids.
        logits: [..., classes] 16-bit.

    Returns:
        [...] of the logits' dtype; infinite only where the loss is beyond the
        format. A label outside [0, classes) counts as a class of probability 0.
    """
    labels = ops.cast(labels, "int32")

    @ops.custom_gradient
    def cross_entropy(logits):
        parts = _Softmax(logits, labels)

        def backward(*upstream):
            gradient = keras.tree.flatten(upstream)[0]
            return parts.gradient(ops.expand_dims(gradient, -1))

        return parts.loss, backward

    return cross_entropy(logits)


class _Softmax:
    """Exponentials of the logits, and the sums over the other classes."""

    def __init__(self, logits: Any, labels: Any) -> None:
        dtype, classes = logits.dtype, logits.shape[-1]
        top = bits.argmax(logits)
        self.is_top = ops.one_hot(top, classes, dtype=dtype)
        self.is_label = ops.one_hot(labels, classes, dtype=dtype)
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
        of_label = _row_sum(ops.where(self.is_label > 0, shifted, 0))
        self.loss = ops.squeeze(ops.log1p(self.rest) - of_label, -1)

    def gradient(self, upstream: Any) -> Any:
        """Upstream x (softmax - one-hot), [..., classes]."""
        label_is_top = _row_sum(self.is_label * self.is_top)
        others = self.rest + (1 - label_is_top) * (
            1 - _row_sum(self.exponentials * self.is_label)
        )
        scale = upstream / (1 + self.rest)
        pull = self.is_label * (-others * scale)
        return ops.where(self.is_label > 0, pull, self.exponentials * scale)


def _row_sum(x: Any) -> Any:
    """[..., n] -> [..., 1], added inside a matrix product."""
    return reductions.last_axis_sum(x)
