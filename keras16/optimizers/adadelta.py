"""Adadelta in 16 bits."""

from __future__ import annotations

import math
from typing import Any

import keras

from keras16.numerics import moments
from keras16.numerics import scaled_steps as scaled
from keras16.numerics.scaled_steps import Scaled
from keras16.optimizers import _settings
from keras16.optimizers._group import Group
from keras16.optimizers._sixteen import SixteenBit

DEFAULTS = {"learning_rate": 1.0, "epsilon": 1e-7}


def build(schedule: _settings.Schedule, **given: Any) -> Adadelta:
    """Adadelta of the given settings, where None takes the default.

    Args:
        schedule: Makes Keras' learning rate of the initial one.
        **given: What `DEFAULTS` names, `weight_decay`, `rounding` and `seed`.
    """
    return Adadelta(**_settings.chosen("adadelta", DEFAULTS, schedule, given))


@keras.saving.register_keras_serializable(package="keras16")
class Adadelta(SixteenBit, keras.optimizers.Adadelta):
    """Keras' Adadelta, both mean squares kept as roots.

    The default rate on the command line is the paper's 1, not Keras' 0.001.

    Args: as `keras.optimizers.Adadelta`, and `rounding` and `seed` (`SixteenBit`).

    Source: Zeiler, arXiv 1212.5701, algorithm 1.
    """

    def _sixteen_step(self, gradient: Any, group: Group, rate: Scaled) -> Scaled:
        share = scaled.number(1 - self.rho, group.dtype)
        floor = scaled.number(math.sqrt(self.epsilon), group.dtype)
        root = group.read(self._accumulated_grads)
        root = moments.moved_root(root, gradient, share, self.random(group, 1))
        group.write(self._accumulated_grads, root)
        travelled = group.read(self._accumulated_delta_vars)
        direction = scaled.normal(moments.quotient_by_hypot(gradient, root, floor))
        step = direction.times(moments.hypot(travelled, floor))
        moved = moments.moved_root(
            travelled, step.collapsed(), share, self.random(group, 2)
        )
        group.write(self._accumulated_delta_vars, moved)
        return rate.times(step)
