"""What was trained: the fields of `Run` that all runs have alike, and the others.

Taken from the records, with the defaults filled in, not from the plan.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from keras16.analysis.cells import Grid

Values = tuple[Any, ...]  # the distinct ones, in the order of the runs


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Fields of `Run` by name, but for the seed and those that say nothing.

    Attributes:
        shared: That all runs have alike.
        by_row: Those that differ between rows, then the row.
        by_arm: Those that differ between arms, then the arm. A default may depend on
            both, and stands in both.
    """

    shared: dict[str, Values]
    by_row: dict[str, dict[str, Values]]
    by_arm: dict[str, dict[str, Values]]


def recipe(grid: Grid) -> Recipe:
    """What the runs of a study were, whatever was planned."""
    found = Recipe({}, {}, {})
    for name in _names(grid):
        cells = {
            key: _distinct(one.run.fields()[name] for one in cell.records)
            for key, cell in grid.cells.items()
            if cell.records
        }
        if len(set(cells.values())) == 1:
            found.shared[name] = _told(cells.values())
            continue
        rows, arms = (_differs(cells, place) for place in (0, 1))
        if rows or not arms:
            found.by_row[name] = _by(cells, 0, grid.rows)
        if arms or not rows:
            found.by_arm[name] = _by(cells, 1, grid.arms)
    return found


def _names(grid: Grid) -> list[str]:
    """The fields that are not empty, or switched off, in all runs."""
    runs = [record.run.fields() for record in grid.records]
    names = [name for name in (runs[0] if runs else ()) if name != "seed"]
    return [name for name in names if any(_says(run[name]) for run in runs)]


def _says(value: Any) -> bool:
    return value not in (None, "") and value is not False


def _distinct(values: Iterable[Any]) -> Values:
    return tuple(dict.fromkeys(values))


def _told(cells: Iterable[Values]) -> Values:
    """All values of some cells, without those that are none."""
    found = _distinct(value for values in cells for value in values)
    return tuple(value for value in found if value not in (None, ""))


def _differs(cells: dict[tuple[str, str], Values], place: int) -> bool:
    """Whether it differs between rows (0) of one arm, or arms (1) of one row."""
    found: dict[str, set[Values]] = {}
    for key, values in cells.items():
        found.setdefault(key[1 - place], set()).add(values)
    return any(len(each) > 1 for each in found.values())


def _by(
    cells: dict[tuple[str, str], Values], place: int, names: Iterable[str]
) -> dict[str, Values]:
    return {
        name: _told(values for key, values in cells.items() if key[place] == name)
        for name in names
    }
