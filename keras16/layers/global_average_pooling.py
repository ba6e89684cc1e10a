"""Global average pooling whose sums are 16-bit matrix products."""

from __future__ import annotations

from typing import Any

import keras

from keras16.numerics import bits, reductions


class _GlobalAverage:
    """The call of all three: Keras' own takes the mean in float32."""

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is not None or not bits.is_16_bit(inputs.dtype):
            extra = {} if mask is None else {"mask": mask}
            return super().call(inputs, **extra)  # type: ignore[misc]
        first = 1 if self.data_format == "channels_last" else 2  # type: ignore[attr-defined]
        axes = tuple(range(first, first + len(inputs.shape) - 2))
        return reductions.mean(inputs, axes, keepdims=self.keepdims)  # type: ignore[attr-defined]


@keras.saving.register_keras_serializable(package="keras16")
class GlobalAveragePooling1D(_GlobalAverage, keras.layers.GlobalAveragePooling1D):
    """Keras' layer, its mean in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class GlobalAveragePooling2D(_GlobalAverage, keras.layers.GlobalAveragePooling2D):
    """Keras' layer, its mean in 16 bits where its inputs are."""


@keras.saving.register_keras_serializable(package="keras16")
class GlobalAveragePooling3D(_GlobalAverage, keras.layers.GlobalAveragePooling3D):
    """Keras' layer, its mean in 16 bits where its inputs are."""
