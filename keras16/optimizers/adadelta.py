"""Adadelta in 16 bits."""

from __future__ import annotations

import math
from typing import Any

import keras

from keras16.numerics import moments, softfloat
from keras16.numerics.softfloat import SoftFloat
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

    def _sixteen_step(
        self, gradient: SoftFloat, group: Group, rate: SoftFloat
    ) -> SoftFloat:
        share = softfloat.number(1 - self.rho)
        floor = softfloat.number(math.sqrt(self.epsilon))
        root = self.slot(self._accumulated_grads, group)
        root = moments.moved_root(root, gradient, share)
        root = self.keep(self._accumulated_grads, group, root, 1)
        travelled = self.slot(self._accumulated_delta_vars, group)
        direction = gradient.over(softfloat.hypot(root, floor))
        step = direction * softfloat.hypot(travelled, floor)
        travelled = moments.moved_root(travelled, step, share)
        self.keep(self._accumulated_delta_vars, group, travelled, 2)
        return rate * step
