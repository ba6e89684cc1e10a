"""A straight line up and a straight line down (Smith, arXiv 1506.01186 and 1708.07120).

Short trainings on CIFAR-10 use it: Page, How to train your ResNet (2018); Jordan, arXiv
2404.00498.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras16.schedules._tabulated import Tabulated

START, RISING = 0.2, 0.2  # shares: of the largest rate, and of all steps


def build(learning_rate: float, steps: int) -> Triangular:
    """From a fifth of `learning_rate` up to it in a fifth of the steps, then to 0."""
    rising = RISING * max(steps, 1)
    return Triangular(
        START * learning_rate, max(steps, 1) - rising, learning_rate, rising
    )


class _Triangle(keras.optimizers.schedules.LearningRateSchedule):
    """Keras has no such schedule: this computes as its own do, in Keras' floatx."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        warmup_target: float,
        warmup_steps: float,
        end_learning_rate: float = 0.0,
        name: str = "Triangular",
    ) -> None:
        super().__init__()
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps
        self.end_learning_rate = end_learning_rate
        self.name = name

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, keras.config.floatx())
        climbed = step / max(self.warmup_steps, 1e-6)
        left = 1 - ops.clip((step - self.warmup_steps) / self.decay_steps, 0, 1)
        start, end = self.initial_learning_rate, self.end_learning_rate
        rising = start + (self.warmup_target - start) * climbed
        falling = end + (self.warmup_target - end) * left
        return ops.where(step < self.warmup_steps, rising, falling)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "warmup_target": self.warmup_target,
            "warmup_steps": self.warmup_steps,
            "end_learning_rate": self.end_learning_rate,
            "name": self.name,
        }


@keras.saving.register_keras_serializable(package="keras16")
class Triangular(Tabulated, _Triangle):
    """Linear warm-up, then linear decay, as a table.

    Args:
        initial_learning_rate: Of the first step.
        decay_steps: From the largest rate to the last one; above 0.
        warmup_target: The largest rate.
        warmup_steps: From the first rate to the largest; 0 starts with that.
        end_learning_rate: From step `warmup_steps + decay_steps` on.
        name: Of no consequence, as in Keras' schedules.
    """

    @property
    def last(self) -> int:  # type: ignore[override]
        """The step from which the rate stays at its end."""
        return math.ceil(self.warmup_steps + self.decay_steps)

    def rates(self, step: np.ndarray) -> np.ndarray:
        peak = self.warmup_steps
        corners = [0.0, peak, peak + self.decay_steps]
        rates = [
            self.initial_learning_rate,
            self.warmup_target,
            self.end_learning_rate,
        ]
        first = 0 if peak else 1
        return np.interp(step, corners[first:], rates[first:])
