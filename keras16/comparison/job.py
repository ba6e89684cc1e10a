"""Trains one net at several precisions until the time is up."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from keras16 import objective
from keras16 import precision as precisions_table
from keras16.comparison import files
from keras16.comparison.probe import Probe, probe
from keras16.comparison.verdict import BASELINE, Comparison, compared
from keras16.criterion import chosen, margin_of
from keras16.errors import UserError
from keras16.execution import identity, pool
from keras16.execution.ledger import Ledger
from keras16.results import Record
from keras16.study import Arm, Planned, Row, Run, Study

SEEDS_WANTED = 3  # the least that can settle anything
MOST_EPOCHS = 8
MOST_SEEDS = 1000
START_SECONDS = 8.0  # of a process, its imports and its data


class Watcher(Protocol):
    """What may be told of a comparison while it lasts; every method may be a no-op."""

    def probed(self, probes: Sequence[Probe]) -> None:
        """Purity, speed and memory of every precision are known."""

    def happened(self, event: pool.Event, record: Record | None) -> None:
        """Something happened to a run; `record` is what it came to, at its end."""


class _Silent:
    def probed(self, probes: Sequence[Probe]) -> None:
        """Says nothing."""

    def happened(self, event: pool.Event, record: Record | None) -> None:
        """Says nothing."""


def compare(
    build: Callable[..., Any] | str,
    data: Any,
    *,
    minutes: float = 10.0,
    precisions: Sequence[str] = precisions_table.COMPARED,
    epochs: int | None = None,
    loss: Any = None,
    metric: Any = None,
    better: str | None = None,
    margin: float | None = None,
    folder: str | pathlib.Path = "mlruns",
    watcher: Watcher | None = None,
    stop: threading.Event | None = None,
    **fields: Any,
) -> Comparison:
    """Says which precision to use for a net, and why.

    Purity, speed and memory of each precision are measured first; then seeds are
    trained, interleaved over the precisions, as long as another one fits into the
    time. Everything is judged on validation data. Each run has a process of its own;
    what is over is kept in `folder`, and asking again goes on from there.

    Args:
        build: `build(input_shape, classes)` or `build()`, which returns a Keras model
            with logits or a softmax at its end, or with what `loss` takes; or what
            `keras16 train --model` takes. `classes` is the number of outputs.
        data: (x, y) with class ids, or with the targets of `loss`;
            ((x, y), (x_test, y_test)); or what `keras16 train --dataset` takes. A
            tenth is held out to judge by, unless `validation` says otherwise.
        minutes: At most so long, but for the runs in hand.
        precisions: To compare; float32 is always among them.
        epochs: Of every run; None chooses at most 8 so that three seeds fit.
        loss: What Keras' `compile` takes: a name, a function, a class or an object,
            or `FILE.py:NAME`; at 16 bits it becomes keras16's equal. Net and data are
            then used as they are. None: cross-entropy of class ids.
        metric: Likewise; what precisions are judged by. None: accuracy, or the loss
            that was given.
        better: Whether a "higher" or a "lower" metric is better; Keras' own tell by
            their names.
        margin: Metrics that differ by less count as equal; in the metric's units. None:
            0.005 of one in [0, 1]; any other needs one.
        folder: Where everything is kept.
        watcher: Told of the progress.
        stop: Once set, the comparison ends after the steps in hand.
        **fields: Others of `keras16.Run`, such as optimizer="sgd" and batch_size=128.

    Returns:
        Its `verdict` is the sentence, its `rows` the table.

    Raises:
        UserError: The net, the data, the loss or the metric can't be used as they are,
            at float32 either. A precision that can't be had is a row with a `problem`.
    """
    return Job(
        build,
        data,
        minutes=minutes,
        precisions=precisions,
        epochs=epochs,
        loss=loss,
        metric=metric,
        better=better,
        margin=margin,
        folder=pathlib.Path(folder),
        watcher=watcher or _Silent(),
        stop=stop or threading.Event(),
        fields=fields,
    ).result()


class Job:
    """One comparison in progress."""

    def __init__(
        self,
        build: Callable[..., Any] | str,
        data: Any,
        *,
        minutes: float,
        precisions: Sequence[str],
        epochs: int | None,
        loss: Any,
        metric: Any,
        better: str | None,
        margin: float | None,
        folder: pathlib.Path,
        watcher: Watcher,
        stop: threading.Event,
        fields: dict[str, Any],
    ) -> None:
        self.began = time.monotonic()
        self.minutes, self.folder = minutes, folder
        self.watcher, self.stop, self.epochs = watcher, stop, epochs
        self.precisions = _with_baseline(precisions)
        self.metric = chosen(loss, metric, better)
        self.margin = margin_of(self.metric, margin)
        home = folder / "compare"
        fields |= {
            "loss": files.part(loss, "loss", "loss", home),
            "metric": files.part(metric, "metric", "metric", home),
        }
        objective.of(_run(fields))
        model, dataset = files.named(build, data, home)
        self.run = _run({"model": model, "dataset": dataset, **fields})
        self.ledger = Ledger(folder / "runs")
        self.records: dict[tuple[str, int], Record] = {}

    def result(self) -> Comparison:
        """Probes, trains until the time is up, and judges."""
        self.probes = []
        for name in self.precisions:
            if not self.stop.is_set():
                self.probes.append(self._probe(name))
        self.watcher.probed(self.probes)
        self._choose_epochs()
        self.study = self._study()
        for runs in self._seeds():
            self._train(runs)
        return self.judged()

    def _probe(self, name: str) -> Probe:
        """What a precision costs; that it can't be had is an answer, too.

        What float32 can't do, either, is no matter of precision.
        """
        try:
            return probe(dataclasses.replace(self.run, precision=name))
        except UserError as error:
            if name == BASELINE:
                raise
            return Probe(name, problem=str(error).rstrip("."))

    @property
    def _tried(self) -> list[Probe]:
        """Of the precisions that can be had."""
        return [one for one in self.probes if not one.problem]

    def judged(self) -> Comparison:
        """What it has come to so far."""
        return compared(
            self.probes,
            tuple(self.records.values()),
            metric=self.metric,
            margin=self.margin,
            epochs=self.run.epochs,
            minutes=self._minutes_spent(),
        )

    def _minutes_spent(self) -> float:
        return (time.monotonic() - self.began) / 60

    def _seconds_left(self) -> float:
        return 60 * (self.minutes - self._minutes_spent())

    def _choose_epochs(self) -> None:
        """As asked for; else as before under the same fields; else by the time."""
        fields = dataclasses.replace(self.run, epochs=MOST_EPOCHS)
        path = self.folder / "compare" / f"{identity.key(fields)}.json"
        chosen = self.epochs or _remembered(path) or self._fitting_epochs()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"epochs": chosen}))
        self.run = dataclasses.replace(self.run, epochs=chosen)

    def _fitting_epochs(self) -> int:
        """So many that three seeds fit; at least what costs as much as the starts."""
        waits = sum(START_SECONDS + p.compile_seconds for p in self._tried)
        an_epoch = sum(p.epoch_seconds for p in self._tried)
        room = max(self._seconds_left() / SEEDS_WANTED - waits, waits)
        return max(1, min(MOST_EPOCHS, int(room / max(an_epoch, 1e-6))))

    def _study(self) -> Study:
        tried = [p.precision for p in self._tried]
        own = f"-{self.metric.name}" if self.run.loss else ""
        return Study(
            name=f"compare-{self.run.name}{own}",
            title=f"Precisions for {self.run.name}",
            question="Which precision should this net be trained at?",
            run=self.run,
            rows=(Row(name=self.run.model, fields={}),),
            arms=tuple(Arm(name=p, fields={"precision": p}) for p in tried),
            seeds=MOST_SEEDS,
            margin=self.margin,
            better="higher" if self.metric.higher_is_better else "lower",
        )

    def _seeds(self) -> Iterator[list[Planned]]:
        """The runs of a seed, as long as there is time for them."""
        runs, arms = self.study.runs(), max(len(self.study.arms), 1)
        for start in range(0, len(runs), arms):
            seed = list(runs[start : start + arms])
            first = start // arms % arms  # each precision begins in turn
            if self.stop.is_set() or not self._has_time(bool(start)):
                return
            yield seed[first:] + seed[:first]

    def _has_time(self, is_later: bool) -> bool:
        needed = sum(
            START_SECONDS + p.compile_seconds + self.run.epochs * p.epoch_seconds
            for p in self._tried
        )
        spent = [r.wall_seconds + START_SECONDS for r in self.records.values()]
        tried = len(self._tried)
        if len(spent) >= tried:
            needed = sum(spent[-tried:])
        left = self._seconds_left()
        return left > needed if is_later else left > 0

    def _train(self, runs: Sequence[Planned]) -> None:
        """Those of the runs that are not over yet, one after the other."""
        tasks = []
        for planned in runs:
            entry = self.ledger.entry(planned.run)
            if not self._over(planned):
                tasks.append(pool.Task(planned, entry))
        for event in pool.train(tasks, workers=1, stop=self.stop):
            is_over = event.kind == "ended" and self._over(event.task.planned)
            key = event.task.planned.arm, event.task.planned.seed
            self.watcher.happened(event, self.records[key] if is_over else None)

    def _over(self, planned: Planned) -> bool:
        """Whether a run is over; its record is taken up."""
        record = self.ledger.found(self.study.name, planned, older=False)
        if record is not None:
            self.records[planned.arm, planned.seed] = record
        return record is not None


def _with_baseline(names: Sequence[str]) -> tuple[str, ...]:
    known = tuple(dict.fromkeys(precisions_table.canonical(name) for name in names))
    return known if BASELINE in known else (*known, BASELINE)


def _run(fields: dict[str, Any]) -> Run:
    known = {field.name for field in dataclasses.fields(Run)}
    own = {"precision", "seed", "epochs"}
    if unknown := sorted(fields.keys() - (known - own)):
        raise UserError(
            f"compare takes no {unknown[0]!r}: there are "
            f"{', '.join(sorted(known - own))}."
        )
    run = Run(**fields)
    if not run.validation:
        raise UserError("nothing is held out to judge by: give a validation above 0.")
    return run


def _remembered(path: pathlib.Path) -> int | None:
    try:
        return int(json.loads(path.read_text())["epochs"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
