"""Keras layers that would compute in float32 under float16, rewritten.

Each takes the arguments of Keras' class of the same name, and is that class
where its variables are not 16 bits wide.
"""

from keras16.layers.batch_normalization import BatchNormalization
from keras16.layers.global_average_pooling import (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
)
from keras16.layers.rescaling import Rescaling

__all__ = [
    "BatchNormalization",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "Rescaling",
]
