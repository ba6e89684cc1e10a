"""What a precision costs, measured in a process of its own before any training.

`python -m keras16.comparison.probe` reads the fields of a run from standard input and
tells a JSON object in its last line.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import Any

from keras16.execution import child
from keras16.results import UNFELT_CORES
from keras16.study import Run

BASELINE = "32"
SECONDS = 2.0  # of steps that are timed


@dataclasses.dataclass(frozen=True)
class Probe:
    """One precision before it is trained.

    Attributes:
        precision: Its name.
        wide_tensors, tensors: Of the audited training step.
        epoch_seconds: By the steps that were timed.
        compile_seconds: Tracing and compiling a step and a prediction.
        weight_bytes, optimizer_bytes, peak_memory_bytes: As in `training.Result`.
        problem: Why it could not be measured, in one line; "" where it could.
        foreign_cores: As in `results.Record`, while steps were timed.
    """

    precision: str
    wide_tensors: int = 0
    tensors: int = 0
    epoch_seconds: float = 0.0
    compile_seconds: float = 0.0
    weight_bytes: int = 0
    optimizer_bytes: int = 0
    peak_memory_bytes: int = 0
    problem: str = ""
    foreign_cores: float = 0.0

    @property
    def timed_alone(self) -> bool:
        """Whether it had the machine to itself, so that its times can be trusted."""
        return self.foreign_cores <= UNFELT_CORES


def probe(run: Run, stop: threading.Event | None = None) -> Probe:
    """Measures a run's step in another process.

    Args:
        run: Of the precision that is measured.
        stop: Once set, nobody wants to know any more.

    Raises:
        UserError: It can't be started as it was asked for.
        child.Stopped: `stop` was set.
    """
    told = child.ask(__name__, run.fields(), stop)
    return Probe(run.precision, **told)


def measured(run: Run) -> dict[str, Any]:
    """The fields of `Probe`, measured in this process."""
    from keras16 import measure, training
    from keras16.audit import audit

    prepared = training.prepare(run).resident()
    loop = prepared.loop()
    began = time.perf_counter()
    prepared.warm_up(loop)
    compile_seconds = time.perf_counter() - began
    beside = measure.ForeignLoad()
    step_seconds = _step_seconds(prepared, loop)
    foreign_cores = beside.cores()
    # Before the audit, whose trace takes memory that no training does.
    peak = measure.peak_memory_bytes()
    report = audit(prepared.model, *prepared.batch)
    return {
        "wide_tensors": report.wide_tensors,
        "tensors": report.tensors,
        "epoch_seconds": step_seconds * prepared.steps_per_epoch,
        "compile_seconds": compile_seconds,
        "weight_bytes": measure.weight_bytes(prepared.model),
        "optimizer_bytes": measure.optimizer_bytes(prepared.model.optimizer),
        "peak_memory_bytes": peak,
        "foreign_cores": foreign_cores,
    }


def _step_seconds(prepared: Any, loop: Any) -> float:
    """Seconds of a step, over some seconds of them or an epoch."""
    steps = 1
    while True:
        order = prepared.order(1, steps=steps)
        began = time.perf_counter()
        done = loop.train(*order)
        seconds = time.perf_counter() - began
        if seconds >= SECONDS / 2 or steps >= prepared.steps_per_epoch or not done:
            return seconds / max(done, 1)
        wanted = max(2 * steps, int(steps * SECONDS / max(seconds, 1e-4)))
        steps = min(wanted, prepared.steps_per_epoch)


if __name__ == "__main__":
    child.answer(lambda fields: measured(Run(**fields)))
