"""`keras16 compare`: which precision to use for a net of one's own."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from keras16 import precision
from keras16.report import units

from ._options import (
    STEP_FIELDS,
    Number,
    PrecisionName,
    Several,
    json_option,
    run_options,
    tracking_uri_option,
)
from ._output import plain, say
from ._quiet import results_only
from ._stopping import StopOnSignal
from ._table import rendered

if TYPE_CHECKING:
    from keras16.comparison import Comparison, Probe
    from keras16.execution.pool import Event
    from keras16.results import Record

FOLDER = pathlib.Path("mlruns")
STOPPING = b"\nkeras16: stopping; what is known so far is told. Again to abort.\n"


@click.command(name="compare")
@run_options(*STEP_FIELDS, "validation")
@click.option(
    "--minutes",
    type=Number(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="How long it may take, but for the steps in hand.",
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
    type=click.IntRange(min=1),
    help="Of every run.  [default: at most 8, so that three seeds fit]",
)
@click.option(
    "--margin",
    type=Number(min=0, max=1, min_open=True),
    default=0.005,
    show_default=True,
    help="Accuracies that differ by less count as equal.",
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
    margin: float,
    tracking_uri: str | None,
    as_json: bool,
    quiet: bool,
    **fields: Any,
) -> None:
    """Says which precision to use for a net, and why.

    Purity, speed and memory come first; then seeds are trained, interleaved over the
    precisions, as long as another one fits into the time. Accuracies are of validation
    data, which are for choices. Each run has a process of its own and is kept in
    mlruns/: the same command with more --minutes goes on from there.

    Exit codes: 0 done; 1 the record in MLflow is not whole; 2 input that cannot be
    used; 130 stopped by Ctrl-C, 143 by SIGTERM.

    \b
    Example:
      keras16 compare --model net.py:build --dataset digits.npz --minutes 10
    """
    from keras16 import tracking
    from keras16.comparison.job import Job
    from keras16.store import store_uri

    uri = store_uri(tracking_uri)
    with results_only(), StopOnSignal(STOPPING) as stop:
        job = Job(
            model,
            dataset,
            minutes=minutes,
            precisions=precisions,
            epochs=epochs,
            margin=margin,
            folder=FOLDER,
            watcher=Shown(quiet),
            stop=stop.event,
            fields=fields,
        )
        if not quiet:
            say(f"measuring {', '.join(job.precisions)} of {job.run.model}")
        comparison = job.result()
        with tracking.study(job.study, uri) as tracked:
            tracked.sync(tuple(job.records.values()))
            tracked.means(tuple(job.records.values()))
            tracked.said(comparison.verdict)
    if tracked.problem:
        say(tracked.problem)
    text = f"{as_text(comparison)}\n{tracked.where}"
    click.echo(as_object(comparison) if as_json else text)
    raise SystemExit(stop.exit_code if stop.event.is_set() else bool(tracked.problem))


class Shown:
    """A `Watcher` that shows on standard error what is known as soon as it is."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet

    def probed(self, probes: Sequence[Probe]) -> None:
        """Shows purity, speed and memory."""
        from keras16.report import comparison as report

        if not self.quiet:
            click.echo(
                rendered(report.probed(probes), report.PROBED, width=120), err=True
            )

    def happened(self, event: Event, record: Record | None) -> None:
        """A line for each run that ends."""
        if record is not None and not self.quiet:
            say(outcome(record))


def outcome(record: Record) -> str:
    """What a run came to, judged by validation data."""
    if record.status != "finished":
        return f"{record.arm}, seed {record.pair}: {record.status}: {record.cause}"
    seconds = record.median_epoch_seconds or record.first_epoch_seconds
    return (
        f"{record.arm}, seed {record.pair}: {units.percent(record.val_accuracy)} of "
        f"the validation data, {units.seconds(seconds)} an epoch"
    )


def as_text(comparison: Comparison) -> str:
    """The table and the sentence."""
    from keras16.report import comparison as report

    table = rendered(report.table(comparison), report.HEADER, width=140)
    runs = sum(row.runs for row in comparison.rows)
    told = (
        f"{runs} runs of {comparison.epochs} epochs, {comparison.minutes:.1f} minutes."
    )
    return f"{table}\n{told}\n{comparison.verdict}"


def as_object(comparison: Comparison) -> str:
    """The object that `--json` prints."""
    best = comparison.best
    found = dataclasses.asdict(comparison)
    found |= {"best": best.precision if best else None, "verdict": comparison.verdict}
    return json.dumps(plain(found))
