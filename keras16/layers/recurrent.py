"""Recurrent layers whose activations are right in 16 bits.

Their slopes are: Keras' tanh has the slope 0 from 4.2 on, where it is 9e-4. The
gradient of a weight is added up step by step, in 16 bits, by the loop over time: its
rounding errors grow as the root of the number of steps.
"""

from __future__ import annotations

from typing import Any

import keras

from keras16.backend import orthogonal
from keras16.layers._activations import SixteenBitActivations
from keras16.numerics import bits


class _Recurrent(SixteenBitActivations):
    """A mixin before Keras' layer, whose weights are orthogonal to begin with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if bits.is_16_bit(self.variable_dtype):  # type: ignore[attr-defined]
            orthogonal.draw_in_float32()


@keras.saving.register_keras_serializable(package="keras16")
class SimpleRNNCell(_Recurrent, keras.layers.SimpleRNNCell):
    """Keras' layer, its activations in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class SimpleRNN(_Recurrent, keras.layers.SimpleRNN):
    """Keras' layer, its activations in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class GRUCell(_Recurrent, keras.layers.GRUCell):
    """Keras' layer, its activations in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class GRU(_Recurrent, keras.layers.GRU):
    """Keras' layer, its activations in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class LSTMCell(_Recurrent, keras.layers.LSTMCell):
    """Keras' layer, its activations in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class LSTM(_Recurrent, keras.layers.LSTM):
    """Keras' layer, its activations in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class ConvLSTM1D(_Recurrent, keras.layers.ConvLSTM1D):
    """Keras' layer, its activations in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class ConvLSTM2D(_Recurrent, keras.layers.ConvLSTM2D):
    """Keras' layer, its activations in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class ConvLSTM3D(_Recurrent, keras.layers.ConvLSTM3D):
    """Keras' layer, its activations in 16 bits where its inputs are."""
