"""RMSprop in 16 bits."""

from __future__ import annotations

from typing import Any

import keras

from keras16.numerics import moments, softfloat
from keras16.numerics.softfloat import SoftFloat
from keras16.optimizers import _block, _settings
from keras16.optimizers._group import Group
from keras16.optimizers._sixteen import ROOT, Kernel, SixteenBit

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
        if self.built:
            return
        super().build(var_list)
        if self.momentum > 0:
            self.velocity_exponents = _block.exponents(self, var_list, "exponent")

    def _sixteen_step(
        self, gradient: SoftFloat, group: Group, rate: SoftFloat
    ) -> SoftFloat:
        share = softfloat.number(1 - self.rho)
        root = moments.moved_root(self.slot(self._velocities, group), gradient, share)
        root = self.keep(self._velocities, group, root, ROOT)
        square = root * root
        if self.centered:
            mean = self.slot(self._average_gradients, group)
            mean = moments.moved(mean, gradient, share)
            mean = self.keep(self._average_gradients, group, mean, 3)
            square = softfloat.positive_part((root - mean) * (root + mean))
        below = (square + softfloat.number(self.epsilon)).root()
        step = rate * gradient.over(below)
        if not self.momentum > 0:
            return step
        velocity = _block.read(self._momentums, self.velocity_exponents, group)
        velocity = softfloat.number(self.momentum) * velocity + step
        _block.keep(self, self._momentums, self.velocity_exponents, group, velocity)
        return velocity

    def _has_kernel(self) -> bool:
        return not (self.centered or self.momentum > 0)

    def _kernel(self, group: Group, word: Any) -> Kernel:
        numbers = 1 - self.rho, self.epsilon, self._decay(group.variables[0])
        words = [
            *(word, *map(softfloat.word, numbers)),
            *(group.key(self.seed, ROOT), self._iterations),
        ]
        return Kernel("rmsprop", [self._velocities], words)
