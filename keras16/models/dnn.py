"""A dense net: 512 and 256 hidden units, as in the MNIST study."""

from __future__ import annotations

import keras

from keras16.layers import Dense


def build(input_shape: tuple[int, ...], classes: int) -> keras.Model:
    """784-512-256-10 on MNIST: 535,818 parameters.

    Args:
        input_shape: Without the batch; any rank, flattened.
        classes: Number of logits.
    """
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Flatten(),
            Dense(512, activation="relu"),
            Dense(256, activation="relu"),
            Dense(classes, name="logits"),
        ],
        name="dnn",
    )
