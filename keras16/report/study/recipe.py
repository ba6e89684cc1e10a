"""What was trained: what all runs have alike, and by what rows and arms differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras16.analysis import recipe
from keras16.analysis.cells import Grid
from keras16.report.study import words
from keras16.report.study.document import Block, Heading, Paragraph, Table
from keras16.study import Run

OR = " or "
PLAIN = (
    "16-plain is float16 with nothing added, batch normalization included, and Adam's "
    "and RMSprop's epsilon is 1e-4 where none is given; the nets that the papers "
    "released keep float32 inside batch normalization."
)
Columns = Mapping[str, Mapping[str, recipe.Values]]


def blocks(grid: Grid) -> list[Block]:
    """The section that gives the recipe; nothing without runs."""
    if not grid.records:
        return []
    found = recipe.recipe(grid)
    shared = {name: _text(values) for name, values in found.shared.items()}
    tables = []
    for kind, columns in ("row", found.by_row), ("arm", found.by_arm):
        own = {name for name, column in columns.items() if _is_name(column)}
        shared |= {name: f"the name of the {kind}" for name in own}
        others = {name: columns[name] for name in columns if name not in own}
        tables += [_table(kind, others)] if others else []
    told = [
        f"{_spelt(name)} {shared[name]}" for name in Run().fields() if name in shared
    ]
    alike = Paragraph(
        "As the runs had it, defaults filled in; fields are called as the options of "
        f"keras16 train. All runs alike: {', '.join(told)}."
    )
    plain = [Paragraph(PLAIN)] if _has_plain(grid) else []
    return [Heading("What was trained"), alike, *plain, *tables]


def _has_plain(grid: Grid) -> bool:
    return any(one.run.precision == "16-plain" for one in grid.records)


def _is_name(column: Mapping[str, recipe.Values]) -> bool:
    return all(values == (name,) for name, values in column.items())


def _table(kind: str, columns: Columns) -> Table:
    """A line for the rows, or arms, that are alike in all columns."""
    lines: dict[tuple[str, ...], list[str]] = {}
    for name in next(iter(columns.values())):
        cells = tuple(_text(column[name]) for column in columns.values())
        lines.setdefault(cells, []).append(name)
    header = (kind, *(_spelt(name) for name in columns))
    rows = tuple(("; ".join(names), *cells) for cells, names in lines.items())
    caption = f"In what the {kind}s differ."
    if any(OR in cell for cells in lines for cell in cells):
        other = "arm" if kind == "row" else "row"
        caption = f'In what the {kind}s differ; "or": by the {other}.'
    return Table(caption, header, rows, words=len(header))


def _spelt(name: str) -> str:
    return name.replace("_", " ")


def _text(values: recipe.Values) -> str:
    return OR.join(_value(value) for value in values) or words.NOTHING


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
