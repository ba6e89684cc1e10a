"""Stochastic gradient descent in 16 bits."""

from __future__ import annotations

from typing import Any

import keras

from keras16.numerics import softfloat
from keras16.numerics.softfloat import SoftFloat
from keras16.optimizers import _block, _settings
from keras16.optimizers._group import Group
from keras16.optimizers._sixteen import Kernel, SixteenBit

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
    gradients below 6e-6 at a rate of 0.01. Here it is kept times a power of two
    that follows the largest velocity (see `_block`).

    Args: as `keras.optimizers.SGD`, and `rounding` and `seed` (`SixteenBit`).

    Source: Sutskever et al., On the importance of initialization and momentum in
        deep learning (2013), equations 1 to 4.
    """

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        if self.momentum:
            self.velocity_exponents = _block.exponents(self, variables, "exponent")

    def _sixteen_step(
        self, gradient: SoftFloat, group: Group, rate: SoftFloat
    ) -> SoftFloat:
        step = rate * gradient
        if self.momentum == 0:
            return step
        velocity = _block.read(self.momentums, self.velocity_exponents, group)
        velocity = softfloat.number(self.momentum) * velocity + step
        _block.keep(self, self.momentums, self.velocity_exponents, group, velocity)
        if not self.nesterov:
            return velocity
        return softfloat.number(self.momentum) * velocity + step

    def _has_kernel(self) -> bool:
        return True

    def _kernel(self, group: Group, word: Any) -> Kernel:
        numbers = self.momentum, self._decay(group.variables[0])
        words = [
            *(word, *map(softfloat.word, numbers), int(self.nesterov)),
            *(group.key(self.seed, _block.DRAW), self._iterations),
        ]
        if not self.momentum:
            return Kernel("sgd", [], words)
        return Kernel("momentum", [self.momentums, self.velocity_exponents], words)
