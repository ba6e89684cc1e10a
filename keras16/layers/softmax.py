"""Softmax in 16 bits."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.numerics import bits, softmax


@keras.saving.register_keras_serializable(package="keras16")
class Softmax(keras.layers.Softmax):
    """Keras' layer; its own adds up the gradient in 16 bits.

    Args: as `keras.layers.Softmax`. What is masked is exactly 0, with a gradient
        of 0.
    """

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if not bits.is_16_bit(inputs.dtype):
            return super().call(inputs, mask=mask)
        if mask is None:
            return softmax.softmax(inputs, self.axis)
        return masked(inputs, mask, self.axis)


def masked(scores: Any, mask: Any, axis: Any = -1) -> Any:
    """Softmax over what a mask keeps; 0 elsewhere, also where it keeps nothing.

    Args:
        scores: 16-bit tensor.
        mask: Boolean or 0 and 1, broadcastable to the scores.
        axis: The axis or axes that add up to 1.
    """
    mask = ops.cast(mask, "bool")
    lowest = -65504.0 if bits.name_of(scores) == "float16" else -1e9
    outputs = softmax.softmax(ops.where(mask, scores, lowest), axis)
    return ops.where(mask, outputs, 0)
