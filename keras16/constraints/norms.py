"""Bounds on the norms of weight vectors."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.numerics import bits, scaled
from keras16.numerics.regression import EPSILON
from keras16.numerics.scaled import Scaled


@keras.saving.register_keras_serializable(package="keras16")
class MaxNorm(keras.constraints.MaxNorm):
    """Keras' constraint of that name; norms of 256 and more are no infinity.

    A vector that is within the bound stays as it is, bit by bit.
    """

    def __call__(self, w: Any) -> Any:
        if not bits.is_16_bit(w.dtype):
            return super().__call__(w)
        w = ops.convert_to_tensor(w)
        entries, norms = _norms(w, self.axis)
        bound = scaled.constant(self.max_value, norms.dtype)
        excess = norms - bound
        scaled_down = scaled.value(entries * (bound / norms))
        return ops.where(excess.x > 0, scaled_down, w)


@keras.saving.register_keras_serializable(package="keras16")
class UnitNorm(keras.constraints.UnitNorm):
    """Keras' constraint of that name; norms of 256 and more are no infinity."""

    def __call__(self, w: Any) -> Any:
        if not bits.is_16_bit(w.dtype):
            return super().__call__(w)
        entries, norms = _norms(ops.convert_to_tensor(w), self.axis)
        return scaled.value(entries / (norms + EPSILON))


@keras.saving.register_keras_serializable(package="keras16")
class MinMaxNorm(keras.constraints.MinMaxNorm):
    """Keras' constraint of that name; norms of 256 and more are no infinity.

    A vector that is within the bounds stays as it is, bit by bit.
    """

    def __call__(self, w: Any) -> Any:
        if not bits.is_16_bit(w.dtype):
            return super().__call__(w)
        w = ops.convert_to_tensor(w)
        entries, norms = _norms(w, self.axis)
        low, high = (
            scaled.constant(bound, norms.dtype)
            for bound in (self.min_value, self.max_value)
        )
        is_low, is_high = (norms - low).x < 0, (norms - high).x > 0
        goal = scaled.where(is_low, low, scaled.where(is_high, high, norms))
        desired = goal * self.rate + norms * (1 - self.rate)
        moved = scaled.value(entries * (desired / (norms + EPSILON)))
        return ops.where(ops.logical_or(is_low, is_high), moved, w)


def _norms(w: Any, axis: Any) -> tuple[Scaled, Scaled]:
    """The entries of weights, and their norms along some axes, kept at length 1."""
    entries = scaled.of(w)
    squares = scaled.total(entries * entries, axis, keepdims=True)
    return entries, scaled.square_root(squares)
