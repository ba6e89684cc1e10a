"""Kernels of convolutions that keep their channels, to begin with."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras16")
class Dirac(keras.initializers.Initializer):
    """Filter i passes channel i on; filters beyond the channels are drawn.

    Args:
        gain: What a channel is multiplied by.
        rest: Keras' identifier of the initializer of the filters beyond the
            channels, which is given their shape.

    Source: Zagoruyko and Komodakis, arXiv 1706.00388; of a part of the filters:
        Jordan, arXiv 2404.00498, section 3.3.
    """

    def __init__(self, gain: float = 1.0, rest: Any = "glorot_uniform") -> None:
        self.gain = gain
        self.rest = keras.initializers.get(rest)

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """A kernel.

        Args:
            shape: [*window, channels, filters].
            dtype: None takes Keras' floatx.
        """
        *window, channels, filters = shape
        dtype = keras.backend.standardize_dtype(dtype)
        kept = min(channels, filters)
        kernel = self.gain * ops.eye(channels, kept, dtype=dtype)
        for size in reversed(window):
            kernel = ops.expand_dims(kernel, 0)
            before = (size - 1) // 2
            around = [(before, size - 1 - before)] + [(0, 0)] * (len(kernel.shape) - 1)
            kernel = ops.pad(kernel, around)
        if kept == filters:
            return kernel
        drawn = self.rest((*window, channels, filters - kept), dtype=dtype)
        return ops.concatenate([kernel, drawn], axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Both arguments."""
        rest = keras.initializers.serialize(self.rest)
        return {"gain": self.gain, "rest": rest}
