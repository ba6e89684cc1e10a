"""Keras' orthogonal initial weights in 16 bits, which no backend factors."""

from __future__ import annotations

import functools
from typing import Any

import keras


def draw_in_float32(dtypes: tuple[str, ...]) -> None:
    """Has Keras draw orthogonal weights of some dtypes in float32, then cast them.

    They are a factor of a random matrix. Where a backend factors none of the dtype,
    no recurrent layer could be made.

    Args:
        dtypes: Those that the backend has no factors of.
    """
    initializer = keras.initializers.Orthogonal
    keras_own = getattr(initializer.__call__, "of_keras", initializer.__call__)

    @functools.wraps(keras_own)
    def draw(self: Any, shape: Any, dtype: Any = None) -> Any:
        dtype = keras.backend.standardize_dtype(dtype)
        if dtype not in dtypes:
            return keras_own(self, shape, dtype)
        return keras.ops.cast(keras_own(self, shape, "float32"), dtype)

    draw.of_keras = keras_own  # type: ignore[attr-defined]
    initializer.__call__ = draw
