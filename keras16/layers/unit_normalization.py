"""Unit normalization in 16 bits."""

from __future__ import annotations

from typing import Any

import keras

from keras16.layers import _parameters
from keras16.numerics import bits, normalization


@keras.saving.register_keras_serializable(package="keras16")
class UnitNormalization(keras.layers.UnitNormalization):
    """Keras' layer, whose squares overflow from 256 on and vanish below 2e-4.

    Zeros give zeros, with a gradient of zero where Keras' is 1e12.

    Args: as `keras.layers.UnitNormalization`.
    """

    def call(self, inputs: Any) -> Any:
        if not bits.is_16_bit(inputs.dtype):
            return super().call(inputs)
        return normalization.over_norm(inputs, _parameters.axes_of(inputs, self.axis))
