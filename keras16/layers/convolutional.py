"""Convolutions whose activations are right in 16 bits.

The convolutions are Keras': their kernels accumulate wider inside. Eigen's, which
TensorFlow uses where neither oneDNN, cuDNN nor XLA compiles the step, may not.
"""

from __future__ import annotations

import keras

from keras16.layers._activations import SixteenBitActivations
from keras16.layers._compiled import ComputedOnce


@keras.saving.register_keras_serializable(package="keras16")
class Conv1D(ComputedOnce, SixteenBitActivations, keras.layers.Conv1D):
    """Keras' layer, its activation in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class Conv2D(ComputedOnce, SixteenBitActivations, keras.layers.Conv2D):
    """Keras' layer, its activation in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class Conv3D(ComputedOnce, SixteenBitActivations, keras.layers.Conv3D):
    """Keras' layer, its activation in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class Conv1DTranspose(
    ComputedOnce, SixteenBitActivations, keras.layers.Conv1DTranspose
):
    """Keras' layer, its activation in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class Conv2DTranspose(
    ComputedOnce, SixteenBitActivations, keras.layers.Conv2DTranspose
):
    """Keras' layer, its activation in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class Conv3DTranspose(
    ComputedOnce, SixteenBitActivations, keras.layers.Conv3DTranspose
):
    """Keras' layer, its activation in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class DepthwiseConv1D(
    ComputedOnce, SixteenBitActivations, keras.layers.DepthwiseConv1D
):
    """Keras' layer, its activation in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class DepthwiseConv2D(
    ComputedOnce, SixteenBitActivations, keras.layers.DepthwiseConv2D
):
    """Keras' layer, its activation in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class SeparableConv1D(
    ComputedOnce, SixteenBitActivations, keras.layers.SeparableConv1D
):
    """Keras' layer, its activation in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class SeparableConv2D(
    ComputedOnce, SixteenBitActivations, keras.layers.SeparableConv2D
):
    """Keras' layer, its activation in 16 bits where its inputs are."""
