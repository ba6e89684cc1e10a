"""The progress of many runs on standard error: a live table, lines, or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

import click

from keras16 import criterion
from keras16.report import units

from ._time_left import Position, TimeLeft

if TYPE_CHECKING:
    from keras16.execution.pool import Event, Task
    from keras16.results import Record
    from keras16.study import Study


class Count(Protocol):
    """What is told of runs, whichever command trains them."""

    def moved(self, task: Task, position: Position) -> None:
        """A run was begun, or went on."""

    def ended(self, task: Task, record: Record, seconds: float) -> None:
        """A run is over, after so many seconds."""

    def summary(self) -> str:
        """How far all is, in one line."""

    def outcome(self, record: Record) -> str:
        """What a run came to, in one line."""


def display(count: Count, quiet: bool) -> Silent:
    """What fits where standard error goes.

    Args:
        count: Told of the runs that end.
        quiet: Whether nothing is shown.
    """
    if quiet:
        return Silent(count)
    return Live(count) if sys.stderr.isatty() else Lines(count)


class OfStudy:
    """Counts the runs of a study.

    Args:
        study: As it is run.
        tasks: Those that are to be trained.
        over: What its other runs came to.
        workers: Runs side by side.
    """

    def __init__(
        self,
        study: Study,
        tasks: Sequence[Task],
        over: Sequence[Record],
        workers: int,
    ) -> None:
        self.metric = criterion.of_study(study)
        self.total = len(study.runs())
        self.over = self.total - len(tasks)
        self.failed = sum(record.status != "finished" for record in over)
        self.time_left = TimeLeft(tasks, over, workers)

    def moved(self, task: Task, position: Position) -> None:
        """A run was begun, or went on."""
        self.time_left.moved(task, position)

    def ended(self, task: Task, record: Record, seconds: float) -> None:
        """A run is over."""
        self.over += 1
        self.failed += record.status != "finished"
        self.time_left.ended(task, record, seconds)

    def summary(self) -> str:
        """How far the study is, in one line."""
        failed = f", {self.failed} failed" if self.failed else ""
        left = self.time_left.seconds()
        time_left = f", about {duration(left)} left" if left else ""
        return f"{self.over} of {self.total} runs{failed}{time_left}"

    def outcome(self, record: Record) -> str:
        """What a run came to, in one line."""
        from keras16.report.comparison import value

        judged = value(self.metric, self.metric.of(record))
        own = "" if self.metric.is_accuracy else f"{self.metric.name} "
        return ended(record, f"{record.row}, {record.arm}", f"{own}{judged}")


class Silent:
    """Counts what happens and shows nothing."""

    def __init__(self, count: Count) -> None:
        self.count = count
        self.began: dict[Task, float] = {}
        self.running: dict[Task, Position] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def happened(self, event: Event, record: Record | None) -> None:
        """Something happened to a run; `record` is what it came to, at its end."""
        self._move(event)
        if record is not None:
            spent = time.monotonic() - self.began[event.task]
            self.count.ended(event.task, record, spent)

    def _move(self, event: Event) -> None:
        task = event.task
        if event.kind in ("ended", "stopped"):
            self.running.pop(task, None)
            return
        if event.kind == "begun":
            self.began[task] = time.monotonic()
            self.running[task] = Position(task.planned.run.epochs)
        self.running[task].happened(event)
        self.count.moved(task, self.running[task])


class Lines(Silent):
    """One plain line for each run that ends, for logs and pipes."""

    def happened(self, event: Event, record: Record | None) -> None:
        """Tells what a run came to."""
        super().happened(event, record)
        if record is not None:
            line = f"{self.count.outcome(record)} ({self.count.summary()})"
            click.echo(f"keras16: {line}", err=True)


class Live(Silent):
    """A table of the runs that go on, above how far all is."""

    def __init__(self, count: Count) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        super().__init__(count)
        self.live = RichLive(
            console=Console(stderr=True),
            get_renderable=self._table,
            refresh_per_second=4,
            transient=True,
        )

    def __enter__(self) -> Self:
        self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.live.stop()

    def happened(self, event: Event, record: Record | None) -> None:
        """Changes the table; leaves a line above it for each run that ends."""
        super().happened(event, record)
        if record is not None:
            line = self.count.outcome(record)
            self.live.console.print(line, highlight=False, markup=False)

    def _table(self) -> Any:
        from rich import box, markup
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        table = Table(box=box.SIMPLE, show_edge=False, caption=self.count.summary())
        for title in ("row", "arm", "seed", "epoch", "", "spent"):
            table.add_column(title)
        for task, at in list(self.running.items()):
            table.add_row(
                markup.escape(task.planned.row),
                markup.escape(task.planned.arm),
                str(task.planned.seed),
                f"{min(at.epoch + 1, at.epochs)}/{at.epochs}",
                ProgressBar(1.0, at.share, width=30),
                duration(time.monotonic() - self.began[task]),
            )
        return table


def ended(record: Record, name: str, judged: str) -> str:
    """What a run came to, in one line.

    Args:
        record: Of the run.
        name: Of the run, without its seed.
        judged: How good it is where it finished.
    """
    name = f"{name}, seed {record.pair}"
    if record.status != "finished":
        return f"{name}: {record.status}: {record.cause}"
    seconds = record.median_epoch_seconds or record.first_epoch_seconds
    return f"{name}: {judged}, {units.seconds(seconds)} an epoch"


def duration(seconds: float) -> str:
    """Such as `40 s`, `12 min` or `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
