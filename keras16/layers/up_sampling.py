"""Bilinear enlargement in 16 bits."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras16.errors import NoSixteenBits, UserError
from keras16.numerics import bits, products


@keras.saving.register_keras_serializable(package="keras16")
class UpSampling2D(keras.layers.UpSampling2D):
    """Keras' layer, whose own interpolation is in float32.

    Args: as `keras.layers.UpSampling2D`; in 16 bits "nearest" and "bilinear".

    Raises:
        UserError: 16-bit with another interpolation, or inputs of unknown size.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = self.interpolation in ("nearest", "bilinear")
        if bits.is_16_bit(self.compute_dtype) and not known:
            raise NoSixteenBits(
                f"UpSampling2D has no 16-bit {self.interpolation!r}: use 'bilinear'"
            )

    def call(self, inputs: Any) -> Any:
        if not bits.is_16_bit(inputs.dtype) or self.interpolation == "nearest":
            return super().call(inputs)
        first = 1 if self.data_format == "channels_last" else 2
        for axis, factor in enumerate(self.size, first):
            inputs = bilinear(inputs, axis, factor)
        return inputs


def bilinear(x: Any, axis: int, factor: int) -> Any:
    """Enlarges one axis, as a product with a matrix of weights known beforehand.

    Args:
        x: 16-bit tensor.
        axis: Its axis, of known length.
        factor: How many times as long it gets.
    """
    length = x.shape[axis]
    if length is None:
        raise UserError(
            "UpSampling2D in 16 bits wants inputs of known size for 'bilinear': "
            f"axis {axis} has none."
        )
    weights = bits.host_cast(_weights(length, length * factor), bits.name_of(x))
    # [..., axis, ...] -> [..., axis]: the product wants it last.
    moved = ops.swapaxes(x, axis, -1)
    return ops.swapaxes(
        products.matmul(moved, ops.convert_to_tensor(weights)), axis, -1
    )


def _weights(length: int, longer: int) -> np.ndarray:
    """[length, longer]: how much of each place goes where (half-pixel centres)."""
    place = (np.arange(longer) + 0.5) * (length / longer) - 0.5
    place = np.clip(place, 0, length - 1)
    distance = np.abs(np.arange(length)[:, None] - place[None, :])
    return np.maximum(1 - distance, 0)
