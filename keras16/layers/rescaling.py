"""Rescaling whose factors are 16-bit from the start."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.numerics import bits


@keras.saving.register_keras_serializable(package="keras16")
class Rescaling(keras.layers.Rescaling):
    """Keras' `inputs * scale + offset`; its own makes float32 tensors of lists.

    Args: as `keras.layers.Rescaling`; a list gives one factor a channel.
    """

    def call(self, inputs: Any) -> Any:
        if not bits.is_16_bit(self.compute_dtype):
            return super().call(inputs)
        inputs = ops.cast(inputs, self.compute_dtype)
        return inputs * self._constant(self.scale) + self._constant(self.offset)

    def _constant(self, value: Any) -> Any:
        return ops.convert_to_tensor(bits.host_cast(value, self.compute_dtype))
