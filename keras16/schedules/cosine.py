"""Cosine decay to 0 (Loshchilov and Hutter, arXiv 1608.03983, without restarts)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras16.numerics import bits


def build(learning_rate: float, steps: int) -> CosineDecay:
    """Decay from `learning_rate` to 0 over `steps` steps."""
    return CosineDecay(learning_rate, steps)


@keras.saving.register_keras_serializable(package="keras16")
class CosineDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Keras' `CosineDecay`, which computes in float32 inside the step, as a table.

    The rates are computed in float64 on the host, rounded once to the dtype, and
    looked up by step.

    Args:
        initial_learning_rate: At step 0.
        decay_steps: The step from which the rate stays at its end.
        alpha: The end as a share of the start.
        dtype: Of the rates; Keras' floatx by default.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        dtype: str | None = None,
    ) -> None:
        super().__init__()
        self.initial_learning_rate = float(initial_learning_rate)
        self.decay_steps = int(decay_steps)
        self.alpha = float(alpha)
        self.dtype = dtype or keras.config.floatx()

    def __call__(self, step: Any) -> Any:
        last = ops.cast(self.decay_steps, step.dtype)
        table = ops.convert_to_tensor(self._table())
        return ops.take(table, ops.minimum(step, last))

    def rate(self, step: int) -> float:
        """The rate at a step in float64."""
        progress = min(step, self.decay_steps) / max(self.decay_steps, 1)
        share = self.alpha + (1 - self.alpha) * (1 + np.cos(np.pi * progress)) / 2
        return float(self.initial_learning_rate * share)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "alpha": self.alpha,
            "dtype": self.dtype,
        }

    def _table(self) -> np.ndarray:
        rates = [self.rate(step) for step in range(self.decay_steps + 1)]
        return bits.host_cast(rates, self.dtype)
