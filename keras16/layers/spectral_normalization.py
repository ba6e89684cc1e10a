"""Spectral normalization in 16 bits."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.numerics import bits, extremes, normalization, products


@keras.saving.register_keras_serializable(package="keras16")
class SpectralNormalization(keras.layers.SpectralNormalization):
    """Keras' wrapper, whose squares vanish or overflow in 16 bits.

    Args: as `keras.layers.SpectralNormalization`.

    Source: Miyato et al., arXiv 1802.05957, algorithm 1.
    """

    def normalized_weights(self) -> Any:
        kernel = bits.read(self.kernel)
        if not bits.is_16_bit(kernel.dtype):
            return super().normalized_weights()
        weights = ops.reshape(kernel, (-1, self.kernel_shape[-1]))
        # The largest weight is brought to about 1: so are the vectors' products.
        scale = bits.scale_to_one(extremes.magnitude(weights))
        weights = ops.stop_gradient(weights * scale)
        right = bits.read(self.vector_u)
        for _ in range(self.power_iterations):
            left = _unit(products.matmul(weights, ops.transpose(right)))
            right = _unit(products.matmul(ops.transpose(left), weights))
        stretched = products.matmul(ops.transpose(left), weights)
        sigma = products.matmul(stretched, ops.transpose(right))
        normalized = ops.reshape(weights / sigma, self.kernel_shape)
        return right, normalized


def _unit(vector: Any) -> Any:
    return normalization.over_norm(vector, (0, 1))
