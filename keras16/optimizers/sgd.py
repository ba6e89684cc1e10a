"""Stochastic gradient descent in 16 bits."""

from __future__ import annotations

from typing import Any

import keras

from keras16.numerics import scaled_steps as scaled
from keras16.numerics.scaled_steps import Scaled
from keras16.optimizers import _settings, _velocity
from keras16.optimizers._group import Group
from keras16.optimizers._sixteen import SixteenBit

DEFAULTS = {"learning_rate": 1e-2, "momentum": 0.9, "nesterov": False}


def build(schedule: _settings.Schedule, **given: Any) -> SGD:
    """SGD of the given settings, where None takes the default.

    Args:
        schedule: Makes Keras' learning rate of the initial one.
        **given: What `DEFAULTS` names, `weight_decay`, `rounding` and `seed`.
    """
    return SGD(**_settings.chosen("sgd", DEFAULTS, schedule, given))


@keras.saving.register_keras_serializable(package="keras16")
class SGD(SixteenBit, keras.optimizers.SGD):
    """Keras' SGD, its velocity carried times a power of two.

    Keras' velocity holds learning_rate x gradient, which in float16 is 0 for
    gradients below 6e-6 at a rate of 0.01. Times a power of two (see `_velocity`)
    it has the range of the gradient.

    Args: as `keras.optimizers.SGD`, and `rounding` and `seed` (`SixteenBit`).

    Source: Sutskever et al., On the importance of initialization and momentum in
        deep learning (2013), equations 1 to 4.
    """

    def build(self, variables: Any) -> None:
        if not self.built:
            super().build(variables)
            _velocity.build(self)

    def _sixteen_step(self, gradient: Any, group: Group, rate: Scaled) -> Scaled:
        step = rate.times(scaled.normal(gradient))
        if self.momentum == 0:
            return step
        velocity = _velocity.moved(self, self.momentums, group, step)
        if not self.nesterov:
            return velocity
        ahead = Scaled(step.value, step.exponent - velocity.exponent)
        again = _velocity.added(
            velocity.value, self.momentum, ahead, self.random(group, 2)
        )
        return Scaled(again, velocity.exponent)
