"""A small convolutional net with batch normalization."""

from __future__ import annotations

import keras

from keras16.errors import UserError
from keras16.layers import BatchNormalization, Conv2D, Dense, MaxPooling2D

FILTERS = (16, 32, 64)


def build(input_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Convolution, batch normalization, ReLU and pooling, three times.

    Args:
        input_shape: (height, width, channels), at least 8 x 8.
        classes: Number of logits.
    """
    if len(input_shape) != 3 or min(input_shape[:2]) < 8:
        raise UserError(
            f"model cnn wants images of 8 x 8 pixels or more, not inputs of shape "
            f"{input_shape}: use --model dnn."
        )
    inputs = x = keras.Input(input_shape)
    for stage, filters in enumerate(FILTERS, start=1):
        x = Conv2D(filters, 3, padding="same", use_bias=False, name=f"conv_{stage}")(x)
        x = BatchNormalization(momentum=0.9, name=f"norm_{stage}")(x)
        x = keras.layers.ReLU(name=f"relu_{stage}")(x)
        x = MaxPooling2D(2, name=f"pool_{stage}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    logits = Dense(classes, name="logits")(x)
    return keras.Model(inputs, logits, name="cnn")
