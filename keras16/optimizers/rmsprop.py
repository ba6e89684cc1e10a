"""RMSprop in 16 bits."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras16.numerics import moments
from keras16.numerics import scaled_steps as scaled
from keras16.numerics.scaled_steps import Scaled
from keras16.optimizers import _settings, _velocity
from keras16.optimizers._group import Group
from keras16.optimizers._sixteen import SixteenBit

DEFAULTS = {"learning_rate": 1e-3, "momentum": 0.0, "epsilon": 1e-7}


def build(schedule: _settings.Schedule, **given: Any) -> RMSprop:
    """RMSprop of the given settings, where None takes the default.

    Args:
        schedule: Makes Keras' learning rate of the initial one.
        **given: What `DEFAULTS` names, `weight_decay`, `rounding` and `seed`.
    """
    return RMSprop(**_settings.chosen("rmsprop", DEFAULTS, schedule, given))


@keras.saving.register_keras_serializable(package="keras16")
class RMSprop(SixteenBit, keras.optimizers.RMSprop):
    """Keras' RMSprop, its mean square kept as the root.

    Epsilon stands inside the root, as Keras has it: sqrt(v + epsilon), taken as
    the hypotenuse of root and sqrt(epsilon), so that 1e-8 (0 in float16) means
    what it says.

    Args: as `keras.optimizers.RMSprop`, and `rounding` and `seed` (`SixteenBit`).

    Source: Tieleman and Hinton, lecture 6.5 of Neural Networks for Machine
        Learning (2012); centered: Graves, arXiv 1308.0850, equations 38 to 45.
    """

    def build(self, var_list: Any) -> None:
        if not self.built:
            super().build(var_list)
            _velocity.build(self)

    def _sixteen_step(self, gradient: Any, group: Group, rate: Scaled) -> Scaled:
        share = scaled.number(1 - self.rho, group.dtype)
        root = group.read(self._velocities)
        root = moments.moved_root(root, gradient, share, self.random(group, 2))
        group.write(self._velocities, root)
        if self.centered:
            root = _difference_of_squares(root, self._mean(gradient, group, share))
        floor = scaled.number(math.sqrt(self.epsilon), group.dtype)
        direction = moments.quotient_by_hypot(gradient, root, floor)
        step = rate.times(Scaled(direction, 0))
        if not self.momentum > 0:
            return step
        return _velocity.moved(self, self._momentums, group, step)

    def _mean(self, gradient: Any, group: Group, share: Scaled) -> Any:
        mean = group.read(self._average_gradients)
        mean = moments.moved(mean, gradient, share, self.random(group, 3))
        group.write(self._average_gradients, mean)
        return ops.abs(mean)


def _difference_of_squares(large: Any, small: Any) -> Any:
    """sqrt(large**2 - small**2), 0 where rounding made `small` the larger."""
    below = ops.where(large == 0, ops.ones_like(large), large)
    share = ops.minimum(small / below, 1)
    return large * ops.sqrt((1 - share) * (1 + share))
