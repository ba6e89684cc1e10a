"""Lion in 16 bits."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.numerics import bits, moments
from keras16.numerics import scaled_steps as scaled
from keras16.numerics.scaled_steps import Scaled
from keras16.optimizers import _settings
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
    """Keras' Lion, its momentum rounded by chance.

    The step has no size but the learning rate's, which asks for a small one: the
    default on the command line is 1e-4, a tenth of Keras'.

    Args: as `keras.optimizers.Lion`, and `rounding` and `seed` (`SixteenBit`).

    Source: Chen et al., arXiv 2302.06675, program 2.
    """

    def _sixteen_step(self, gradient: Any, group: Group, rate: Scaled) -> Scaled:
        momentum = group.read(self._momentums)
        scale = bits.scale_to_one(ops.maximum(ops.abs(momentum), ops.abs(gradient)))
        blend = self.beta_1 * (momentum * scale)
        direction = ops.sign(blend + (1 - self.beta_1) * (gradient * scale))
        share = scaled.number(1 - self.beta_2, group.dtype)
        moved = moments.moved(momentum, gradient, share, self.random(group, 1))
        group.write(self._momentums, moved)
        return rate.times(Scaled(direction, 0))
