"""`keras16 compare`: which precision to use for a net of one's own."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from keras16 import precision

from . import _study_progress
from ._options import (
    STEP_FIELDS,
    Count,
    Number,
    PrecisionName,
    Several,
    json_option,
    run_options,
    tracking_uri_option,
)
from ._output import plain, ready, say
from ._quiet import results_only
from ._stopping import StopOnSignal
from ._table import rendered

if TYPE_CHECKING:
    from keras16.comparison import Comparison, Probe
    from keras16.comparison.job import Job
    from keras16.criterion import Metric
    from keras16.execution.pool import Event, Task
    from keras16.results import Record

    from ._time_left import Position

FOLDER = pathlib.Path("mlruns")
STOPPING = b"\nkeras16: stopping; what is known so far is told. Again to abort.\n"


@click.command(name="compare")
@run_options(*STEP_FIELDS, "validation")
@click.option(
    "--minutes",
    type=Number(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="No run begins after so long; one that has begun goes on to its end.",
)
@click.option(
    "--precisions",
    type=Several(PrecisionName(), "precision"),
    metavar="NAMES",
    default=",".join(precision.COMPARED),
    show_default=True,
    help="To compare, with commas; 32 is always among them.",
)
@click.option(
    "--epochs",
    type=Count(min=1),
    help="Of every run.  [default: at most 8, so that three seeds fit]",
)
@click.option(
    "--margin",
    type=Number(min=0, min_open=True),
    help="Metrics that differ by less count as equal; in the metric's units.  "
    "[default: 0.005 of accuracies and others in 0 to 1]",
)
@click.option(
    "--better",
    type=click.Choice(("higher", "lower")),
    help="Which --metric is better.  [default: as Keras' own name tells]",
)
@tracking_uri_option
@json_option
@click.option("--quiet", is_flag=True, help="Show no progress.")
def command(
    model: str,
    dataset: str,
    minutes: float,
    precisions: tuple[str, ...],
    epochs: int | None,
    loss: str | None,
    metric: str | None,
    margin: float | None,
    better: str | None,
    tracking_uri: str | None,
    as_json: bool,
    quiet: bool,
    **fields: Any,
) -> None:
    """Says which precision to use for a net, and why.

    Purity, speed and memory come first; then seeds are trained, interleaved over the
    precisions, as long as another one fits into the time. They are judged by
    validation data, which are for choices. Each run has a process of its own and is
    kept in mlruns/: the same command with more --minutes goes on from there, and
    trains again what crashed.

    Without --loss, data are class ids and the net ends in logits or a softmax. With
    it, net and data go together as in Keras' compile, regression included.

    Exit codes: 0 done; 1 the record in MLflow is not whole; 2 input that cannot be
    used; 130 stopped by Ctrl-C, 143 by SIGTERM.

    \b
    Example:
      keras16 compare --model net.py:build --dataset digits.npz --minutes 10
      keras16 compare --model net.py:build --dataset prices.npz --loss mse \\
        --metric mae --margin 0.01
    """
    from keras16 import tracking
    from keras16.comparison.job import Job
    from keras16.store import store_uri

    uri = store_uri(tracking_uri)
    ready(FOLDER / "compare", "what it comes to")
    shown = Shown(quiet)
    with results_only(), StopOnSignal(STOPPING) as stop, shown:
        job = Job(
            model,
            dataset,
            minutes=minutes,
            precisions=precisions,
            epochs=epochs,
            loss=loss,
            metric=metric,
            better=better,
            margin=margin,
            folder=FOLDER,
            watcher=shown,
            stop=stop.event,
            fields=fields,
        )
        shown.count = OfMinutes(job.metric, minutes)
        if not quiet:
            say(_measuring(job))
        comparison = job.result()
        shown.close()
        with tracking.study(job.study, uri, "keras16 compare") as tracked:
            tracked.sync(tuple(job.records.values()))
            tracked.means(tuple(job.records.values()))
            tracked.said(comparison.verdict)
    if tracked.problem:
        say(tracked.problem)
    text = f"{as_text(comparison)}\n{tracked.where}"
    click.echo(as_object(comparison) if as_json else text)
    raise SystemExit(stop.exit_code if stop.event.is_set() else bool(tracked.problem))


def _measuring(job: Job) -> str:
    """What of its precisions is still to be measured, in one line."""
    unknown = job.unknown
    known = [name for name in job.precisions if name not in unknown]
    told = [f"measuring {', '.join(unknown)} of {job.run.model}"] if unknown else []
    if known:
        told.append(f"{', '.join(known)} as measured before")
    return "; ".join(told)


class OfMinutes:
    """Counts the runs of a comparison, which ends when its time is up.

    Args:
        metric: That runs are judged by.
        minutes: That it may take from now on.
    """

    def __init__(self, metric: Metric, minutes: float) -> None:
        self.metric, self.over, self.failed = metric, 0, 0
        self.until = time.monotonic() + 60 * minutes

    def moved(self, task: Task, position: Position) -> None:
        """A run was begun, or went on: the time that is left is told by the clock."""

    def ended(self, task: Task, record: Record, seconds: float) -> None:
        """A run is over."""
        self.over += 1
        self.failed += self.metric.of(record) is None

    def summary(self) -> str:
        """How far it is, in one line."""
        from keras16.report.study.words import many

        failed = f", {self.failed} failed" if self.failed else ""
        left = _study_progress.duration(max(0.0, self.until - time.monotonic()))
        return f"{many(self.over, 'run')}{failed}, {left} left"

    def outcome(self, record: Record) -> str:
        """What a run came to, judged by validation data."""
        from keras16.report import comparison as report

        value = report.value(self.metric, self.metric.of(record))
        judged = f"validation {self.metric.name} {value}"
        return _study_progress.ended(record, record.arm, judged)


class Shown:
    """A `Watcher` that shows on standard error what is known as soon as it is.

    Attributes:
        count: Set before the first run.
    """

    count: OfMinutes

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self._open = contextlib.ExitStack()
        self._display: _study_progress.Silent

    def __enter__(self) -> Shown:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Takes the live table off the screen."""
        self._open.close()

    def probed(self, probes: Sequence[Probe]) -> None:
        """Shows purity, speed and memory, then the runs that go on."""
        from keras16.report import comparison as report

        if not self.quiet:
            table = rendered(report.probed(probes), report.PROBED, width=120)
            click.echo(table, err=True)
            for one in probes:
                if one.problem:
                    say(f"{one.precision} could not be tried: {one.problem}.")
        shown = _study_progress.display(self.count, self.quiet)
        self._display = self._open.enter_context(shown)

    def happened(self, event: Event, record: Record | None) -> None:
        """Something happened to a run."""
        self._display.happened(event, record)


def as_text(comparison: Comparison) -> str:
    """The table and the sentence."""
    from keras16.report import comparison as report
    from keras16.report.study.words import many

    table = rendered(
        report.table(comparison), report.header(comparison.metric), width=140
    )
    runs = many(sum(row.runs for row in comparison.rows), "run")
    epochs = many(comparison.epochs, "epoch")
    told = f"{runs} of {epochs}, {comparison.minutes:.1f} minutes."
    if comparison.other_code:
        others = many(comparison.other_code, "earlier run")
        are = "is" if comparison.other_code == 1 else "are"
        told += f"\n{others} {are} of other code and not counted."
    for row in comparison.rows:
        if precision.get(row.precision).pure and row.wide_tensors:
            told += (
                f"\n{row.precision} is not pure here: {row.wide_tensors} of "
                f"{row.tensors} tensors in the training step are wider than 16 bits."
            )
    return f"{table}\n{told}\n{comparison.verdict}"


def as_object(comparison: Comparison) -> str:
    """The object that `--json` prints."""
    best = comparison.best
    found = dataclasses.asdict(comparison)
    found |= {"best": best.precision if best else None, "verdict": comparison.verdict}
    return json.dumps(plain(found))
