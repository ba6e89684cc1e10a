"""Trains one net at several precisions until the time is up."""

from __future__ import annotations

import dataclasses
import math
import numbers
import pathlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from keras16 import objective
from keras16 import precision as precisions_table
from keras16.analysis.durations import START_SECONDS, of_whole
from keras16.comparison import files, names
from keras16.comparison.notes import Notes
from keras16.comparison.probe import BASELINE, Probe, probe
from keras16.comparison.verdict import Comparison, compared
from keras16.criterion import Metric, chosen, margin_of
from keras16.errors import UserError
from keras16.execution import child, identity, pool
from keras16.execution.ledger import Ledger
from keras16.results import Record
from keras16.study import Arm, Planned, Row, Run, Study

SEEDS_WANTED = 3  # the least that can settle anything
MOST_EPOCHS = 8
CRASHED = "crashed"
MOST_SEEDS = 1000
# A comparison trains again what crashed, and has no option to say so.
AGAIN = "the same comparison trains it again"


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
    what is over is kept in `folder`, and asking again goes on from there. A run that
    diverged is a result; one whose process crashed is then trained again.

    Args:
        build: `build(input_shape, classes)` or `build()`, which returns a Keras model
            with logits or a softmax at its end, or with what `loss` takes; or what
            `keras16 train --model` takes. `classes` is the number of outputs.
        data: (x, y) with class ids, or with the targets of `loss`;
            ((x, y), (x_test, y_test)); or what `keras16 train --dataset` takes. A
            tenth is held out to judge by, unless `validation` says otherwise.
        minutes: No run begins after so long; one that has begun is trained to its end.
            Of the first seed each run begins while there is time left, a later seed
            only where all its runs seem to fit.
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
        self.minutes, self.epochs = _above_0(minutes), _whole(epochs)
        self.watcher, self.stop, self.folder = watcher, stop, folder
        self.precisions = _with_baseline(precisions)
        files.check(build, data, loss, metric)
        self.metric, self.margin = _judged(loss, metric, better, margin)
        home = folder / "compare"
        fields |= {
            "loss": files.part(loss, "loss", "loss", home),
            "metric": files.part(metric, "metric", "metric", home),
        }
        objective.of(_run(fields))
        model, dataset = files.named(build, data, home)
        self.run = _run({"model": model, "dataset": dataset, **fields})
        self.ledger = Ledger(folder / "runs")
        self.notes = Notes(home, dataclasses.replace(self.run, epochs=MOST_EPOCHS))
        self.records: dict[tuple[str, int], Record] = {}
        self.spent: dict[str, float] = {}  # seconds of the last run, start included

    @property
    def unknown(self) -> list[str]:
        """The precisions that are still to be measured: those of before are kept."""
        return [name for name in self.precisions if not self.notes.probe(name)]

    def result(self) -> Comparison:
        """Probes, trains until the time is up, and judges."""
        self.probes = []
        for name in self.precisions:
            if found := self.notes.probe(name) or self._probe(name):
                self.probes.append(found)
        self.watcher.probed(self.probes)
        self._choose_epochs()
        self.study = self._study()
        self._take_up()
        for runs in self._seeds():
            self._train(runs)
        return self.judged()

    def _probe(self, name: str) -> Probe | None:
        """What a precision costs; that it can't be had is an answer, too.

        What float32 can't do, either, is no matter of precision. None where it is
        stopped before.
        """
        run = dataclasses.replace(self.run, precision=name)
        filed = identity.key(run), identity.code_by_now()
        try:
            found = None if self.stop.is_set() else probe(run, self.stop)
        except child.Stopped:
            return None
        except UserError as error:
            if name == BASELINE:
                raise
            return Probe(name, problem=str(error).rstrip("."))
        if found is None:
            return None
        if filed != (identity.key(run), identity.code_by_now()):
            changed = identity.newest_file(run) or "keras16"
            raise UserError(f"{changed} has changed meanwhile: start again.")
        self.notes.probed(found)
        return found

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
            other_code=self.notes.of_other_code(self.ledger.folder),
        )

    def _minutes_spent(self) -> float:
        return (time.monotonic() - self.began) / 60

    def _seconds_left(self) -> float:
        return 60 * (self.minutes - self._minutes_spent())

    def _choose_epochs(self) -> None:
        """As asked for; else as before under the same fields; else by the time."""
        chosen = self.epochs or self.notes.epochs or self._fitting_epochs()
        if self.notes.epochs is None and len(self.probes) == len(self.precisions):
            self.notes.epochs = chosen
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

    def _by_seed(self) -> Iterator[list[Planned]]:
        """All runs, those of a seed together, each precision beginning in turn."""
        once = self.study.once()
        for seed in range(MOST_SEEDS):
            first = seed % max(len(once), 1)
            yield [_of_seed(each, seed) for each in (*once[first:], *once[:first])]

    def _take_up(self) -> None:
        """The runs that are over, however little time there is."""
        for seed in self._by_seed():
            over = [planned for planned in seed if self._over(planned)]
            if not over:
                return
            self.notes.counted([self.ledger.entry(planned.run) for planned in over])

    def _seeds(self) -> Iterator[list[Planned]]:
        """What is left of the runs of a seed, as long as there is time for it.

        Of the first one run by run: it may take longer than there is time.
        """
        for number, seed in enumerate(self._by_seed()):
            left = [planned for planned in seed if not self._is_settled(planned)]
            parts = [left] if number and left else [[planned] for planned in left]
            for runs in parts:
                if self.stop.is_set() or not self._has_time(runs, bool(number)):
                    return
                yield runs

    def _has_time(self, runs: Sequence[Planned], is_later: bool) -> bool:
        needed = sum(self._seconds_needed(planned.arm) for planned in runs)
        left = self._seconds_left()
        return left > needed if is_later else left > 0

    def _seconds_needed(self, arm: str) -> float:
        """As much as the last run took; by the probe where there is none."""
        if arm in self.spent:
            return self.spent[arm]
        own = (record for record in self.records.values() if record.arm == arm)
        finished = [record for record in own if record.status == "finished"]
        if finished:
            return START_SECONDS + of_whole(finished[-1], finished[-1].wall_seconds)
        known = next(one for one in self._tried if one.precision == arm)
        training = self.run.epochs * known.epoch_seconds
        return START_SECONDS + known.compile_seconds + training

    def _learn(self, record: Record, seconds: float) -> None:
        """What a run of this call took: one that did not finish, at least that."""
        if record.status == "finished":
            self.spent[record.arm] = of_whole(record, seconds)
        else:
            self.spent[record.arm] = max(seconds, self._seconds_needed(record.arm))

    def _train(self, runs: Sequence[Planned]) -> None:
        """The runs, one after the other."""
        tasks = [pool.Task(each, self.ledger.entry(each.run)) for each in runs]
        for task in tasks:
            task.entry.forget(CRASHED)
        began = time.monotonic()
        for event in pool.train(tasks, workers=1, stop=self.stop):
            is_over = event.kind == "ended" and self._over(event.task.planned)
            key = event.task.planned.arm, event.task.planned.seed
            if is_over:
                self.notes.counted([event.task.entry])
                now = time.monotonic()
                self._learn(self.records[key], now - began)
                began = now
            self.watcher.happened(event, self.records[key] if is_over else None)

    def _is_settled(self, planned: Planned) -> bool:
        """Whether a run is over, and not because of a crash.

        Such a one may have been killed from outside, and counts until it is trained
        again.
        """
        key = planned.arm, planned.seed
        return self._over(planned) and self.records[key].status != CRASHED

    def _over(self, planned: Planned) -> bool:
        """Whether a run is over; its record is taken up."""
        record = self.ledger.found(self.study.name, planned, older=False)
        if record is not None:
            # A study may have trained it, and has other words for what to do.
            cause = record.cause.replace(pool.AGAIN, AGAIN)
            record = dataclasses.replace(record, cause=cause)
            self.records[planned.arm, planned.seed] = record
        return record is not None


def _of_seed(planned: Planned, seed: int) -> Planned:
    """The same training with another seed."""
    run = dataclasses.replace(planned.run, seed=seed)
    return dataclasses.replace(planned, seed=seed, run=run)


def _judged(
    loss: Any, metric: Any, better: str | None, margin: float | None
) -> tuple[Metric, float]:
    """The metric and its margin.

    Raises:
        UserError: There is none of that name; or nobody knows which way it is better,
            or a margin.
    """
    try:
        found = chosen(loss, metric, better)
        return found, margin_of(found, margin)
    except UserError:
        names.check(loss, metric)  # of what there isn't nobody can tell more
        raise


def _above_0(minutes: Any) -> float:
    is_number = isinstance(minutes, numbers.Real) and math.isfinite(minutes)
    if not is_number or minutes <= 0:
        raise UserError(f"minutes is {minutes!r}: give a number above 0.")
    return float(minutes)


def _whole(epochs: Any) -> int | None:
    if epochs is None:
        return None
    is_whole = isinstance(epochs, numbers.Integral) and not isinstance(epochs, bool)
    if not is_whole or epochs < 1:
        raise UserError(f"epochs is {epochs!r}: give a whole number of 1 or more.")
    return int(epochs)


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
