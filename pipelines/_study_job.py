"""One `keras16 study run`: trains what is not over, records and reports it."""

from __future__ import annotations

import json
import pathlib
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from keras16 import results, store
from keras16.errors import UserError
from keras16.execution import json_file, pool, sizes
from keras16.execution.ledger import Entry, Ledger, counts, named
from keras16.execution.pool import Task
from keras16.report import units
from keras16.results import Record
from keras16.study import Study

from . import _study_progress
from ._output import say

if TYPE_CHECKING:
    from ._stopping import StopOnSignal

FOLDER = pathlib.Path("mlruns")
COUNTS, NAMES = ("seeds", "epochs"), ("models", "arms")  # that scale a study


class Job:
    """The runs of a study from the plan to the report.

    Attributes:
        whole: The study as it stands in its file.
        study: Scaled as asked for.
        tracked: The record in MLflow.
        left_out: What could not be trained or kept as asked, in one line; or "".
        records: Of the runs that are over, once it has trained.
        summary: Of the report, likewise.
    """

    def __init__(
        self,
        study: Study,
        scale: dict[str, Any],
        stop: StopOnSignal,
        *,
        workers: int,
        keep_models: bool,
        retry_failed: bool,
        tracking_uri: str | None,
        quiet: bool,
    ) -> None:
        self.whole, self.study = study, study.scaled(**scale)
        self.workers, self.keep_models, self.quiet = workers, keep_models, quiet
        self.written: list[pathlib.Path] = []
        self.ledger = Ledger()
        self.store = store.store_uri(tracking_uri)
        self.folder = FOLDER / "studies" / study.name
        self.stop, self.left_out, self.left_out_code = stop, "", 0
        again: list[Entry] = []
        # Where they are filed is told once: the user's files may change meanwhile.
        runs = self.study.runs()
        self.planned = [(each, self.ledger.entry(each.run)) for each in runs]
        self.tasks = self._tasks(again if retry_failed else None)
        self._check_disk()
        for entry in again:
            entry.forget("failed", "crashed")
        _remember(self.folder, scale)

    def _tasks(self, again: list[Entry] | None) -> list[Task]:
        """The runs that are not over yet.

        Args:
            again: Takes those that failed, and are to be trained again; None where
                they are over.
        """
        waiting, unkept = [], 0
        for planned, entry in self.planned:
            record = entry.record()
            if record is None:
                waiting.append(Task(planned, entry))
            elif record.status != "finished" and again is not None:
                again.append(entry)
                waiting.append(Task(planned, entry))
            else:
                entry.delete_rest()  # its process was killed before it did
                unkept += record.status == "finished" and not entry.model.exists()
        if self.keep_models and unkept:
            self._say(
                f"{unkept} of the runs are over, and their models were not kept: "
                "--keep-models keeps those of runs that are yet to be trained."
            )
        return waiting

    def _check_disk(self) -> None:
        if not self.tasks:
            return
        runs = [task.planned.run for task in self.tasks]
        self._say(f"{len(runs)} of {len(self.study.runs())} runs to train.")
        elsewhere = sum(task.entry.is_of_other_code() for task in self.tasks)
        if elsewhere:
            self._say(
                f"{elsewhere} of them are over under another version of keras16, and "
                "are trained again by this one."
            )
        parameters = sizes.parameters(runs, self.ledger.folder, self.stop.event)
        needed = sizes.needed_bytes(
            parameters, len(runs), self.workers, keep_models=self.keep_models
        )
        free = shutil.disk_usage(_there(self.ledger.folder)).free
        told = (
            f"up to {units.size_text(needed)} of disk, {units.size_text(free)} are free"
        )
        if needed > free:
            raise UserError(f"study {self.study.name} needs {told}: make room.")
        self._say(f"It needs {told}.")

    def train(self) -> None:
        """Trains, and records each run as it ends; then writes the report.

        Raises:
            UserError: No run can go on, or none is over.
        """
        from keras16 import tracking

        with tracking.study(self.study, self.store) as self.tracked:
            over = self._over_so_far()
            self.tracked.sync(over)
            count = _study_progress.OfStudy(self.study, self.tasks, over, self.workers)
            try:
                with _study_progress.display(count, self.quiet) as shown:
                    self._train(shown)
            except pool.LeftOut as error:
                if not self._over_so_far():
                    raise
                self.left_out, self.left_out_code = str(error), error.exit_code
            self._report()

    def _train(self, shown: _study_progress.Silent) -> None:
        for event in pool.train(
            self.tasks,
            workers=self.workers,
            stop=self.stop.event,
            keep_models=self.keep_models,
        ):
            record = self._over(event)
            shown.happened(event, record)
            if record is not None:
                self.tracked.ended(record)

    def _over(self, event: pool.Event) -> Record | None:
        """The record of a run that has just ended."""
        if event.kind != "ended":
            return None
        record = event.task.entry.record()
        return record and named(record, self.study.name, event.task.planned)

    def _report(self) -> None:
        from keras16.report import study as report

        self.records = self._over_so_far()
        self.summary = report.summary(self.whole, self.records)
        if not self.records:  # a report of nothing would overwrite another
            return
        self.written = written(self.whole, self.records, self.folder)
        self.tracked.sync(self.records)
        self.tracked.means(self.records)
        claims = [f"{c['verdict']}: {c['text']}" for c in self.summary["claims"]]
        self.tracked.report([self.summary["verdict"], *claims], self.folder)

    def _over_so_far(self) -> tuple[Record, ...]:
        """What is over, under the code as it was when the study began."""
        found = ((planned, entry.record()) for planned, entry in self.planned)
        return tuple(named(one, self.study.name, of) for of, one in found if one)

    def as_text(self) -> str:
        """The verdicts, and where to read more."""
        from keras16.report import study as report

        lines = report.lines(self.whole, self.records)
        pages = [f"Report: {p}" for p in self.written if p.suffix == ".html"]
        return "\n".join((*lines, *pages, self.tracked.where))

    def as_json(self) -> str:
        """The report's numbers, and how many runs are over."""
        told = counts(entry for _, entry in self.planned)
        return json.dumps({**self.summary, "counts": told})

    def exit_code(self) -> int:
        """See the command's help."""
        if self.stop.event.is_set():
            return self.stop.exit_code
        for problem in filter(None, (self.tracked.problem, self.left_out)):
            say(problem)
        return max(self.left_out_code, int(bool(self.tracked.problem)))

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


