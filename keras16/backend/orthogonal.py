"""Keras' orthogonal initial weights in 16 bits, drawn in float32."""

from __future__ import annotations

import functools
from typing import Any

import keras


def draw_in_float32() -> None:
    """Has Keras draw orthogonal weights of 16 bits in float32, then cast them.

    They are a factor of a random matrix. JAX factors none of 16 bits and TensorFlow
    none of bfloat16: no recurrent layer could be made. TensorFlow's factors of float16
    are computed in it, and their rows off by up to 7 half units in the last place.
    """
    initializer = keras.initializers.Orthogonal
    keras_own = getattr(initializer.__call__, "of_keras", initializer.__call__)

    @functools.wraps(keras_own)
    def draw(self: Any, shape: Any, dtype: Any = None) -> Any:
        dtype = keras.backend.standardize_dtype(dtype)
        if dtype not in ("float16", "bfloat16"):
            return keras_own(self, shape, dtype)
        return keras.ops.cast(keras_own(self, shape, "float32"), dtype)

    draw.of_keras = keras_own  # type: ignore[attr-defined]
    initializer.__call__ = draw
