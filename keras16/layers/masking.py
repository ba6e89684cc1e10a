"""Masking in 16 bits."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.numerics import bits


@keras.saving.register_keras_serializable(package="keras16")
class Masking(keras.layers.Masking):
    """Keras' layer, whose own comparison is in float32."""

    def call(self, inputs: Any) -> Any:
        if not bits.is_16_bit(inputs.dtype):
            return super().call(inputs)
        kept = ops.expand_dims(self.compute_mask(inputs), -1)
        return ops.where(kept, inputs, ops.zeros_like(inputs))

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if not bits.is_16_bit(inputs.dtype):
            return super().compute_mask(inputs, mask)
        value = bits.host_cast(self.mask_value, bits.name_of(inputs))
        return ops.any(inputs != ops.convert_to_tensor(value), axis=-1)
