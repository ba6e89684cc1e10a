"""Vision transformers for CIFAR-10, as arXiv 2305.10947 trains them.

Patches of 6 x 6 pixels, 64 dimensions, 4 heads of 64, normalized after each sum
(Vaswani et al., arXiv 1706.03762; patches as Dosovitskiy et al., arXiv 2010.11929).

The paper prints 2.02 and 2.55 million parameters, hence 0.132 to 0.135 a block: a
hidden layer of 512. What is left fits 25 patches (images of 32 x 32, not enlarged) and
a head of 512 and 256; the released script has 512 and 512: 2.16 and 2.69 million.
"""

from __future__ import annotations

from typing import Any

import keras

from keras16.errors import UserError
from keras16.layers import (
    Add,
    Dense,
    Dropout,
    EinsumDense,
    LayerNormalization,
    MultiHeadAttention,
)
from keras16.models import _images

PATCH = 6  # pixels a side
DIMENSIONS = 64
HEADS = 4
HIDDEN = 512
HEAD = (512, 256)
EPSILON = 1e-6


def build(input_shape: tuple[int, ...], classes: int, depth: int = 8) -> keras.Model:
    """2,024,138 parameters with 8 blocks on (32, 32, 3), 2,555,082 with 12.

    Args:
        input_shape: (height, width, channels), at least 6 x 6; what is left of the
            last patch at the bottom and on the right is not seen.
        classes: Number of logits.
        depth: Blocks of attention and two dense layers.

    Raises:
        UserError: No blocks, inputs that are no images, or too small ones.
    """
    if depth < 1:
        raise UserError(
            f"no vit{depth}: the depth is the number of blocks, as in vit8."
        )
    _images.check(f"vit{depth}", input_shape, PATCH)
    inputs = keras.Input(input_shape)
    x = _embedded_patches(inputs)
    for block in range(1, depth + 1):
        x = _block(x, f"block{block}")
    x = LayerNormalization(epsilon=EPSILON, name="norm")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = Dropout(0.5, name="dropout")(x)
    for number, units in enumerate(HEAD, start=1):
        x = Dense(units, activation="gelu", name=f"head_{number}")(x)
    logits = Dense(classes, name="logits")(x)
    return keras.Model(inputs, logits, name=f"vit{depth}")


def _embedded_patches(images: Any) -> Any:
    """[batch, height, width, channels] -> [batch, patches, dimensions].

    The bias, one of each patch, is the embedding of its position.
    """
    height, width, channels = images.shape[1:]
    rows, columns = height // PATCH, width // PATCH
    spare = ((0, height - rows * PATCH), (0, width - columns * PATCH))
    x = keras.layers.Cropping2D(spare, name="whole_patches")(images)
    split = (rows, PATCH, columns, PATCH, channels)
    x = keras.layers.Reshape(split, name="split")(x)
    x = keras.layers.Permute((1, 3, 2, 4, 5), name="patch_by_patch")(x)
    flat = (rows * columns, PATCH * PATCH * channels)
    x = keras.layers.Reshape(flat, name="patches")(x)
    return EinsumDense(
        "bpi,id->bpd",
        output_shape=(rows * columns, DIMENSIONS),
        bias_axes="pd",
        bias_initializer="random_uniform",  # as Keras' Embedding draws
        name="embedding",
    )(x)


def _block(x: Any, name: str) -> Any:
    attended = MultiHeadAttention(HEADS, DIMENSIONS, name=f"{name}_attention")(x, x)
    x = _added(x, attended, f"{name}_attention")
    dense = Dense(HIDDEN, activation="gelu", name=f"{name}_dense_1")(x)
    dense = Dense(DIMENSIONS, name=f"{name}_dense_2")(dense)
    return _added(x, dense, f"{name}_dense")


def _added(x: Any, update: Any, name: str) -> Any:
    update = Dropout(0.1, name=f"{name}_dropout")(update)
    x = Add(name=f"{name}_add")([x, update])
    return LayerNormalization(epsilon=EPSILON, name=f"{name}_norm")(x)
