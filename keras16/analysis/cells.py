"""The runs of a study in their places: one cell for each row and arm."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

from keras16 import criterion
from keras16.criterion import Metric
from keras16.results import STATUSES, Record
from keras16.statistics.pairs import mean_and_deviation
from keras16.study import Run, Study

FINISHED, DIVERGED, CRASHED = STATUSES


@dataclasses.dataclass(frozen=True)
class Cell:
    """The runs of one row and arm.

    Attributes:
        row, arm: Names.
        records: In the order of their seeds, one for each.
        epochs: That the study plans for a run.
        metric: That the study judges by.
    """

    row: str
    arm: str
    records: tuple[Record, ...] = ()
    epochs: int = 1
    metric: Metric = Metric().tested

    @property
    def finished(self) -> tuple[Record, ...]:
        """Those that were trained to the end and tested."""
        return tuple(
            one
            for one in self.records
            if one.status == FINISHED and self._is_tested(one)
        )

    def _is_tested(self, record: Record) -> bool:
        if self.metric.is_accuracy:
            return (record.test_accuracy, record.test_loss) != (None, None)
        return self.metric.of(record) is not None

    @property
    def diverged(self) -> int:
        """How many met NaN or infinity."""
        return sum(one.status == DIVERGED for one in self.records)

    @property
    def failures(self) -> int:
        """How many did not finish, for whatever reason."""
        return len(self.records) - len(self.finished)

    @property
    def score(self) -> tuple[float | None, float | None]:
        """Mean and standard deviation of the study's metric over the finished runs."""
        return self.spread(self.metric.field)

    def spread(self, name: str) -> tuple[float | None, float | None]:
        """Mean and standard deviation over the finished runs, of a number of `Record`.

        Args:
            name: Such as "test_metric".
        """
        found = [getattr(one, name) for one in self.finished]
        return mean_and_deviation([each for each in found if each is not None])

    @property
    def wide_tensors(self) -> int | None:
        """The most that the audit of a run found; None where none was audited."""
        found = [one.wide_tensors for one in self.records]
        return max((each for each in found if each is not None), default=None)

    def middle(self, name: str) -> float | None:
        """The median over the finished runs of one of the numbers of `Record`.

        Args:
            name: Such as "median_epoch_seconds" or "weight_bytes".
        """
        found = [getattr(one, name) for one in self.finished]
        known = [each for each in found if each is not None]
        return statistics.median(known) if known else None

    @property
    def timed_alone(self) -> bool:
        """Whether those that finished had the machine to themselves."""
        return all(one.timed_alone for one in self.finished)


@dataclasses.dataclass(frozen=True)
class Grid:
    """All the cells of a study, empty ones too.

    Attributes:
        study: The plan.
        cells: By row and arm.
        metric: That it is judged by, on test data.
        margin: In its units.
        strays: Records of no row and arm of the study, or older ones of a run that
            has another.
    """

    study: Study
    cells: dict[tuple[str, str], Cell]
    metric: Metric
    margin: float
    strays: int = 0

    @property
    def records(self) -> list[Record]:
        """Those that are in a cell."""
        return [one for cell in self.cells.values() for one in cell.records]

    def cell(self, row: str, arm: str) -> Cell:
        """Of a row and an arm; an empty one where the study has no such."""
        return self.cells.get((row, arm), Cell(row, arm, metric=self.metric))

    @property
    def rows(self) -> list[str]:
        """The names of the rows that have a run, in the study's order."""
        return [row.name for row in self.study.rows if self._has_run(0, row.name)]

    @property
    def arms(self) -> list[str]:
        """The names of the arms that have a run, in the study's order."""
        return [arm.name for arm in self.study.arms if self._has_run(1, arm.name)]

    def _has_run(self, place: int, name: str) -> bool:
        return any(c.records for key, c in self.cells.items() if key[place] == name)


def grid(study: Study, records: Sequence[Record]) -> Grid:
    """Sorts records into the cells of their study.

    Args:
        study: The plan.
        records: In any order; of two of one row, arm and seed the one that is as
            planned but for its epochs counts; of two such, or of none, the one that
            began last.

    Raises:
        UserError: The study can't be judged as it stands.
    """
    metric = criterion.of_study(study)
    margin = criterion.margin_of(metric, study.margin)
    found: dict[tuple[str, str], dict[int, Record]] = {
        (row.name, arm.name): {} for row in study.rows for arm in study.arms
    }
    plan = {(one.row, one.arm): one.run for one in study.once()}

    def worth(record: Record) -> tuple[bool, float]:
        planned = plan.get((record.row, record.arm))
        return planned is not None and is_as_planned(planned, record), record.began

    for record in sorted(records, key=worth):
        if (record.row, record.arm) in found:
            found[record.row, record.arm][record.pair] = record
    cells = {
        key: Cell(*key, _in_order(by_pair), plan[key].epochs, metric)
        for key, by_pair in found.items()
    }
    kept = sum(len(cell.records) for cell in cells.values())
    return Grid(study, cells, metric, margin, len(records) - kept)


def is_as_planned(planned: Run, record: Record) -> bool:
    """Whether a run is what was planned, but for its seed and how long it took."""
    done = record.run.fields()
    return not any(
        differs(name, value, done[name])
        for name, value in planned.fields().items()
        if name not in ("seed", "epochs")
    )


def differs(name: str, planned: Any, done: Any) -> bool:
    """Whether a value is another than planned, and not a default filled in."""
    left_open = planned is None or (name == "weight_decay" and not planned)
    return planned != done and not left_open


def _in_order(by_pair: dict[int, Record]) -> tuple[Record, ...]:
    return tuple(by_pair[pair] for pair in sorted(by_pair))
