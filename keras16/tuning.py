"""Which epsilons of an optimizer train as well as float32: the sweep and its verdict.

A process has one precision, so float32 and the precision that is tuned train in a
process each (see `Worker`). This file knows neither MLflow nor the screen.
"""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import signal
import statistics
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from keras16.errors import UserError
from keras16.study import Run

BASELINE = "32"
_POLL_SECONDS = 0.2


@dataclasses.dataclass(frozen=True)
class Trial:
    """One short run.

    Attributes:
        run: What was trained, defaults filled in: its epsilon is never None.
        status: "finished", "failed" (diverged) or "killed".
        cause: Why it failed, in one line; "" where it finished.
        val_accuracy: After the last epoch, in [0, 1]; None where it diverged.
        val_loss: Likewise, in nats.
        validation_examples: How many that is judged on.
        epochs: One (val_loss, val_accuracy) per finished epoch.
        seconds: Of the median epoch; None without one.
    """

    run: Run
    status: str
    cause: str
    val_accuracy: float | None
    val_loss: float | None
    validation_examples: int
    epochs: tuple[tuple[float | None, float | None], ...]
    seconds: float | None


@dataclasses.dataclass(frozen=True)
class Row:
    """What one epsilon came to, over the seeds.

    Attributes:
        epsilon: The setting.
        accuracies: Of the trials that finished, in [0, 1].
        mean: Of those; None where none finished.
        deviation: Their standard deviation; None below two.
        difference: Mean over the seeds of accuracy less float32's at the same seed.
        standard_error: Of that mean: what the seeds show, and no less than so many
            validation examples allow.
        diverged: Trials that became NaN or infinite.
        verdict: "as float32", "worse", either with "unclear, " before it,
            "diverged", or "" where a trial is still missing.
    """

    epsilon: float
    accuracies: tuple[float, ...]
    mean: float | None
    deviation: float | None
    difference: float | None
    standard_error: float | None
    diverged: int
    verdict: str

    @property
    def is_good(self) -> bool:
        """Whether it trains as well as float32 by the criterion of `Sweep`."""
        return self.verdict.endswith("as float32")


@dataclasses.dataclass(frozen=True)
class Sweep:
    """All trials so far.

    An epsilon trains as well as float32 where no seed diverges and the mean of its
    validation accuracy is at most `margin` below the mean of float32's, over the same
    seeds (the same initial weights, data order and held-out part). A verdict whose
    distance from that limit is less than one standard error of the mean difference is
    called unclear. Two seeds may agree by chance, so the error is at least the one
    that two models have which differ on as few examples as the difference needs.

    Source of the last: McNemar, Psychometrika 12 (1947).

    Attributes:
        run: What is tuned; its epsilon and seed are replaced.
        epsilons: Of the grid, rising.
        seeds: Of the trials.
        margin: In [0, 1].
        baseline: Trials at precision 32 with the optimizer's default epsilon.
        trials: Those of the grid.
    """

    run: Run
    epsilons: tuple[float, ...]
    seeds: tuple[int, ...]
    margin: float
    baseline: tuple[Trial, ...] = ()
    trials: tuple[Trial, ...] = ()

    def rows(self) -> list[Row]:
        """One for each epsilon."""
        return [self._row(epsilon) for epsilon in self.epsilons]

    @property
    def baseline_mean(self) -> float | None:
        """Of float32's validation accuracy; None before all its seeds are done."""
        found = [t.val_accuracy for t in self.baseline if t.val_accuracy is not None]
        return statistics.fmean(found) if len(found) == len(self.seeds) else None

    @property
    def resolution(self) -> float | None:
        """Standard error of one accuracy for the number of validation examples.

        Two accuracies measured on other examples would differ by so much by chance.
        """
        mean = self.baseline_mean
        if mean is None:
            return None
        count = self.baseline[0].validation_examples
        return math.sqrt(max(mean * (1 - mean), 1 / count) / count)

    def range(self) -> tuple[float, float] | None:
        """The longest run of neighbours on the grid that are as good; None without."""
        best: list[Row] = []
        current: list[Row] = []
        for row in self.rows():
            current = [*current, row] if row.is_good else []
            best = max(best, current, key=len)
        return (best[0].epsilon, best[-1].epsilon) if best else None

    def _row(self, epsilon: float) -> Row:
        own = [t for t in self.trials if t.run.epsilon == epsilon]
        found = {t.run.seed: t.val_accuracy for t in own if t.val_accuracy is not None}
        differences = list(self._differences(found))
        diverged = sum(t.status == "failed" for t in own)
        mean = statistics.fmean(found.values()) if found else None
        difference = statistics.fmean(differences) if differences else None
        error = self._standard_error(differences)
        return Row(
            epsilon=epsilon,
            accuracies=tuple(found.values()),
            mean=mean,
            deviation=_deviation(list(found.values())),
            difference=difference,
            standard_error=error,
            diverged=diverged,
            verdict=self._verdict(len(own), diverged, difference, error),
        )

    def _differences(self, found: dict[int, float]) -> Iterator[float]:
        for trial in self.baseline:
            if trial.run.seed in found and trial.val_accuracy is not None:
                yield found[trial.run.seed] - trial.val_accuracy

    def _standard_error(self, differences: Sequence[float]) -> float | None:
        if not differences:
            return None
        count, seeds = self.baseline[0].validation_examples, len(differences)
        apart = max(abs(statistics.fmean(differences)), 1 / count)
        seen = (_deviation(differences) or 0.0) / math.sqrt(seeds)
        return max(seen, math.sqrt(apart / (count * seeds)))

    def _verdict(
        self, trials: int, diverged: int, difference: float | None, error: float | None
    ) -> str:
        if diverged:
            return "diverged"
        if trials < len(self.seeds) or difference is None or self.baseline_mean is None:
            return ""
        above = difference + self.margin
        words = "as float32" if above >= -1e-12 else "worse"
        return f"unclear, {words}" if error and abs(above) < error else words


