"""Cosine decay to 0 (Loshchilov and Hutter, arXiv 1608.03983, without restarts)."""

from __future__ import annotations

import math

import keras
import numpy as np

from keras16.schedules._tabulated import Tabulated


def build(learning_rate: float, steps: int) -> CosineDecay:
    """Decay from `learning_rate` to 0 over `steps` steps."""
    return CosineDecay(learning_rate, max(steps, 1))


@keras.saving.register_keras_serializable(package="keras16")
class CosineDecay(Tabulated, keras.optimizers.schedules.CosineDecay):
    """Keras' `CosineDecay` as a table.

    Args: as `keras.optimizers.schedules.CosineDecay`.
    """

    @property
    def last(self) -> int:  # type: ignore[override]
        """The step from which the rate stays at its end."""
        warmup = 0 if self.warmup_target is None else self.warmup_steps
        return math.ceil(self.decay_steps + warmup)

    def rates(self, step: np.ndarray) -> np.ndarray:
        start, target = self.initial_learning_rate, self.warmup_target
        if target is None:
            return self._decayed(step, start)
        climbed = step / max(self.warmup_steps, 1)
        decayed = self._decayed(step - self.warmup_steps, target)
        rising = start + (target - start) * climbed
        return np.where(step < self.warmup_steps, rising, decayed)

    def _decayed(self, step: np.ndarray, start: float) -> np.ndarray:
        progress = np.clip(step / self.decay_steps, 0, 1)
        share = (1 + np.cos(np.pi * progress)) / 2
        return start * (self.alpha + (1 - self.alpha) * share)
