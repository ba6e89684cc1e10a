"""Bounds on weights whose norms neither overflow nor stall in 16 bits.

Each takes the arguments of Keras' class of the same name, and is that class for
weights that are not 16 bits wide. `NonNeg` is Keras' own: a maximum is exact.
`get` finds the one for a name or an object.
"""

from keras.constraints import NonNeg

from keras16.constraints.lookup import get
from keras16.constraints.norms import MaxNorm, MinMaxNorm, UnitNorm

__all__ = ["MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "get"]
