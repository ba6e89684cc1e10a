"""Polynomial decay; a straight line by default."""

from __future__ import annotations

import math

import keras
import numpy as np

from keras16.numerics import tables
from keras16.schedules._tabulated import Tabulated


def build(learning_rate: float, steps: int) -> PolynomialDecay:
    """A straight line from `learning_rate` to 0 over `steps` steps."""
    return PolynomialDecay(learning_rate, max(steps, 1), end_learning_rate=0.0)


@keras.saving.register_keras_serializable(package="keras16")
class PolynomialDecay(Tabulated, keras.optimizers.schedules.PolynomialDecay):
    """Keras' `PolynomialDecay` as a table.

    Args: as `keras.optimizers.schedules.PolynomialDecay`.
    """

    @property
    def last(self) -> int:  # type: ignore[override]
        """The step from which the rate stays at its end; none if it cycles."""
        return tables.LAST_STEP if self.cycle else math.ceil(self.decay_steps)

    def rates(self, step: np.ndarray) -> np.ndarray:
        end, time = self.end_learning_rate, step / self.decay_steps
        if self.cycle:
            time = time / np.maximum(np.ceil(time), 1)
        left = 1 - np.minimum(time, 1)
        return end + (self.initial_learning_rate - end) * left**self.power
