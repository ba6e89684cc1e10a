"""Test-time augmentation as two layers: a net answers by the mean over six views."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.numerics import bits, reductions

VIEWS = 6


@keras.saving.register_keras_serializable(package="keras16")
class Views(keras.layers.Layer):
    """Six views of each image where a net isn't trained; in training the image alone.

    The image, and it shifted by a pixel up and left, and down and right, its edge
    mirrored outwards; and the mirror images of all three.

    Source: Jordan, arXiv 2404.00498, section 3.5, who weighs the image itself more.
    """

    def call(self, images: Any, training: Any = None) -> Any:
        """[n, height, width, channels] -> [6 n, ...], the first n the images."""
        if training:
            return images
        height, width = images.shape[1:3]
        padded = ops.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
        upwards = padded[:, 2:, 2:]
        downwards = padded[:, :height, :width]
        shifted = ops.concatenate([images, upwards, downwards], axis=0)
        return ops.concatenate([shifted, ops.flip(shifted, axis=2)], axis=0)


@keras.saving.register_keras_serializable(package="keras16")
class MeanOfViews(keras.layers.Layer):
    """The mean over the views of each image; what comes in, in training.

    Of what enters the last dense layer it is as good as the mean of the logits.
    """

    def call(self, features: Any, training: Any = None) -> Any:
        """[6 n, features] -> [n, features]."""
        if training:
            return features
        views = ops.reshape(features, (VIEWS, -1, features.shape[-1]))
        mean = reductions.mean if bits.is_16_bit(views.dtype) else ops.mean
        return mean(views, 0)

    def compute_output_shape(self, input_shape: Any) -> Any:
        # Not to be found out by tracing: no unknown batch is known to be one of six.
        return (None, *input_shape[1:])
