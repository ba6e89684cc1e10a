"""One `keras16 study run`: trains what is not over, records and reports it."""

from __future__ import annotations

import json
import pathlib
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from keras16 import results, store
from keras16.errors import UserError
from keras16.execution import pool, sizes
from keras16.execution.ledger import Ledger
from keras16.execution.pool import Task
from keras16.report import units
from keras16.results import Record
from keras16.study import Study

from . import _study_progress
from ._output import say

if TYPE_CHECKING:
    from ._stopping import StopOnSignal

FOLDER = pathlib.Path("mlruns")


class Job:
    """The runs of a study from the plan to the report.

    Attributes:
        whole: The study as it stands in its file.
        study: Scaled as asked for.
        tracked: The record in MLflow.
        records: Of the runs that are over, once it has trained.
        summary: Of the report, likewise.
    """

    def __init__(
        self,
        study: Study,
        scale: dict[str, Any],
        *,
        workers: int,
        keep_models: bool,
        retry_failed: bool,
        tracking_uri: str | None,
        quiet: bool,
    ) -> None:
        self.whole, self.study = study, study.scaled(**scale)
        self.workers, self.keep_models, self.quiet = workers, keep_models, quiet
        self.ledger = Ledger()
        self.store = store.store_uri(tracking_uri)
        self.folder = FOLDER / "studies" / study.name
        self.tasks = self._tasks(retry_failed)
        self._check_disk()
        _remember(self.folder, scale)

    def _tasks(self, retry_failed: bool) -> list[Task]:
        """The runs that are not over yet."""
        waiting = []
        for planned in self.study.runs():
            entry = self.ledger.entry(planned.run)
            record = entry.record()
            if record is not None and record.status != "finished" and retry_failed:
                entry.record_file.unlink()
                record = None
            if record is None:
                waiting.append(Task(planned, entry))
        return waiting

    def _check_disk(self) -> None:
        if not self.tasks:
            return
        runs = [task.planned.run for task in self.tasks]
        self._say(f"{len(runs)} of {len(self.study.runs())} runs to train.")
        again = self.ledger.of_other_code(task.planned for task in self.tasks)
        if again:
            self._say(
                f"{again} of them are over under another version of keras16, and are "
                "trained again by this one."
            )
        counts = sizes.parameters(runs, self.ledger.folder)
        needed = sizes.needed_bytes(
            counts, len(runs), self.workers, keep_models=self.keep_models
        )
        free = shutil.disk_usage(pathlib.Path.cwd()).free
        told = (
            f"up to {units.size_text(needed)} of disk, {units.size_text(free)} are free"
        )
        if needed > free:
            raise UserError(f"study {self.study.name} needs {told}: make room.")
        self._say(f"It needs {told}.")

    def train(self, stop: StopOnSignal) -> None:
        """Trains, and records each run as it ends; then writes the report."""
        from keras16 import tracking

        with tracking.study(self.study, self.store) as self.tracked:
            over = self._over_so_far()
            self.tracked.sync(over)
            count = _study_progress.OfStudy(self.study, self.tasks, over, self.workers)
            with _study_progress.display(count, self.quiet) as shown:
                for event in pool.train(
                    self.tasks,
                    workers=self.workers,
                    stop=stop.event,
                    keep_models=self.keep_models,
                ):
                    record = self._over(event)
                    shown.happened(event, record)
                    if record is not None:
                        self.tracked.ended(record)
            self._report()

    def _over(self, event: pool.Event) -> Record | None:
        """The record of a run that has just ended."""
        if event.kind != "ended":
            return None
        return self.ledger.found(self.study.name, event.task.planned, older=False)

    def _report(self) -> None:
        from keras16.report import study as report

        self.records = self._over_so_far()
        self.summary = report.summary(self.whole, self.records)
        self.written = written(self.whole, self.records, self.folder)
        self.tracked.sync(self.records)
        self.tracked.means(self.records)
        claims = [f"{c['verdict']}: {c['text']}" for c in self.summary["claims"]]
        self.tracked.report([self.summary["verdict"], *claims], self.folder)

    def _over_so_far(self) -> tuple[Record, ...]:
        """What is over, under the code as it is."""
        return self.ledger.records(self.study.name, self.study.runs(), older=False)

    def as_text(self) -> str:
        """The verdicts, and where to read more."""
        from keras16.report import study as report

        lines = report.lines(self.whole, self.records)
        page = next(path for path in self.written if path.suffix == ".html")
        return "\n".join((*lines, f"Report: {page}", self.tracked.where))

    def as_json(self) -> str:
        """The report's numbers, and how many runs are over."""
        counts = self.ledger.counts(self.study.runs())
        return json.dumps({**self.summary, "counts": counts})

    def exit_code(self, stop: StopOnSignal) -> int:
        """See the command's help."""
        if stop.event.is_set():
            return stop.exit_code
        if self.tracked.problem:
            say(self.tracked.problem)
        return 1 if self.tracked.problem else 0

    def _say(self, line: str) -> None:
        if not self.quiet:
            say(line)


def written(
    study: Study, records: Sequence[Record], folder: pathlib.Path
) -> list[pathlib.Path]:
    """Writes the report, and its runs beside it; returns the files."""
    from keras16.report import study as report

    paths = report.write(study, records, folder)
    return [*paths, *results.write_csv(records, folder / f"{study.name}.csv")]


def from_ledger(study: Study, scaled: Study) -> tuple[Record, ...]:
    """What the runs of a study came to, whatever version of the code trained them."""
    return Ledger().records(study.name, scaled.runs())


def last_scale(study: Study) -> dict[str, Any]:
    """How a study was scaled when it was last run; empty where it never was."""
    try:
        return json.loads((FOLDER / "studies" / study.name / "scale.json").read_text())
    except (OSError, ValueError):
        return {}


def _remember(folder: pathlib.Path, scale: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scale.json").write_text(json.dumps(scale))
