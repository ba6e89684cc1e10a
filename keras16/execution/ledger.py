"""The folder of runs: what is over, what is half done, what is going on.

Each run has FOLDER/KEY/CODE (see `identity`) with `record.json`, what it came to,
written last and never torn; `checkpoint.npz`, the weights of its last epoch, and
`company.json`, what went on beside it (see `company`), while they last; `log.txt`, what
its process printed; `model.keras` where models are kept; and `lock`, held by the
process that trains it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Iterable

import filelock

from keras16.errors import UserError
from keras16.execution import identity, json_file
from keras16.results import Record, from_dict, to_dict
from keras16.study import Planned, Run

DEFAULT_FOLDER = pathlib.Path("mlruns/runs")
STATES = ("finished", "failed", "running", "pending")


@dataclasses.dataclass(frozen=True)
class Entry:
    """The place of one run under one version of the code."""

    folder: pathlib.Path

    @property
    def record_file(self) -> pathlib.Path:
        """What the run came to, as JSON."""
        return self.folder / "record.json"

    @property
    def checkpoint(self) -> pathlib.Path:
        """The weights after the last epoch."""
        return self.folder / "checkpoint.npz"

    @property
    def company(self) -> pathlib.Path:
        """What went on beside the epochs so far, as JSON."""
        return self.folder / "company.json"

    @property
    def log(self) -> pathlib.Path:
        """What the process printed."""
        return self.folder / "log.txt"

    @property
    def model(self) -> pathlib.Path:
        """The trained model."""
        return self.folder / "model.keras"

    def record(self) -> Record | None:
        """What the run came to; None where it is not over."""
        try:
            return from_dict(json.loads(self.record_file.read_text()))
        except FileNotFoundError:
            return None
        except NotADirectoryError:  # the folder of runs is a file: deleting helps not
            raise
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(
                f"{self.record_file} can't be read ({error}): delete it."
            ) from error

    def write(self, record: Record) -> None:
        """Writes what the run came to, and deletes what it would go on from."""
        json_file.write(self.record_file, to_dict(record))
        self.delete_rest()

    def delete_rest(self) -> None:
        """Deletes what a run that is over would have gone on from."""
        self.checkpoint.unlink(missing_ok=True)
        self.company.unlink(missing_ok=True)
        self.delete_parts()

    def forget(self, *statuses: str) -> None:
        """Deletes a record of one of these: what has one is not trained.

        Not where another process trains the run, or has finished it meanwhile.
        """
        with contextlib.suppress(filelock.Timeout), self.lock():
            record = self.record()
            if record is not None and record.status in statuses:
                self.record_file.unlink(missing_ok=True)

    def delete_parts(self) -> None:
        """Deletes what a process had half written when it was killed.

        Only whoever trains the run writes into its folder.
        """
        for part in self.folder.glob("*.part"):
            part.unlink(missing_ok=True)

    def records_of_any_code(self) -> list[pathlib.Path]:
        """The records of the run, whatever version of the code it was trained by."""
        return list(self.folder.parent.glob("*/record.json"))

    def is_of_other_code(self) -> bool:
        """Whether the run is over under another version of the code alone."""
        return self.record() is None and bool(self.records_of_any_code())

    def lock(self) -> filelock.BaseFileLock:
        """Held by whoever trains the run; the system frees it when he dies."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return filelock.FileLock(self.folder / "lock", blocking=False)

    def is_running(self) -> bool:
        """Whether a process trains it now."""
        if not (self.folder / "lock").exists():
            return False
        try:
            with self.lock():
                return False
        except filelock.Timeout:
            return True

    def state(self) -> str:
        """One of `STATES`."""
        record = self.record()
        if record is not None:
            return "finished" if record.status == "finished" else "failed"
        return "running" if self.is_running() else "pending"


@dataclasses.dataclass(frozen=True)
class Ledger:
    """All runs of a folder.

    Attributes:
        folder: Made when the first run starts.
    """

    folder: pathlib.Path = DEFAULT_FOLDER

    def entry(self, run: Run) -> Entry:
        """The place of a run under the code as it is."""
        return Entry(self.folder / identity.key(run) / identity.code())

    def found(self, study: str, planned: Planned, *, older: bool) -> Record | None:
        """What a run of a study came to, or None.

        Args:
            study: Its name.
            planned: The run.
            older: Whether another version of the code will do where this one has
                not run it: the newest of them.
        """
        entry = self.entry(planned.run)
        record = entry.record()
        if record is None and older:
            files = entry.records_of_any_code()
            newest = max(files, key=lambda file: file.stat().st_mtime, default=None)
            record = Entry(newest.parent).record() if newest else None
        return record and named(record, study, planned)

    def records(
        self, study: str, runs: Iterable[Planned], *, older: bool = True
    ) -> tuple[Record, ...]:
        """What those of the runs came to that are over."""
        found = (self.found(study, planned, older=older) for planned in runs)
        return tuple(record for record in found if record is not None)

    def counts(self, runs: Iterable[Planned]) -> dict[str, int]:
        """How many runs are in each of `STATES`, and in "total"."""
        return counts(self.entry(planned.run) for planned in runs)

    def of_other_code(self, runs: Iterable[Planned]) -> int:
        """How many of the runs are over under another version of the code alone."""
        return sum(self.entry(planned.run).is_of_other_code() for planned in runs)


def counts(entries: Iterable[Entry]) -> dict[str, int]:
    """How many of them are in each of `STATES`, and in "total"."""
    states = [entry.state() for entry in entries]
    return {"total": len(states), **{name: states.count(name) for name in STATES}}


def named(record: Record, study: str, planned: Planned) -> Record:
    """The record under the names that a study gives the run: others may share it."""
    return dataclasses.replace(
        record, study=study, row=planned.row, arm=planned.arm, pair=planned.seed
    )
