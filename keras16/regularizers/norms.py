"""Sums of magnitudes and of squares of weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras16.numerics import bits, scaled
from keras16.numerics.derivatives import by_hand_once
from keras16.numerics.regression import sign
from keras16.numerics.scaled import Scaled

Penalty = Callable[[Scaled], tuple[Scaled, Scaled]]


@keras.saving.register_keras_serializable(package="keras16")
class L1(keras.regularizers.L1):
    """Keras' `l1 * sum(abs(x))`; infinite only where the product is."""

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1)
        # Keras' own makes a float32 tensor of the factor.
        self.l1 = 0.01 if l1 is None else float(l1)

    def __call__(self, x: Any) -> Any:
        if not bits.is_16_bit(x.dtype):
            return super().__call__(x)
        return penalized(x, lambda w: _sum(w, self.l1, 0.0))


@keras.saving.register_keras_serializable(package="keras16")
class L2(keras.regularizers.L2):
    """Keras' `l2 * sum(x**2)`; a sum of squares beyond 65,504 is no infinity."""

    def __call__(self, x: Any) -> Any:
        if not bits.is_16_bit(x.dtype):
            return super().__call__(x)
        return penalized(x, lambda w: _sum(w, 0.0, self.l2))


@keras.saving.register_keras_serializable(package="keras16")
class L1L2(keras.regularizers.L1L2):
    """Keras' sum of both."""

    def __call__(self, x: Any) -> Any:
        if not bits.is_16_bit(x.dtype):
            return super().__call__(x)
        return penalized(x, lambda w: _sum(w, self.l1, self.l2))


def penalized(x: Any, penalty: Penalty) -> Any:
    """A penalty of a 16-bit tensor, its gradient by hand and rounded once.

    Args:
        x: 16-bit tensor of any shape.
        penalty: Gives the penalty, a scalar, and its derivative by x.
    """

    @by_hand_once("a regularizer")
    def total(x):
        value, slope = penalty(scaled.of(x))

        def backward(gradient):
            return scaled.saturated(slope * scaled.of(gradient))

        return scaled.value(value), backward

    return total(ops.convert_to_tensor(x))


def _sum(w: Scaled, l1: float, l2: float) -> tuple[Scaled, Scaled]:
    value, slope = scaled.constant(0.0, w.dtype), w * 0.0
    if l1:
        value, slope = value + scaled.total(abs(w)) * l1, slope + sign(w) * l1
    if l2:
        value, slope = value + scaled.total(w * w) * l2, slope + w * (2 * l2)
    return value, slope
