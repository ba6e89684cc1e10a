"""The nets of Simonyan and Zisserman, arXiv 1409.1556, as arXiv 2305.10947 has them.

Configurations D and E with a batch normalization after each pooling, as in the paper's
released script; keras.applications has them without any.
"""

from __future__ import annotations

from typing import Any

import keras

from keras16.errors import UserError
from keras16.layers import BatchNormalization, Conv2D, Dense, MaxPooling2D
from keras16.models import _images

FILTERS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
SMALLEST = 32  # pixels: five poolings leave one
UNITS = 4096


def build(input_shape: tuple[int, ...], classes: int, depth: int = 16) -> keras.Model:
    """33,644,106 parameters at depth 16 on (32, 32, 3), 38,953,802 at 19.

    arXiv 2305.10947 prints 33.76 and 38.36 million.

    Args:
        input_shape: (height, width, channels), at least 32 x 32.
        classes: Number of logits.
        depth: 16 or 19 layers with weights, batch normalization apart.

    Raises:
        UserError: Another depth, inputs that are no images, or too small ones.
    """
    if depth not in CONVOLUTIONS:
        raise UserError(f"no vgg{depth}: there are vgg16 and vgg19.")
    name = f"vgg{depth}"
    enlarging = f"applications.VGG{depth}, which enlarges them"
    _images.check(name, input_shape, SMALLEST, instead=enlarging)
    inputs = x = keras.Input(input_shape)
    for stage, count in enumerate(CONVOLUTIONS[depth], start=1):
        x = _stage(x, FILTERS[stage - 1], count, f"block{stage}")
    x = keras.layers.Flatten(name="flatten")(x)
    x = Dense(UNITS, activation="relu", name="dense_1")(x)
    x = Dense(UNITS, activation="relu", name="dense_2")(x)
    return keras.Model(inputs, Dense(classes, name="logits")(x), name=name)


def _stage(x: Any, filters: int, count: int, name: str) -> Any:
    for number in range(1, count + 1):
        convolution = f"{name}_conv{number}"
        x = Conv2D(filters, 3, padding="same", activation="relu", name=convolution)(x)
    x = MaxPooling2D(2, name=f"{name}_pool")(x)
    return BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
