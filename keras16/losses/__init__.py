"""Losses that neither overflow nor lose their gradients in 16 bits."""

from keras16.losses.sparse_categorical_crossentropy import (
    SparseCategoricalCrossentropy,
)

__all__ = ["SparseCategoricalCrossentropy"]
