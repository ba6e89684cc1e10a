"""Convolutions whose activations are right in 16 bits.

The convolutions are Keras': their kernels accumulate wider inside. Eigen's, which
TensorFlow uses where neither oneDNN, cuDNN nor XLA compiles the step, may not. On a CPU
depthwise ones are our own: nobody's kernels and gradients are fast there. So are the
others, in float16, where nobody's are (`keras16.kernels`).
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.layers._activations import SixteenBitActivations
from keras16.layers._compiled import ComputedOnce, missing
from keras16.layers._depthwise import Depthwise, Separable
from keras16.layers.own_kernels import Convolved, Transposed


@keras.saving.register_keras_serializable(package="keras16")
class Conv1D(ComputedOnce, SixteenBitActivations, Convolved, keras.layers.Conv1D):
    """Keras' layer, its activation in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class Conv2D(ComputedOnce, SixteenBitActivations, Convolved, keras.layers.Conv2D):
    """Keras' layer, its activation in 16 bits where its inputs are."""

    def call(self, inputs: Any) -> Any:
        rows, columns = missing(self, inputs.shape)
        if not rows and not columns:
            return super().call(inputs)
        # "same" puts zeros there anyway; what comes of them is cut off.
        padded = ops.pad(inputs, ((0, 0), (0, rows), (0, columns), (0, 0)))
        return super().call(padded)[:, : inputs.shape[1], : inputs.shape[2]]


@keras.saving.register_keras_serializable(package="keras16")
class Conv3D(ComputedOnce, SixteenBitActivations, Convolved, keras.layers.Conv3D):
    """Keras' layer, its activation in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class Conv1DTranspose(
    ComputedOnce, SixteenBitActivations, Transposed, keras.layers.Conv1DTranspose
):
    """Keras' layer, its activation in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class Conv2DTranspose(
    ComputedOnce, SixteenBitActivations, Transposed, keras.layers.Conv2DTranspose
):
    """Keras' layer, its activation in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class Conv3DTranspose(
    ComputedOnce, SixteenBitActivations, keras.layers.Conv3DTranspose
):
    """Keras' layer, its activation in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class DepthwiseConv1D(
    ComputedOnce, SixteenBitActivations, Depthwise, keras.layers.DepthwiseConv1D
):
    """Keras' layer with gradients of its own in 16 bits, and its activation in them.

    See `numerics.depthwise`.
    """


@keras.saving.register_keras_serializable(package="keras16")
class DepthwiseConv2D(
    ComputedOnce, SixteenBitActivations, Depthwise, keras.layers.DepthwiseConv2D
):
    """Keras' layer with gradients of its own in 16 bits, and its activation in them.

    See `numerics.depthwise`.
    """


@keras.saving.register_keras_serializable(package="keras16")
class SeparableConv1D(
    ComputedOnce, SixteenBitActivations, Separable, keras.layers.SeparableConv1D
):
    """Keras' layer with gradients of its own in 16 bits, and its activation in them.

    See `numerics.depthwise`.
    """


@keras.saving.register_keras_serializable(package="keras16")
class SeparableConv2D(
    ComputedOnce, SixteenBitActivations, Separable, keras.layers.SeparableConv2D
):
    """Keras' layer with gradients of its own in 16 bits, and its activation in them.

    See `numerics.depthwise`.
    """
