"""Whether XLA shall compile a model's training steps on this machine."""

from __future__ import annotations

from typing import Any

import keras

from keras16 import backend, hardware
from keras16.layers import own_kernels
from keras16.losses.function import OfFunction


def compiles(model: keras.Model, policy: str, loss: Any) -> bool:
    """Whether it is right, and faster, to let XLA compile a step.

    Args:
        model: Built or not.
        policy: Keras' dtype policy of the step.
        loss: Of the model: a loss, or whatever holds several.
    """
    ours = own_kernels.multiply_all(model) and not any(
        isinstance(one, OfFunction) for one in keras.tree.flatten(loss)
    )
    return backend.module().compiles(policy, hardware.float16_kernels(), ours)
