"""Merging layers that overflow in 16 bits, or are computed again and again."""

from __future__ import annotations

from typing import Any

import keras

from keras16.layers import _compiled
from keras16.numerics import bits, normalization


@keras.saving.register_keras_serializable(package="keras16")
class Add(keras.layers.Add):
    """Keras' layer; a compiled step on a CPU computes the sum once for all its uses."""

    def _merge_function(self, inputs: Any) -> Any:
        return _compiled.both(self, super()._merge_function(inputs))


@keras.saving.register_keras_serializable(package="keras16")
class Concatenate(keras.layers.Concatenate):
    """Keras' layer; a compiled step on a CPU joins once for all uses of the result."""

    def _merge_function(self, inputs: Any) -> Any:
        return _compiled.both(self, super()._merge_function(inputs))


@keras.saving.register_keras_serializable(package="keras16")
class Average(keras.layers.Average):
    """Keras' layer, whose sum overflows before it is divided."""

    def _merge_function(self, inputs: Any) -> Any:
        if not bits.is_16_bit(inputs[0].dtype):
            return super()._merge_function(inputs)
        exponent = (len(inputs) - 1).bit_length()
        total = inputs[0] * 2.0**-exponent
        for x in inputs[1:]:
            total = total + x * 2.0**-exponent
        return total * (2.0**exponent / len(inputs))


@keras.saving.register_keras_serializable(package="keras16")
class Dot(keras.layers.Dot):
    """Keras' layer, whose normalization overflows from 256 on."""

    def _merge_function(self, inputs: Any) -> Any:
        normalize: bool = self.normalize  # type: ignore[has-type]
        if not (normalize and bits.is_16_bit(inputs[0].dtype)):
            return super()._merge_function(inputs)
        axes = (self.axes,) * 2 if isinstance(self.axes, int) else self.axes
        units = [
            normalization.over_norm(x, (axis % len(x.shape),))
            for x, axis in zip(inputs, axes, strict=True)
        ]
        self.normalize = False
        try:
            return super()._merge_function(units)
        finally:
            self.normalize = True
