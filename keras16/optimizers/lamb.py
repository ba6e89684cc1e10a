"""LAMB in 16 bits."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.numerics import norms, softfloat
from keras16.numerics.softfloat import SoftFloat
from keras16.optimizers import _settings
from keras16.optimizers._group import Group
from keras16.optimizers._sixteen import SixteenBit

DEFAULTS = {"learning_rate": 1e-3, "epsilon": 1e-7}


def build(schedule: _settings.Schedule, **given: Any) -> Lamb:
    """LAMB of the given settings, where None takes the default.

    Args:
        schedule: Makes Keras' learning rate of the initial one.
        **given: What `DEFAULTS` names, `weight_decay`, `rounding` and `seed`.
    """
    return Lamb(**_settings.chosen("lamb", DEFAULTS, schedule, given))


@keras.saving.register_keras_serializable(package="keras16")
class Lamb(SixteenBit, keras.optimizers.Lamb):
    """Keras' Lamb: the direction of `keras16.optimizers.Adam`, as long as the weight.

    Norms are taken with their squares scaled (see `numerics.norms.euclidean`).

    Args: as `keras.optimizers.Lamb`, and `rounding` and `seed` (`SixteenBit`).

    Source: You et al., arXiv 1904.00962, algorithm 2.
    """

    def _sixteen_step(
        self, gradient: SoftFloat, group: Group, rate: SoftFloat
    ) -> SoftFloat:
        mean = self.moved_mean(self._momentums, group, gradient)
        root = self.moved_deviation(self._velocities, group, gradient)
        direction = mean.over(root + softfloat.number(self.epsilon))
        parts = group.parts(direction.rounded(group.dtype))
        pairs = zip(group.weights(), parts, strict=True)
        ratios = [_ratio(weight, part) for weight, part in pairs]
        units = group.repeated([each.units for each in ratios])
        exponents = group.repeated([each.exponent for each in ratios])
        return rate * direction * SoftFloat(units, exponents)


def _ratio(weight: Any, direction: Any) -> SoftFloat:
    """How much longer the weight is than the direction; 1 where one is 0."""
    length, other = norms.euclidean([weight]), norms.euclidean([direction])
    usual = ops.logical_or(ops.equal(length.units, 0), ops.equal(other.units, 0))
    return softfloat.where(usual, softfloat.number(1.0), length / other)
