"""How long the runs of a study will yet take, by what those like them took."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras16.analysis.durations import of_whole

if TYPE_CHECKING:
    from keras16.execution.pool import Event, Task
    from keras16.results import Record
    from keras16.study import Planned


@dataclasses.dataclass
class Position:
    """Where a run is.

    Attributes:
        epochs: Of the whole run.
        epoch: Those that are over.
        step: Of the epoch in hand, those that are done.
        steps: Of an epoch; 0 before it is known.
    """

    epochs: int
    epoch: int = 0
    step: int = 0
    steps: int = 0

    def happened(self, event: Event) -> None:
        """The run told of itself."""
        if event.kind == "started":
            self.steps = event.values["steps"]
        if event.kind in ("stepped", "epoch"):
            in_hand = event.values["epoch"] - 1
            self.epoch = in_hand + (event.kind == "epoch")
            self.step = event.values.get("step", 0)

    @property
    def share(self) -> float:
        """Of the whole run, that is done."""
        part = self.step / self.steps if self.steps else 0.0
        return min((self.epoch + part) / self.epochs, 1.0)


class TimeLeft:
    """An estimate that gets better with every run that ends.

    A run will take the median of those of its row and arm; else of its row and
    precision, of its precision, of all. Precisions differ by five times in cost, rows
    by more. The median, since a run that sat through the machine's sleep may take
    hours.

    Args:
        tasks: That are to be trained.
        over: What earlier calls came to.
        workers: Runs side by side.
    """

    def __init__(
        self, tasks: Sequence[Task], over: Sequence[Record], workers: int
    ) -> None:
        self.left: dict[Task, Position | None] = dict.fromkeys(tasks)
        self.workers = workers
        self._seconds: dict[tuple[str, ...], list[float]] = {}
        self._of_failed: list[float] = []
        for record in over:
            if record.status == "finished" and record.wall_seconds > 0:
                key = record.row, record.arm, record.run.precision
                self._learn(key, of_whole(record, record.wall_seconds))

    def moved(self, task: Task, position: Position) -> None:
        """A run went on."""
        self.left[task] = position

    def ended(self, task: Task, record: Record, seconds: float) -> None:
        """A run is over, after so many seconds of this call."""
        position = self.left.pop(task)
        if record.status != "finished":
            self._of_failed.append(seconds)
        else:
            # Where it told nothing, another process had it and this one waited.
            told = position is not None and position.steps
            spent = seconds if told else record.wall_seconds
            self._learn(_key(task.planned), of_whole(record, spent))

    def seconds(self) -> float | None:
        """From now on; None before a run has ended, and where none is left."""
        usual = statistics.median(self._of_failed) if self._of_failed else None
        each = []
        for task, position in list(self.left.items()):  # drawn by a thread
            whole = self._expected(_key(task.planned), usual)
            if whole is None:
                return None
            each.append(whole * (1 - (position.share if position else 0.0)))
        # The last runs have no others to share the workers with.
        return max(sum(each) / self.workers, *each) if each else None

    def _learn(self, key: tuple[str, str, str], seconds: float) -> None:
        for kind in _kinds(*key):
            self._seconds.setdefault(kind, []).append(seconds)

    def _expected(
        self, key: tuple[str, str, str], otherwise: float | None
    ) -> float | None:
        known = (self._seconds.get(kind) for kind in _kinds(*key))
        found = next(filter(None, known), None)
        return statistics.median(found) if found else otherwise


def _key(planned: Planned) -> tuple[str, str, str]:
    return planned.row, planned.arm, planned.run.precision


def _kinds(row: str, arm: str, precision: str) -> tuple[tuple[str, ...], ...]:
    """What a run is like, the narrowest first."""
    return ("arm", row, arm), ("row", row, precision), ("precision", precision), ()
