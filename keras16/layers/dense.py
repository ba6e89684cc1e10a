"""Dense layers and activations that are right in 16 bits."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.layers._activations import SixteenBitActivations, sixteen_bit
from keras16.layers._compiled import ComputedOnce
from keras16.layers.own_kernels import Multiplied
from keras16.numerics import bits, broadcasting, products


@keras.saving.register_keras_serializable(package="keras16")
class Activation(SixteenBitActivations, keras.layers.Activation):
    """Keras' layer, its function in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class Dense(ComputedOnce, SixteenBitActivations, Multiplied, keras.layers.Dense):
    """Keras' layer, its activation in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class EinsumDense(ComputedOnce, SixteenBitActivations, keras.layers.EinsumDense):
    """Keras' layer, whose bias's gradient stalls at 2,048 examples in 16 bits.

    A bias of two dimensions, as in every attention head, misses TensorFlow's
    `BiasAdd` and is summed up in 16 bits. Here the sum is a matrix product.
    """

    def call(self, inputs: Any, training: Any = None) -> Any:
        if not bits.is_16_bit(self.compute_dtype):
            return super().call(inputs, training=training)
        kernel = ops.convert_to_tensor(self.kernel)
        x = products.einsum(self.equation, inputs, kernel)
        if self.bias is not None:
            x = broadcasting.add(x, ops.convert_to_tensor(self.bias))
        return x if self.activation is None else self.activation(x)


@keras.saving.register_keras_serializable(package="keras16")
class ELU(keras.layers.ELU):
    """Keras' layer, which loses small values and slopes in 16 bits."""

    def call(self, inputs: Any) -> Any:
        return sixteen_bit(keras.activations.elu)(inputs, alpha=self.alpha)


@keras.saving.register_keras_serializable(package="keras16")
class PReLU(keras.layers.PReLU):
    """Keras' layer, whose slope's gradient stalls at 2,048 examples in 16 bits."""

    def call(self, inputs: Any) -> Any:
        if not bits.is_16_bit(inputs.dtype):
            return super().call(inputs)
        below = ops.minimum(inputs, 0)
        alpha = ops.expand_dims(ops.convert_to_tensor(self.alpha), 0)
        return ops.maximum(inputs, 0) + broadcasting.multiply(below, alpha)


@keras.saving.register_keras_serializable(package="keras16")
class ReLU(keras.layers.ReLU):
    """Keras' layer, by a kernel of keras16's where there is one."""

    def call(self, inputs: Any) -> Any:
        relu = sixteen_bit(keras.activations.relu)
        return relu(inputs, self.negative_slope, self.max_value, self.threshold)
