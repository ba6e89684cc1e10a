"""A small net that learns CIFAR-10 fast: that of Jordan, arXiv 2404.00498.

It goes back to Page, How to train your ResNet (2018 to 2019). Seven convolutions and
one dense layer; 0.24 GFLOP an image forward, 0.71 for a step of training. Here it is
made of ordinary parts:

- Jordan's first convolution is computed from the training images, so that patches of
  them are whitened. Here its kernel is the cosine basis, which is near to that for all
  natural images (`initializers.CosineBasis`), and batch normalization makes its outputs
  equally large. Neither kernel is trained.
- Jordan's biases of batch normalization have a 64 times larger learning rate than the
  rest. Here all have the same, which in short trials made no difference.
- ReLU stands for GELU.

As Jordan's, it answers by the mean over six views of an image (`layers.views`). In
training it sees the image alone.
"""

from __future__ import annotations

from typing import Any

import keras

from keras16.initializers.cosine_basis import CosineBasis
from keras16.initializers.dirac import Dirac
from keras16.layers import (
    BatchNormalization,
    Conv2D,
    Dense,
    MaxPooling2D,
    ReLU,
    Rescaling,
)
from keras16.layers.views import MeanOfViews, Views
from keras16.models import _images

FILTERS = (64, 256, 256)
LOGIT_SCALE = 1 / 9
SMALLEST = 10  # pixels: one less, and half of that three times, leaves one


def build(input_shape: tuple[int, ...], classes: int) -> keras.Model:
    """1,973,992 parameters on (32, 32, 3) and 10 classes, statistics included.

    Args:
        input_shape: (height, width, channels), at least 10 x 10.
        classes: Number of logits.

    Raises:
        UserError: Inputs that are no images, or too small ones.
    """
    _images.check("airbench", input_shape, SMALLEST)
    inputs = keras.Input(input_shape)
    x = _patches(Views(name="views")(inputs))
    for group, filters in enumerate(FILTERS, start=1):
        x = _group(x, filters, f"group{group}")
    x = keras.layers.GlobalMaxPooling2D(name="maximum")(x)
    x = MeanOfViews(name="mean_of_views")(x)
    x = Rescaling(LOGIT_SCALE, name="scale")(x)
    drawn = keras.initializers.RandomNormal(stddev=1.0)
    logits = Dense(classes, use_bias=False, kernel_initializer=drawn, name="logits")(x)
    return keras.Model(inputs, logits, name="airbench")


def _patches(x: Any) -> Any:
    """Patches of 2 x 2 pixels in the cosine basis and its negative."""
    x = Conv2D(
        8 * x.shape[-1],
        2,
        use_bias=False,
        kernel_initializer=CosineBasis(),
        trainable=False,
        name="patches_conv",
    )(x)
    return _rectified(x, "patches")


def _group(x: Any, filters: int, name: str) -> Any:
    x = _convolution(x, filters, f"{name}_first")
    x = MaxPooling2D(2, name=f"{name}_pool")(x)
    x = _rectified(x, f"{name}_first")
    x = _convolution(x, filters, f"{name}_second")
    return _rectified(x, f"{name}_second")


def _convolution(x: Any, filters: int, name: str) -> Any:
    drawn = keras.initializers.VarianceScaling(1 / 3, distribution="uniform")
    return Conv2D(
        filters,
        3,
        padding="same",
        use_bias=False,
        kernel_initializer=Dirac(rest=drawn),
        name=f"{name}_conv",
    )(x)


def _rectified(x: Any, name: str) -> Any:
    x = BatchNormalization(momentum=0.6, scale=False, name=f"{name}_norm")(x)
    return ReLU(name=f"{name}_relu")(x)
