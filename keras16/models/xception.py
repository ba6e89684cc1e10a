"""Xception of Chollet, arXiv 1610.02357: Keras' own, with a hidden layer on top.

As arXiv 2305.10947 trains it on CIFAR-10. Its 22.96 million parameters are Keras' net
and a dense layer of 1,024 units before the last one (22,969,906, cut off); with Keras'
own top there are 20,881,970.
"""

from __future__ import annotations

import keras

from keras16.layers import Dense, GlobalAveragePooling2D
from keras16.models import _images

# Pixels. Keras asks for 71; given a tensor, it takes all that the convolutions take.
# The paper's images are 32 x 32, and so are those that its script feeds.
SMALLEST = 8
UNITS = 1024


def build(input_shape: tuple[int, ...], classes: int) -> keras.Model:
    """22,969,906 parameters on (32, 32, 3) and 10 classes.

    Args:
        input_shape: (height, width, channels), at least 8 x 8; not enlarged.
        classes: Number of logits.

    Raises:
        UserError: Inputs that are no images, or too small ones.
    """
    _images.check("xception", input_shape, SMALLEST)
    inputs = keras.Input(input_shape)
    net = keras.applications.Xception(
        include_top=False, weights=None, input_tensor=inputs
    )
    x = GlobalAveragePooling2D(name="average")(net.output)
    x = Dense(UNITS, activation="relu", name="hidden")(x)
    return keras.Model(inputs, Dense(classes, name="logits")(x), name="xception")
