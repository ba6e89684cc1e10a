"""LAMB in 16 bits."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.numerics import moments, norms, scaled
from keras16.numerics.scaled import Scaled
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

    def _sixteen_step(self, gradient: Any, group: Group, rate: Scaled) -> Scaled:
        mean = self.moved_mean(self._momentums, group, gradient)
        root = self.moved_deviation(self._velocities, group, gradient)
        floor = scaled.number(self.epsilon, group.dtype)
        direction = moments.quotient(mean, root, floor)
        pairs = zip(group.variables, group.parts(direction), strict=True)
        ratios = [_ratio(ops.convert_to_tensor(v), part) for v, part in pairs]
        ratio = Scaled(*(group.repeated(each) for each in zip(*ratios, strict=True)))
        return rate.times(scaled.normal(direction)).times(ratio)


def _ratio(weight: Any, direction: Any) -> Scaled:
    """How much longer the weight is than the direction; 1 where one is 0."""
    length, other = norms.euclidean([weight]), norms.euclidean([direction])
    usual = ops.logical_or(length.value == 0, other.value == 0)
    safe = ops.where(other.value == 0, ops.ones_like(other.value), other.value)
    # Both values are in [2**-7, 2**7.5]: so is the square root of any quotient.
    return Scaled(
        ops.where(usual, ops.ones_like(safe), length.value / safe),
        ops.where(usual, 0, length.exponent - other.exponent),
    )
