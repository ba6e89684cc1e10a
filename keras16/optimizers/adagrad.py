"""Adagrad in 16 bits."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras16.numerics import bits, moments
from keras16.numerics import scaled_steps as scaled
from keras16.numerics.scaled_steps import Scaled
from keras16.optimizers import _settings
from keras16.optimizers._group import Group
from keras16.optimizers._sixteen import SixteenBit

DEFAULTS = {"learning_rate": 1e-3, "epsilon": 1e-7}


def build(schedule: _settings.Schedule, **given: Any) -> Adagrad:
    """Adagrad of the given settings, where None takes the default.

    Args:
        schedule: Makes Keras' learning rate of the initial one.
        **given: What `DEFAULTS` names, `weight_decay`, `rounding` and `seed`.
    """
    return Adagrad(**_settings.chosen("adagrad", DEFAULTS, schedule, given))


@keras.saving.register_keras_serializable(package="keras16")
class Adagrad(SixteenBit, keras.optimizers.Adagrad):
    """Keras' Adagrad, its sum of squares kept as the root.

    Keras' own stops adding where a square is below half a last place of the sum,
    after about 2,000 steps, and is infinite once the sum is past 65,504.

    Args: as `keras.optimizers.Adagrad`, and `rounding` and `seed` (`SixteenBit`).

    Source: Duchi, Hazan and Singer, Adaptive subgradient methods (2011), figure 1.
    """

    def build(self, var_list: Any) -> None:
        if self.built:
            return
        super().build(var_list)
        for slot in self._accumulators:
            if bits.is_16_bit(bits.name_of(slot)):
                root = math.sqrt(self.initial_accumulator_value)
                slot.assign(ops.full(slot.shape, root, dtype=slot.dtype))

    def _sixteen_step(self, gradient: Any, group: Group, rate: Scaled) -> Scaled:
        root = group.read(self._accumulators)
        root = moments.grown_root(root, gradient, self.random(group, 1))
        group.write(self._accumulators, root)
        floor = scaled.number(math.sqrt(self.epsilon), group.dtype)
        direction = moments.quotient_by_hypot(gradient, root, floor)
        return rate.times(Scaled(direction, 0))
