"""Losses that neither overflow nor lose their gradients in 16 bits.

Each takes the arguments of Keras' class of the same name, and is that class where
its dtype is not 16 bits wide. `get` finds the one that does what Keras would do
with a name, a function or an object of its own.
"""

from keras16.losses.binary import BinaryCrossentropy, BinaryFocalCrossentropy
from keras16.losses.categorical import (
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
)
from keras16.losses.function import Crossentropy, OfFunction
from keras16.losses.hinge import CategoricalHinge, Hinge, SquaredHinge
from keras16.losses.kl_divergence import KLDivergence
from keras16.losses.lookup import get
from keras16.losses.overlap import Dice, Tversky
from keras16.losses.refused import CTC, Circle
from keras16.losses.regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
)
from keras16.losses.smoothed import SmoothedCrossentropy
from keras16.losses.sparse_categorical_crossentropy import (
    CategoricalGeneralizedCrossEntropy,
    SparseCategoricalCrossentropy,
)

__all__ = [
    "CTC",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "CategoricalHinge",
    "Circle",
    "CosineSimilarity",
    "Crossentropy",
    "Dice",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "OfFunction",
    "Poisson",
    "SmoothedCrossentropy",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "Tversky",
    "get",
]
