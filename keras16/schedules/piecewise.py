"""A constant rate between each two steps of a list."""

from __future__ import annotations

import keras
import numpy as np

from keras16.schedules._tabulated import Tabulated


def build(learning_rate: float, steps: int) -> PiecewiseConstantDecay:
    """A tenth of `learning_rate` from half of the steps on, a hundredth from 3/4."""
    rates = [learning_rate, learning_rate / 10, learning_rate / 100]
    return PiecewiseConstantDecay([steps // 2, max(3 * steps // 4, 1)], rates)


@keras.saving.register_keras_serializable(package="keras16")
class PiecewiseConstantDecay(
    Tabulated, keras.optimizers.schedules.PiecewiseConstantDecay
):
    """Keras' `PiecewiseConstantDecay` as a table.

    Args: as `keras.optimizers.schedules.PiecewiseConstantDecay`.
    """

    @property
    def last(self) -> int:  # type: ignore[override]
        """The step after the last boundary."""
        return int(max(self.boundaries, default=0)) + 1

    def rates(self, step: np.ndarray) -> np.ndarray:
        place = np.searchsorted(np.asarray(self.boundaries, "float64"), step)
        return np.asarray(self.values, "float64")[place]
