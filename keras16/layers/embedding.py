"""Embeddings whose gradients count every use, in 16 bits."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.numerics import bits, segments


@keras.saving.register_keras_serializable(package="keras16")
class Embedding(keras.layers.Embedding):
    """Keras' layer, whose gradient stalls where a row is used 2,048 times a batch.

    The gradients of a row's uses are added exactly (see
    `keras16.numerics.segments`, which tells the cost) and rounded once. The gradient
    is dense.

    Args: as `keras.layers.Embedding`.
    """

    def call(self, inputs: Any) -> Any:
        if not bits.is_16_bit(self.compute_dtype):
            return super().call(inputs)
        return _looked_up(self.embeddings, inputs)


@keras.saving.register_keras_serializable(package="keras16")
class ReversibleEmbedding(keras.layers.ReversibleEmbedding):
    """Keras' layer, its look-up as that of `Embedding`."""

    def call(self, inputs: Any, reverse: bool = False) -> Any:
        if reverse or not bits.is_16_bit(self.compute_dtype):
            return super().call(inputs, reverse=reverse)
        return _looked_up(self.embeddings, inputs)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if not self.mask_zero or not bits.is_16_bit(self.compute_dtype):
            return super().compute_mask(inputs, mask)
        # Class ids come as whole numbers; what is looked up in reverse doesn't.
        ids = "int" in keras.backend.standardize_dtype(inputs.dtype)
        return ops.not_equal(inputs, 0) if ids else None


def _looked_up(table: Any, ids: Any) -> Any:
    return segments.take_rows(table, ops.cast(ids, "int32"))