def grid(lowest: float, highest: float, per_decade: int) -> tuple[float, ...]:
    """Epsilons at even distances on a log scale, both ends included.

    Raises:
        UserError: The ends are no range.
    """
    if not 0 < lowest <= highest < math.inf:
        raise UserError(f"epsilons from {lowest:g} to {highest:g}: give a range.")
    start, end = (math.log10(x) * per_decade for x in (lowest, highest))
    count = math.floor(end - start + 1e-9)
    found = [10 ** ((start + i) / per_decade) for i in range(count + 1)]
    return tuple(sorted({float(f"{x:.6g}") for x in (*found, highest)}))


def sweep(
    plan: Sweep,
    *,
    stop: threading.Event | None = None,
    start: Callable[[str], Any] | None = None,
) -> Iterator[Sweep]:
    """Trains float32 first and then every epsilon.

    Args:
        plan: Without trials.
        stop: Once set, the trial in hand is given up and the sweep ends.
        start: Makes the worker of a precision; None starts a process.

    Yields:
        The sweep with one trial more, each time.

    Raises:
        UserError: The run can't be trained as it was asked for.
    """
    start, stop = start or Worker, stop or threading.Event()
    so_far = plan
    with start(plan.run.precision) as worker:
        tuned = dataclasses.replace(plan.run, epsilon=plan.epsilons[0])
        if not worker.check(tuned, stop):
            return
        with start(BASELINE) as other:
            for run in _baseline_runs(plan):
                trial = other.train(run, stop)
                if trial is None:
                    return
                so_far = dataclasses.replace(so_far, baseline=(*so_far.baseline, trial))
                yield so_far
        for run in _tuned_runs(plan):
            trial = worker.train(run, stop)
            if trial is None:
                return
            so_far = dataclasses.replace(so_far, trials=(*so_far.trials, trial))
            yield so_far


def _baseline_runs(plan: Sweep) -> Iterator[Run]:
    """Float32 with the optimizer's own epsilon; it rounds no 16-bit weight."""
    for seed in plan.seeds:
        yield dataclasses.replace(
            plan.run, precision=BASELINE, epsilon=None, rounding="nearest", seed=seed
        )


def _tuned_runs(plan: Sweep) -> Iterator[Run]:
    for epsilon in plan.epsilons:
        for seed in plan.seeds:
            yield dataclasses.replace(plan.run, epsilon=epsilon, seed=seed)


class Worker:
    """A process of one precision that trains one run after another.

    Args:
        precision: For the name of the process alone: the first run chooses it.
        before: Called in the process before anything else; a function of a module.
    """

    def __init__(
        self, precision: str, before: Callable[[], None] | None = None
    ) -> None:
        # A fresh interpreter: TensorFlow does not survive a fork.
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(
            target=_serve,
            args=(other, before),
            name=f"keras16-{precision}",
            daemon=True,
        )
        self._process.start()
        other.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.join()
        self._pipe.close()

    def check(self, run: Run, stop: threading.Event) -> bool:
        """Prepares a run and trains nothing; False where it was stopped.

        Raises:
            UserError: The run can't be started as it was asked for.
        """
        return self._asked("check", run, stop) is not None

    def train(self, run: Run, stop: threading.Event) -> Trial | None:
        """Trains a run; None where it was stopped.

        Raises:
            UserError: The run can't be started as it was asked for.
        """
        return self._asked("train", run, stop)

    def _asked(self, what: str, run: Run, stop: threading.Event) -> Any:
        self._pipe.send((what, run))
        while not self._pipe.poll(_POLL_SECONDS):
            if stop.is_set():
                return None
        try:
            kind, answer = self._pipe.recv()
        except EOFError as error:
            self._process.join()
            raise UserError(
                f"the process that trains at precision {run.precision} ended with "
                f"code {self._process.exitcode}: is there enough memory?"
            ) from error
        if kind == "refused":
            raise UserError(answer)
        return answer


def _serve(pipe: Any, before: Callable[[], None] | None) -> None:
    """What the process does: one answer to each request, until it is terminated."""
    # Ctrl-C goes to every process of a terminal; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout = sys.stderr  # standard output is for results
    if before is not None:
        before()
    while True:
        try:
            what, run = pipe.recv()
        except EOFError:
            return
        try:
            answer = trained(run) if what == "train" else prepared(run)
        except UserError as error:
            pipe.send(("refused", str(error)))
        else:
            pipe.send(("done", answer))


def prepared(run: Run) -> bool:
    """Whether a run can be started: True, or an error.

    Raises:
        UserError: It can't; or nothing is held out to judge by.
    """
    from keras16 import training

    if not len(training.prepare(run).validation_rows):
        raise UserError("nothing is held out: give --validation a share above 0.")
    return True


def trained(run: Run) -> Trial:
    """Trains a run in this process."""
    from keras16 import data, training

    result = training.fit(run, audit=False)
    last = result.epochs[-1] if result.epochs and result.status == "finished" else None
    _, held_out = data.hold_out(result.dataset, run.validation, run.seed)
    return Trial(
        run=result.run,
        status=result.status,
        cause=result.cause,
        val_accuracy=last.val_accuracy if last else None,
        val_loss=last.val_loss if last else None,
        validation_examples=len(held_out),
        epochs=tuple((e.val_loss, e.val_accuracy) for e in result.epochs),
        seconds=result.median_epoch_seconds,
    )


def _deviation(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None
