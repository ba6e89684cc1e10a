"""Cosine decay with warm restarts (Loshchilov and Hutter, arXiv 1608.03983)."""

from __future__ import annotations

import keras
import numpy as np

from keras16.schedules._tabulated import Tabulated


def build(learning_rate: float, steps: int) -> CosineDecayRestarts:
    """Three decays to 0, each twice as long as the one before."""
    return CosineDecayRestarts(learning_rate, max(steps / 7, 1))


@keras.saving.register_keras_serializable(package="keras16")
class CosineDecayRestarts(Tabulated, keras.optimizers.schedules.CosineDecayRestarts):
    """Keras' `CosineDecayRestarts` as a table.

    Args: as `keras.optimizers.schedules.CosineDecayRestarts`.
    """

    def rates(self, step: np.ndarray) -> np.ndarray:
        config = self.get_config()
        factor = config["t_mul"]
        done = step / self.first_decay_steps
        restarts = np.floor(done)
        progress = done - restarts
        if factor != 1:
            restarts = np.floor(np.log1p(done * (factor - 1)) / np.log(factor))
            before = (1 - factor**restarts) / (1 - factor)
            progress = (done - before) / factor**restarts
        share = config["m_mul"] ** restarts * (1 + np.cos(np.pi * progress)) / 2
        return self.initial_learning_rate * (self.alpha + (1 - self.alpha) * share)
