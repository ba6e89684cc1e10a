"""The densely connected nets of Huang et al., arXiv 1608.06993: Keras' own."""

from __future__ import annotations

import keras

from keras16.errors import UserError
from keras16.models import _images

DEPTHS = (121, 169, 201)
SMALLEST = 32  # pixels, Keras' own limit


def build(input_shape: tuple[int, ...], classes: int, depth: int = 121) -> keras.Model:
    """7,047,754 parameters at depth 121 on (32, 32, 3), 12,659,530 at 169.

    arXiv 2305.10947 prints 7.04 and 12.65 million: the same, cut off.

    Args:
        input_shape: (height, width, channels), at least 32 x 32.
        classes: Number of logits.
        depth: 121, 169 or 201.

    Raises:
        UserError: Another depth, inputs that are no images, or too small ones.
    """
    name = f"densenet{depth}"
    if depth not in DEPTHS:
        known = ", ".join(f"densenet{each}" for each in DEPTHS)
        raise UserError(f"no {name}: there are {known}.")
    enlarging = f"applications.DenseNet{depth}, which enlarges them"
    _images.check(name, input_shape, SMALLEST, instead=enlarging)
    function = getattr(keras.applications, f"DenseNet{depth}")
    return function(
        input_shape=input_shape,
        classes=classes,
        weights=None,
        classifier_activation=None,
        name=name,
    )
