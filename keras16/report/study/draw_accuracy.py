"""The metric by epoch: a panel for each row, a line with its bars for each arm."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from keras16.analysis.cells import Cell, Grid
from keras16.report.curves import adorn
from keras16.report.study import scale, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 3
PANEL_HEIGHT = 2.1  # inches
MOST_BARS = 8
APART = 0.06  # of all epochs, but at most 0.6: bars of the first arm and the last one
TITLE_WIDTH = 110  # letters over all panels of a line


def figure(grid: Grid) -> Figure | None:
    """The metric on validation data, or on training data where none were held out.

    Args:
        grid: All runs.

    Returns:
        None where no epoch was finished.
    """
    rows = grid.rows
    if not any(_epochs(grid, row) for row in rows):
        return None
    name = quantity(grid)
    columns = min(COLUMNS, len(rows))
    lines = -(-len(rows) // columns)
    drawn = style.sheet(0.6 + PANEL_HEIGHT * lines * (1.4 if lines == 1 else 1))
    panels = list(drawn.subplots(lines, columns, squeeze=False).flat)
    looks = style.styles(grid.study)
    for axes, row in zip(panels, rows, strict=False):
        _panel(axes, grid, row, name, looks)
        axes.set_title(style.wrapped(row, TITLE_WIDTH // columns), loc="left")
    for axes in panels[len(rows) :]:
        axes.set_visible(False)
    words = "Validation" if name.startswith("val_") else "Training"
    drawn.supylabel(f"{words} {scale.of(grid).of(' [%]')}", fontsize=9)
    style.legend(drawn, drawn.axes)
    return drawn


def quantity(grid: Grid) -> str:
    """The field of `Epoch` that is drawn: one that every run has."""
    epochs = [epoch for record in grid.records for epoch in record.epochs]
    trained = grid.metric.quantity
    held_out = all(getattr(each, f"val_{trained}") is not None for each in epochs)
    return f"val_{trained}" if held_out else trained


class Point(NamedTuple):
    """The runs of a cell at one epoch; shares in percent."""

    epoch: int
    mean: float
    least: float
    greatest: float


def band(cell: Cell, name: str) -> list[Point]:
    """Mean, least and greatest value over the runs that got so far, by epoch.

    Args:
        cell: Whose runs.
        name: The field of `Epoch`.
    """
    found: dict[int, list[float]] = {}
    factor = scale.Scale(cell.metric).factor
    for record in cell.records:
        for epoch in record.epochs:
            value = getattr(epoch, name)
            if value is not None and math.isfinite(value):
                found.setdefault(epoch.epoch, []).append(factor * value)
    return [
        Point(epoch, statistics.fmean(values), min(values), max(values))
        for epoch, values in sorted(found.items())
    ]


def _panel(
    axes: Axes, grid: Grid, row: str, name: str, looks: dict[str, dict[str, Any]]
) -> None:
    bands = {arm: band(grid.cell(row, arm), name) for arm in grid.arms}
    drawn = {arm: found for arm, found in bands.items() if found}
    if not drawn:
        style.instead(axes, "no run finished an epoch")
        return
    for number, (arm, found) in enumerate(drawn.items()):
        _line(axes, arm, found, (number + 0.5) / len(drawn), looks[arm])
    _zoom(axes, list(drawn.values()), grid)
    adorn(axes, "")


def _line(
    axes: Axes, arm: str, found: Sequence[Point], place: float, look: dict[str, Any]
) -> None:
    """Means joined by a line, and a few bars from the least to the greatest.

    Args:
        axes: Drawn into.
        arm: Its name.
        found: What is drawn.
        place: Of the arm among the others, in (0, 1): bands of many arms are one
            grey, and bars at one place hide one another.
        look: Colour, marker and dash.
    """
    every = -(-len(found) // MOST_BARS)
    first = int(place * every)
    axes.plot(
        [point.epoch for point in found],
        [point.mean for point in found],
        label=arm,
        lw=1.3,
        markersize=3.5,
        markevery=(first, every),
        **look,
    )
    barred = found[first::every]
    apart = min(0.6, APART * (found[-1].epoch - 1))
    axes.vlines(
        [point.epoch + apart * (place - 0.5) for point in barred],
        [point.least for point in barred],
        [point.greatest for point in barred],
        color=look["color"],
        lw=0.9,
        alpha=0.55,
    )


def _zoom(axes: Axes, bands: Sequence[Sequence[Point]], grid: Grid) -> None:
    """Lets the first quarter lie outside: arms differ at the end, if at all."""
    last = max(point.epoch for found in bands for point in found)
    late = [point for found in bands for point in found if point.epoch > last / 4]
    low, high = min(p.least for p in late), max(p.greatest for p in late)
    least = 0.1 if grid.metric.is_share else 1e-3 * max(abs(low), abs(high)) or 1.0
    space = max(0.05 * (high - low), least)
    axes.set_ylim(low - space, high + space)


def _epochs(grid: Grid, row: str) -> bool:
    return any(one.epochs for arm in grid.arms for one in grid.cell(row, arm).records)
