"""RMSprop in 16 bits."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras16.numerics import norms
from keras16.optimizers import _settings
from keras16.optimizers._sixteen import SixteenBit

DEFAULTS = {"learning_rate": 1e-3, "momentum": 0.0, "epsilon": 1e-7}


def build(schedule: _settings.Schedule, **given: Any) -> RMSprop:
    """RMSprop of the given settings, where None takes the default.

    Args:
        schedule: Makes Keras' learning rate of the initial one.
        **given: What `DEFAULTS` names, and `weight_decay`.
    """
    return RMSprop(**_settings.chosen("rmsprop", DEFAULTS, schedule, given))


@keras.saving.register_keras_serializable(package="keras16")
class RMSprop(SixteenBit, keras.optimizers.RMSprop):
    """Keras' RMSprop, its mean square kept as the root.

    Epsilon stands inside the root, as Keras has it: sqrt(v + epsilon), taken as
    hypot(root, sqrt(epsilon)), so that 1e-8 (0 in float16) means what it says.

    Args: as `keras.optimizers.RMSprop`.

    Source: Tieleman and Hinton, lecture 6.5 of Neural Networks for Machine
        Learning (2012); centered: Graves, arXiv 1308.0850, equations 38 to 45.
    """

    def _sixteen_step(self, gradient: Any, variable: Any, rate: Any) -> Any:
        velocity = self._slot(self._velocities, variable)
        root = norms.root_mean_square(
            ops.convert_to_tensor(velocity), gradient, 1 - self.rho
        )
        self.assign(velocity, root)
        spread = root
        if self.centered:
            average = self._slot(self._average_gradients, variable)
            mean = (1 - self.rho) * gradient + self.rho * ops.convert_to_tensor(average)
            self.assign(average, mean)
            spread = _difference_of_squares(root, ops.abs(mean))
        floor = ops.cast(math.sqrt(self.epsilon), root.dtype) * ops.ones_like(root)
        step = rate * (gradient / norms.hypot(spread, floor))
        if not self.momentum > 0:
            return step
        momentum = self._slot(self._momentums, variable)
        step = self.momentum * ops.convert_to_tensor(momentum) + step
        self.assign(momentum, step)
        return step


def _difference_of_squares(large: Any, small: Any) -> Any:
    """sqrt(large**2 - small**2), 0 where rounding made `small` the larger."""
    below = ops.where(large == 0, ops.ones_like(large), large)
    share = ops.minimum(small / below, 1)
    return large * ops.sqrt((1 - share) * (1 + share))
