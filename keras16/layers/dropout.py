"""Dropout with the rate that was asked for, in 16 bits."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.numerics import bits, draws


class _Dropout:
    """The call of all four: Keras' own draws 16-bit numbers, of 1,024 values."""

    def call(self, inputs: Any, training: Any = False) -> Any:
        if not bits.is_16_bit(inputs.dtype):
            return super().call(inputs, training=training)  # type: ignore[misc]
        if not training or self.rate <= 0:  # type: ignore[attr-defined]
            return inputs
        shape = self._dropped_together(inputs)
        return draws.dropout(inputs, self.rate, shape, self.seed_generator)  # type: ignore[attr-defined]

    def _dropped_together(self, inputs: Any) -> Any:
        """1 for each axis that is dropped as a whole; None for its own length."""
        return self.noise_shape  # type: ignore[attr-defined]


@keras.saving.register_keras_serializable(package="keras16")
class Dropout(_Dropout, keras.layers.Dropout):
    """Keras' layer; a rate of 1e-3 drops 1 in 1,000, not 1 in 512."""


@keras.saving.register_keras_serializable(package="keras16")
class SpatialDropout1D(_Dropout, keras.layers.SpatialDropout1D):
    """Keras' layer, its rate kept exactly in 16 bits."""

    def _dropped_together(self, inputs: Any) -> Any:
        return (None, 1, None)


@keras.saving.register_keras_serializable(package="keras16")
class SpatialDropout2D(_Dropout, keras.layers.SpatialDropout2D):
    """Keras' layer, its rate kept exactly in 16 bits."""

    def _dropped_together(self, inputs: Any) -> Any:
        places = (1,) * 2
        if self.data_format == "channels_first":
            return (None, None, *places)
        return (None, *places, None)


@keras.saving.register_keras_serializable(package="keras16")
class SpatialDropout3D(_Dropout, keras.layers.SpatialDropout3D):
    """Keras' layer, its rate kept exactly in 16 bits."""

    def _dropped_together(self, inputs: Any) -> Any:
        places = (1,) * 3
        if self.data_format == "channels_first":
            return (None, None, *places)
        return (None, *places, None)


@keras.saving.register_keras_serializable(package="keras16")
class AlphaDropout(keras.layers.AlphaDropout):
    """Keras' layer, whose random numbers are float32 in a float16 model.

    Source: Klambauer et al., arXiv 1706.02515.
    """

    def call(self, inputs: Any, training: Any = False) -> Any:
        if not bits.is_16_bit(inputs.dtype):
            return super().call(inputs, training=training)
        if not training or self.rate <= 0:
            return inputs
        given = self.noise_shape or (None,) * len(inputs.shape)
        sizes = zip(given, ops.shape(inputs), strict=True)
        shape = tuple(own if size is None else size for size, own in sizes)
        floor = -1.6732632423543772 * 1.0507009873554805
        slope = ((1 - self.rate) * (1 + self.rate * floor**2)) ** -0.5
        keep = draws.kept(shape, self.rate, self.seed_generator)
        offset = -slope * floor * self.rate
        return ops.where(keep, inputs * slope + offset, floor * slope + offset)
