"""Metrics that are right in 16 bits: exact sums, divided on the host."""

from keras16.metrics.mean import Mean
from keras16.metrics.sparse_categorical import (
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
)

__all__ = ["Mean", "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy"]
