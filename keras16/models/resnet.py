"""The residual nets for CIFAR of He et al., arXiv 1512.03385, section 4.2.

Of depth 110 they have 1.7 million parameters, as He et al. say in table 6: 1,739,002
here. arXiv 2305.10947 prints 1.78, which counts a layer of 4,096 units that its
released script puts behind the ten logits: 1,740,106 + 45,056. Its 0.47 and 0.86 of
depths 32 and 56 (469,370 and 860,026 here) do not count it.
"""

from __future__ import annotations

from typing import Any

import keras

from keras16.errors import UserError
from keras16.layers import (
    Add,
    BatchNormalization,
    Conv2D,
    Dense,
    GlobalAveragePooling2D,
    ReLU,
)
from keras16.models import _images

FILTERS = (16, 32, 64)


def build(input_shape: tuple[int, ...], classes: int, depth: int = 20) -> keras.Model:
    """A net of 6n + 2 layers: three stages of n blocks of two convolutions.

    Shortcuts that change the number of filters are 1 x 1 convolutions.

    Args:
        input_shape: (height, width, channels), at least 8 x 8.
        classes: Number of logits.
        depth: 20, 32, 44, 56, 110, ...

    Raises:
        UserError: Another depth, or inputs that are no images.
    """
    if depth < 8 or depth % 6 != 2:
        raise UserError(
            f"no resnet{depth}: the depth must be 6n + 2, such as resnet20 or resnet56."
        )
    _images.check(f"resnet{depth}", input_shape, 8)
    inputs = keras.Input(input_shape)
    x = _normalized_convolution(inputs, FILTERS[0], 1, "stem")
    x = ReLU(name="stem_relu")(x)
    for stage, filters in enumerate(FILTERS, start=1):
        for block in range(1, (depth - 2) // 6 + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            x = _block(x, filters, strides, f"stage{stage}_block{block}")
    x = GlobalAveragePooling2D(name="average")(x)
    logits = Dense(classes, name="logits")(x)
    return keras.Model(inputs, logits, name=f"resnet{depth}")


def _block(x: Any, filters: int, strides: int, name: str) -> Any:
    shortcut = x
    if x.shape[-1] != filters:
        shortcut = _normalized_convolution(x, filters, strides, f"{name}_shortcut", 1)
    x = _normalized_convolution(x, filters, strides, f"{name}_first")
    x = ReLU(name=f"{name}_first_relu")(x)
    x = _normalized_convolution(x, filters, 1, f"{name}_second")
    x = Add(name=f"{name}_add")([x, shortcut])
    return ReLU(name=f"{name}_relu")(x)


def _normalized_convolution(
    x: Any, filters: int, strides: int, name: str, size: int = 3
) -> Any:
    x = Conv2D(
        filters,
        size,
        strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
