"""Adamax in 16 bits."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.numerics import moments
from keras16.numerics import scaled_steps as scaled
from keras16.numerics.scaled_steps import Scaled
from keras16.optimizers import _settings
from keras16.optimizers._group import Group
from keras16.optimizers._sixteen import SixteenBit

DEFAULTS = {"learning_rate": 1e-3, "epsilon": 1e-7}


def build(schedule: _settings.Schedule, **given: Any) -> Adamax:
    """Adamax of the given settings, where None takes the default.

    Args:
        schedule: Makes Keras' learning rate of the initial one.
        **given: What `DEFAULTS` names, `weight_decay`, `rounding` and `seed`.
    """
    return Adamax(**_settings.chosen("adamax", DEFAULTS, schedule, given))


@keras.saving.register_keras_serializable(package="keras16")
class Adamax(SixteenBit, keras.optimizers.Adamax):
    """Keras' Adamax; Keras' own is NaN in float16 where a gradient is 0.

    The first moment is an average over the steps so far. The norm is lowered by
    chance: to nearest, beta_2 = 0.9999 would never lower it.

    Args: as `keras.optimizers.Adamax`, and `rounding` and `seed` (`SixteenBit`).

    Source: Kingma and Ba, arXiv 1412.6980, algorithm 2.
    """

    def _sixteen_step(self, gradient: Any, group: Group, rate: Scaled) -> Scaled:
        mean = self.moved_mean(self._m, group, gradient)
        norm = group.read(self._u)
        share = scaled.number(1 - self.beta_2, group.dtype)
        norm = moments.shrunk(norm, share, self.random(group, 2))
        norm = ops.maximum(norm, ops.abs(gradient))
        group.write(self._u, norm)
        floor = scaled.number(self.epsilon, group.dtype)
        return rate.times(Scaled(moments.quotient(mean, norm, floor), 0))
