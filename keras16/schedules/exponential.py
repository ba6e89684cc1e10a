"""Exponential decay."""

from __future__ import annotations

import keras
import numpy as np

from keras16.schedules._tabulated import Tabulated


def build(learning_rate: float, steps: int) -> ExponentialDecay:
    """Decay to a hundredth of `learning_rate` over `steps` steps."""
    return ExponentialDecay(learning_rate, max(steps, 1), 0.01)


@keras.saving.register_keras_serializable(package="keras16")
class ExponentialDecay(Tabulated, keras.optimizers.schedules.ExponentialDecay):
    """Keras' `ExponentialDecay` as a table.

    Args: as `keras.optimizers.schedules.ExponentialDecay`.
    """

    def rates(self, step: np.ndarray) -> np.ndarray:
        power = step / self.decay_steps
        power = np.floor(power) if self.staircase else power
        with np.errstate(under="ignore"):
            return self.initial_learning_rate * self.decay_rate**power
