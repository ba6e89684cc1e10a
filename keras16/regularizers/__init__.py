"""Penalties on weights that neither overflow nor stall in 16 bits.

Each takes the arguments of Keras' class of the same name, and is that class for
weights that are not 16 bits wide. `get` finds the one for a name or an object.
"""

from keras16.regularizers.lookup import get
from keras16.regularizers.norms import L1, L1L2, L2
from keras16.regularizers.orthogonal import OrthogonalRegularizer

__all__ = ["L1", "L1L2", "L2", "OrthogonalRegularizer", "get"]
