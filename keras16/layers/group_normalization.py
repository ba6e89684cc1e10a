"""Group normalization in 16 bits."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.layers import _parameters
from keras16.numerics import bits, normalization


@keras.saving.register_keras_serializable(package="keras16")
class GroupNormalization(keras.layers.GroupNormalization):
    """Keras' group normalization, wholly in 16 bits where its inputs are.

    Keras' own casts its inputs to float32; here, as in `LayerNormalization`, powers
    of two and matrix products do without.

    Args: as `keras.layers.GroupNormalization`.

    Source: Wu and He, arXiv 1803.08494; backward pass by hand.
    """

    def call(self, inputs: Any) -> Any:
        if not bits.is_16_bit(self.compute_dtype):
            return super().call(inputs)
        inputs = ops.cast(inputs, self.compute_dtype)
        axis = self.axis % len(inputs.shape)
        shape = list(ops.shape(inputs))
        split = [self.groups, inputs.shape[axis] // self.groups]
        grouped = ops.reshape(inputs, [*shape[:axis], *split, *shape[axis + 1 :]])
        axes = tuple(a for a in range(1, len(grouped.shape)) if a != axis)
        unit = normalization.standardize(grouped, axes, self.epsilon)
        unit = ops.reshape(unit, shape)
        return _parameters.affine(unit, (axis,), self.gamma, self.beta)
