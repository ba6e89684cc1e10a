"""Inverse time decay."""

from __future__ import annotations

import keras
import numpy as np

from keras16.schedules._tabulated import Tabulated


def build(learning_rate: float, steps: int) -> InverseTimeDecay:
    """Decay to a tenth of `learning_rate` over `steps` steps."""
    return InverseTimeDecay(learning_rate, max(steps, 1), 9.0)


@keras.saving.register_keras_serializable(package="keras16")
class InverseTimeDecay(Tabulated, keras.optimizers.schedules.InverseTimeDecay):
    """Keras' `InverseTimeDecay` as a table.

    Args: as `keras.optimizers.schedules.InverseTimeDecay`.
    """

    def rates(self, step: np.ndarray) -> np.ndarray:
        time = step / self.decay_steps
        time = np.floor(time) if self.staircase else time
        return self.initial_learning_rate / (1 + self.decay_rate * time)
