"""Lion in 16 bits."""

from __future__ import annotations

from typing import Any

import keras

from keras16.numerics import moments, softfloat
from keras16.numerics.softfloat import SoftFloat
from keras16.optimizers import _block, _settings
from keras16.optimizers._group import Group
from keras16.optimizers._sixteen import SixteenBit

DEFAULTS = {"learning_rate": 1e-4}


def build(schedule: _settings.Schedule, **given: Any) -> Lion:
    """Lion of the given settings, where None takes the default.

    Args:
        schedule: Makes Keras' learning rate of the initial one.
        **given: What `DEFAULTS` names, `weight_decay`, `rounding` and `seed`.
    """
    return Lion(**_settings.chosen("lion", DEFAULTS, schedule, given))


@keras.saving.register_keras_serializable(package="keras16")
class Lion(SixteenBit, keras.optimizers.Lion):
    """Keras' Lion, its momentum kept times a power of two (see `_block`).

    The step has no size but the learning rate's, which asks for a small one: the
    default on the command line is 1e-4, a tenth of Keras'.

    Args: as `keras.optimizers.Lion`, and `rounding` and `seed` (`SixteenBit`).

    Source: Chen et al., arXiv 2302.06675, program 2.
    """

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        self.momentum_exponents = _block.exponents(self, variables, "exponent")

    def _sixteen_step(
        self, gradient: SoftFloat, group: Group, rate: SoftFloat
    ) -> SoftFloat:
        momentum = _block.read(self._momentums, self.momentum_exponents, group)
        blend = moments.moved(momentum, gradient, softfloat.number(1 - self.beta_1))
        share = softfloat.number(1 - self.beta_2)
        momentum = moments.moved(momentum, gradient, share)
        _block.keep(self, self._momentums, self.momentum_exponents, group, momentum)
        return rate.with_sign_of(blend)
