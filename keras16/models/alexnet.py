"""AlexNet for CIFAR-10, as arXiv 2305.10947 trains it.

Five convolutions and two dense layers of 4,096 units, after Krizhevsky et al., 2012.
The paper prints 2.09 million parameters. Its released net has 20,972,394, and 2.09 is
that with the point one place too far to the left, cut off after two digits: the
second dense layer alone has 16.8 million.
"""

from __future__ import annotations

import keras

from keras16.layers import Conv2D, Dense, Dropout, MaxPooling2D
from keras16.models import _images

SMALLEST = 27  # pixels: what leaves one after strides of 2, 2, 2 and 2
UNITS = 4096


def build(input_shape: tuple[int, ...], classes: int) -> keras.Model:
    """20,972,394 parameters on (32, 32, 3) and 10 classes.

    Args:
        input_shape: (height, width, channels), at least 27 x 27.
        classes: Number of logits.

    Raises:
        UserError: Inputs that are no images, or too small ones.
    """
    _images.check("alexnet", input_shape, SMALLEST, instead="resnet20")
    return keras.Sequential(
        [
            keras.Input(input_shape),
            _convolution(64, "conv_1", strides=2),
            MaxPooling2D(2, name="pool_1"),
            _convolution(96, "conv_2"),
            MaxPooling2D(3, strides=2, name="pool_2"),
            _convolution(256, "conv_3"),
            _convolution(256, "conv_4"),
            _convolution(512, "conv_5"),
            MaxPooling2D(3, strides=2, name="pool_5"),
            keras.layers.Flatten(name="flatten"),
            Dense(UNITS, activation="tanh", name="dense_1"),
            Dropout(0.5, name="dropout_1"),
            Dense(UNITS, activation="tanh", name="dense_2"),
            Dropout(0.5, name="dropout_2"),
            Dense(classes, name="logits"),
        ],
        name="alexnet",
    )


def _convolution(filters: int, name: str, strides: int = 1) -> keras.layers.Layer:
    return Conv2D(filters, 3, strides, padding="same", activation="relu", name=name)
