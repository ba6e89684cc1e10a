"""Stochastic gradient descent in 16 bits."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras16.optimizers import _settings
from keras16.optimizers._sixteen import SixteenBit

DEFAULTS = {"learning_rate": 1e-2, "momentum": 0.9, "nesterov": False}


def build(schedule: _settings.Schedule, **given: Any) -> SGD:
    """SGD of the given settings, where None takes the default.

    Args:
        schedule: Makes Keras' learning rate of the initial one.
        **given: What `DEFAULTS` names, and `weight_decay`.
    """
    return SGD(**_settings.chosen("sgd", DEFAULTS, schedule, given))


@keras.saving.register_keras_serializable(package="keras16")
class SGD(SixteenBit, keras.optimizers.SGD):
    """Keras' SGD, its momentum carried times a power of two.

    Keras' velocity holds learning_rate x gradient, which in float16 is 0 for
    gradients below 6e-6 at a rate of 0.01. Times 2**k, where 2**-k is the power
    of two below the first learning rate, it has the range of the gradient.

    Args: as `keras.optimizers.SGD`.

    Source: Sutskever et al., On the importance of initialization and momentum in
        deep learning (2013), equations 1 to 4.
    """

    def _sixteen_step(self, gradient: Any, variable: Any, rate: Any) -> Any:
        scaled_rate = rate * self._scale
        if self.momentum == 0:
            return (scaled_rate * gradient) / self._scale
        slot = self._slot(self.momentums, variable)
        velocity = self.momentum * ops.convert_to_tensor(slot)
        velocity = velocity - scaled_rate * gradient
        self.assign(slot, velocity)
        if self.nesterov:
            velocity = self.momentum * velocity - scaled_rate * gradient
        return -velocity / self._scale

    @property
    def _scale(self) -> float:
        """2**k: the first learning rate times it is in [1/2, 1), or below 1."""
        rate = getattr(self._learning_rate, "initial_learning_rate", None)
        if rate is None:
            rate = self._first_rate
        return 2.0 ** min(max(-math.frexp(rate)[1], 0), 14) if rate else 1.0

    def __init__(self, learning_rate: Any = 0.01, **kwargs: Any) -> None:
        super().__init__(learning_rate=learning_rate, **kwargs)
        self._first_rate = learning_rate if isinstance(learning_rate, float) else 1.0
