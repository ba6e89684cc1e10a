"""Layer normalization in 16 bits."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.layers import _parameters
from keras16.numerics import bits, normalization


@keras.saving.register_keras_serializable(package="keras16")
class LayerNormalization(keras.layers.LayerNormalization):
    """Keras' layer normalization, wholly in 16 bits where its inputs are.

    Keras' own casts its inputs to float32. Each example is brought to about 64 by an
    exact power of two instead, so that inputs from 1e-6 to 6e4 work, and sums are
    matrix products (see `keras16.numerics.normalization`).

    Args: as `keras.layers.LayerNormalization`.

    Source: Ba, Kiros and Hinton, arXiv 1607.06450; backward pass by hand.
    """

    def call(self, inputs: Any) -> Any:
        if not bits.is_16_bit(self.compute_dtype):
            return super().call(inputs)
        inputs = ops.cast(inputs, self.compute_dtype)
        axes = _parameters.axes_of(inputs, self.axis)
        divide = normalization.standardize
        if self.rms_scaling:
            divide = normalization.over_deviation
        unit = divide(inputs, axes, self.epsilon)
        return _parameters.affine(unit, axes, self.gamma, self.beta)
