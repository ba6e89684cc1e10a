"""MobileNetV2 of Sandler et al., arXiv 1801.04381: Keras' own."""

from __future__ import annotations

import keras

from keras16.models import _images

SMALLEST = 32  # pixels, Keras' own limit


def build(input_shape: tuple[int, ...], classes: int) -> keras.Model:
    """2,270,794 parameters on (32, 32, 3) and 10 classes.

    arXiv 2305.10947 prints 2.27 million. (What its released script calls MobileNetV2
    are the separable convolutions of the first MobileNet: 3.2 million.)

    Args:
        input_shape: (height, width, channels), at least 32 x 32.
        classes: Number of logits.

    Raises:
        UserError: Inputs that are no images, or too small ones.
    """
    enlarging = "applications.MobileNetV2, which enlarges them"
    _images.check("mobilenetv2", input_shape, SMALLEST, instead=enlarging)
    return keras.applications.MobileNetV2(
        input_shape=input_shape,
        classes=classes,
        weights=None,
        classifier_activation=None,
        name="mobilenetv2",
    )
