"""Nadam in 16 bits."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras16.numerics import moments
from keras16.numerics import scaled_steps as scaled
from keras16.numerics.scaled_steps import Scaled
from keras16.optimizers import _settings
from keras16.optimizers._group import Group
from keras16.optimizers._sixteen import SixteenBit, seen

DEFAULTS = {"learning_rate": 1e-3, "epsilon": 1e-7}
DECAY = 0.96  # of the warm-up of the momentum: Keras' and Dozat's
_WARM = 1024  # steps, after which 0.96**step is nothing beside 1


def build(schedule: _settings.Schedule, **given: Any) -> Nadam:
    """Nadam of the given settings, where None takes the default.

    Args:
        schedule: Makes Keras' learning rate of the initial one.
        **given: What `DEFAULTS` names, `weight_decay`, `rounding` and `seed`.
    """
    return Nadam(**_settings.chosen("nadam", DEFAULTS, schedule, given))


@keras.saving.register_keras_serializable(package="keras16")
class Nadam(SixteenBit, keras.optimizers.Nadam):
    """Keras' Nadam; Keras' own is NaN in float16 from the first step on.

    The slots are those of `keras16.optimizers.Adam`. The product of all momentums
    so far, which Keras keeps as a variable, is a table of float64's values.

    Args: as `keras.optimizers.Nadam`, and `rounding` and `seed` (`SixteenBit`).

    Source: Dozat, Incorporating Nesterov momentum into Adam (2016), algorithm 2.
    """

    def _sixteen_step(self, gradient: Any, group: Group, rate: Scaled) -> Scaled:
        mean = self.moved_mean(self._momentums, group, gradient)
        root = self.moved_deviation(self._velocities, group, gradient)
        old = self.by_step("old", self._weight_of_mean, group.dtype).collapsed()
        new = self.by_step("new", self._weight_of_gradient, group.dtype).collapsed()
        floor = scaled.number(self.epsilon, group.dtype)
        direction = old * moments.quotient(mean, root, floor)
        direction = direction + new * moments.quotient(gradient, root, floor)
        return rate.times(Scaled(direction, 0))

    def _momentum(self, step: Any) -> Any:
        return self.beta_1 * (1 - 0.5 * DECAY**step)

    def _product(self, step: Any) -> Any:
        """The product of the momentums of all steps up to this one."""
        first = np.cumprod(self._momentum(np.arange(1.0, _WARM + 1)))
        early = first[np.minimum(step, _WARM).astype(int) - 1]
        return early * self.beta_1 ** np.maximum(step - _WARM, 0)

    def _weight_of_mean(self, step: Any) -> Any:
        following = self._momentum(step + 1)
        missing = 1 - self._product(step) * following
        return following * seen(self.beta_1, step) / missing

    def _weight_of_gradient(self, step: Any) -> Any:
        return (1 - self._momentum(step)) / (1 - self._product(step))
