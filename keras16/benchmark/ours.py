"""The contender keras16: the steps of `keras16 train`."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time

from keras16 import measure, training
from keras16.benchmark.meter import Meter, seconds_a_step
from keras16.benchmark.plan import Case, Contender
from keras16.errors import UserError


class Trainer:
    """Runs the loop of `keras16.training` on a prepared run."""

    def __init__(self, contender: Contender, case: Case) -> None:
        run = dataclasses.replace(
            case.run, precision=contender.setting, rounding=contender.rounding
        )
        self.prepared = training.prepare(run).resident()
        self.model = self.prepared.model
        self.loop = self.prepared.loop()
        self.step_seconds = 0.0

    def train(self, meter: Meter) -> None:
        """As `fit` does an epoch: a few steps to a call, the loss read after it."""
        meter.begin()
        meter.stepped(self.loop.train(*self.prepared.order(1, steps=1)))
        for epoch in itertools.count(1):
            self.model.reset_metrics()
            order, draws = self.prepared.order(epoch)
            done = 0
            while done < len(order):
                until = done + self._steps_a_call()
                began = time.perf_counter()
                steps = self.loop.train(order[done:until], draws[done:until])
                self.step_seconds = (time.perf_counter() - began) / steps
                done += steps
                self._check_loss()
                meter.stepped(steps)

    def inside(self, seconds: float) -> float:
        """Seconds of a step inside the loop."""
        order, draws = self.prepared.order(1)

        def run(steps: int) -> None:
            while steps > 0:
                steps -= self.loop.train(order[:steps], draws[:steps])

        return seconds_a_step(run, seconds)

    def state(self) -> dict[str, int]:
        """Bytes of the training state."""
        return state_bytes(self.model)

    def _steps_a_call(self) -> int:
        return max(1, int(training.SECONDS_A_CALL / max(self.step_seconds, 1e-4)))

    def _check_loss(self) -> None:
        from keras16.metrics import mean

        if not math.isfinite(mean.on_host(self.prepared.net.loss)):
            raise UserError("the loss became NaN or infinite.")


def state_bytes(model: object) -> dict[str, int]:
    """Bytes of a Keras model's weights, gradients and optimizer.

    Gradients are of their weights' dtype.

    Args:
        model: Compiled, its optimizer built.
    """
    return {
        "weights": measure.variables_bytes(model.variables),  # type: ignore[attr-defined]
        "gradients": measure.variables_bytes(model.trainable_variables),  # type: ignore[attr-defined]
        "slots": measure.optimizer_bytes(model.optimizer),  # type: ignore[attr-defined]
    }
