"""The learning rate as an int32 word: 1e-8 is 0 in float16, and no wide float."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from keras16.numerics import scaled_steps as scaled


class Rate:
    """A learning rate as users see it: a number that can be read and assigned.

    Attributes:
        word: int32 scalar tensor or variable (see `scaled.word`).
    """

    def __init__(self, word: Any) -> None:
        self.word = word

    def numpy(self) -> np.ndarray:
        """The rate as a float32 of the host."""
        return np.asarray(ops.convert_to_numpy(self.word), "int32").view("float32")

    def assign(self, value: Any) -> None:
        """Sets the rate; one that a schedule gives can't be set."""
        self.word.assign(scaled.word(float(value)))

    def __float__(self) -> float:
        return float(self.numpy())

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(self.numpy(), dtype)

    def __repr__(self) -> str:
        return f"<Rate {float(self)}>"


def word_of(value: Any) -> Any:
    """The word of a rate that a user's function returns: a number or a tensor."""
    if isinstance(value, (int, float, np.generic)):
        return ops.convert_to_tensor(scaled.word(float(value)))
    if isinstance(value, Rate):
        return value.word
    # A shift makes float32 of bfloat16; Keras' own cast would be a wide tensor.
    narrow = ops.cast(ops.convert_to_tensor(value), "bfloat16")
    raw = ops.cast(ops.view(narrow, "int16"), "int32")
    return ops.left_shift(raw, 16)
