"""Recurrent layers whose activations are right in 16 bits.

Their slopes are: Keras' tanh has the slope 0 from 4.2 on, where it is 9e-4. The
gradient of a weight is added up step by step, in 16 bits, by the loop over time: its
rounding errors grow as the root of the number of steps.
"""

from __future__ import annotations

import keras

from keras16.layers._activations import SixteenBitActivations


@keras.saving.register_keras_serializable(package="keras16")
class SimpleRNNCell(SixteenBitActivations, keras.layers.SimpleRNNCell):
    """Keras' layer, its activations in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class SimpleRNN(SixteenBitActivations, keras.layers.SimpleRNN):
    """Keras' layer, its activations in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class GRUCell(SixteenBitActivations, keras.layers.GRUCell):
    """Keras' layer, its activations in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class GRU(SixteenBitActivations, keras.layers.GRU):
    """Keras' layer, its activations in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class LSTMCell(SixteenBitActivations, keras.layers.LSTMCell):
    """Keras' layer, its activations in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class LSTM(SixteenBitActivations, keras.layers.LSTM):
    """Keras' layer, its activations in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class ConvLSTM1D(SixteenBitActivations, keras.layers.ConvLSTM1D):
    """Keras' layer, its activations in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class ConvLSTM2D(SixteenBitActivations, keras.layers.ConvLSTM2D):
    """Keras' layer, its activations in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class ConvLSTM3D(SixteenBitActivations, keras.layers.ConvLSTM3D):
    """Keras' layer, its activations in 16 bits where its inputs are."""
