"""Optimizers whose state is 16-bit and whose steps are those of float64."""

from keras16.optimizers.adam import Adam
from keras16.optimizers.rmsprop import RMSprop
from keras16.optimizers.sgd import SGD

__all__ = ["Adam", "RMSprop", "SGD"]