def last_scaled(study: Study) -> Study:
    """A study as it was last run; whole where it never was.

    Raises:
        UserError: It has changed since, and lacks a row or an arm of then.
    """
    try:
        return study.scaled(**_last_scale(_scale_file(FOLDER / "studies" / study.name)))
    except UserError as error:
        raise UserError(
            f"as it was last run, {str(error).rstrip('.')}: run it again, or give "
            "--arms or --models."
        ) from error


def _last_scale(file: pathlib.Path) -> dict[str, Any]:
    """How it was scaled; what is no such thing is as if it were not there."""
    scale = json_file.read(file)
    counts = {name: scale.get(name) for name in COUNTS}
    names = {name: scale.get(name) for name in NAMES}
    return {
        **{name: count for name, count in counts.items() if isinstance(count, int)},
        **{name: each for name, each in names.items() if _is_texts(each)},
    }


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _remember(folder: pathlib.Path, scale: dict[str, Any]) -> None:
    json_file.write(_scale_file(folder), scale)


def _scale_file(folder: pathlib.Path) -> pathlib.Path:
    return folder / "scale.json"


def _there(folder: pathlib.Path) -> pathlib.Path:
    """The folder, or the nearest one above it that is there; links are followed."""
    folder = folder.resolve()
    return next(each for each in (folder, *folder.parents) if each.exists())
