"""A small convolutional net with batch normalization."""

from __future__ import annotations

import keras

from keras16.layers import BatchNormalization, Conv2D, Dense, MaxPooling2D, ReLU
from keras16.models import _images

FILTERS = (16, 32, 64)


def build(input_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Convolution, batch normalization, ReLU and pooling, three times.

    Args:
        input_shape: (height, width, channels), at least 8 x 8.
        classes: Number of logits.
    """
    _images.check("cnn", input_shape, 8)
    inputs = x = keras.Input(input_shape)
    for stage, filters in enumerate(FILTERS, start=1):
        x = Conv2D(filters, 3, padding="same", use_bias=False, name=f"conv_{stage}")(x)
        x = BatchNormalization(momentum=0.9, name=f"norm_{stage}")(x)
        x = ReLU(name=f"relu_{stage}")(x)
        x = MaxPooling2D(2, name=f"pool_{stage}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    logits = Dense(classes, name="logits")(x)
    return keras.Model(inputs, logits, name="cnn")
