"""What else went on beside a run, in all the processes that trained a part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras16 import measure
from keras16.execution import json_file

if TYPE_CHECKING:
    from keras16.execution.ledger import Entry


class Company:
    """How crowded the machine is: in this process, or in one before it, if more so.

    What the processes before found is in a file beside the checkpoint, and counts as
    long as there is a checkpoint: of that the run goes on.
    """

    def __init__(self, entry: Entry, workers: int) -> None:
        """Begins to measure.

        Args:
            entry: Of the run.
            workers: How many runs go on side by side.
        """
        self._file, self._workers = entry.company, workers
        self._before = _read(entry) if entry.checkpoint.exists() else {}
        self._load = measure.ForeignLoad()

    def felt(self) -> dict[str, Any]:
        """`workers` and `foreign_cores`, each the most that any of the parts had."""
        now = {"workers": self._workers, "foreign_cores": self._load.cores()}
        return {name: max(now[name], self._before.get(name, 0)) for name in now}

    def keep(self) -> None:
        """Writes it down for a process that goes on: an epoch of this one is over."""
        json_file.write(self._file, self.felt())


def _read(entry: Entry) -> dict[str, Any]:
    numbers = json_file.read(entry.company).items()  # a version did not keep it
    return {name: n for name, n in numbers if isinstance(n, int | float)}
