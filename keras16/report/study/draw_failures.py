"""A map of failed runs: rows down, arms across."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras16.analysis.cells import Grid
from keras16.report.study import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# From white to Okabe and Ito's vermilion; places without a run are grey.
COLOURS = ("#ffffff", "#D55E00")
EMPTY = "#e4e4e4"


def figure(grid: Grid) -> Figure | None:
    """How many runs failed of those that were done, in every cell of the study.

    Args:
        grid: All runs.

    Returns:
        None where nothing was run.
    """
    if not grid.records:
        return None
    from matplotlib.colors import LinearSegmentedColormap

    rows = [row.name for row in grid.study.rows]
    arms = [arm.name for arm in grid.study.arms]
    drawn = style.sheet(0.9 + 0.32 * len(rows))
    axes = drawn.subplots()
    shades = LinearSegmentedColormap.from_list("failures", COLOURS)
    colours = shades.with_extremes(bad=EMPTY)
    rates = [[_rate(grid, row, arm) for arm in arms] for row in rows]
    axes.imshow(rates, cmap=colours, vmin=0, vmax=1, aspect="auto")
    for down, row in enumerate(rows):
        for across, arm in enumerate(arms):
            axes.text(across, down, _words(grid, row, arm), ha="center", va="center")
    axes.set_xticks(range(len(arms)), [style.wrapped(arm, 12) for arm in arms])
    axes.set_yticks(range(len(rows)), [style.wrapped(row, 40) for row in rows])
    axes.set_xticks([each + 0.5 for each in range(len(arms) - 1)], minor=True)
    axes.set_yticks([each + 0.5 for each in range(len(rows) - 1)], minor=True)
    axes.grid(which="minor", color="#bbbbbb", lw=0.8)
    axes.tick_params(which="both", length=0)
    axes.xaxis.tick_top()
    return drawn


def _rate(grid: Grid, row: str, arm: str) -> float:
    cell = grid.cell(row, arm)
    return cell.failures / len(cell.records) if cell.records else float("nan")


def _words(grid: Grid, row: str, arm: str) -> str:
    cell = grid.cell(row, arm)
    return f"{cell.failures} of {len(cell.records)}" if cell.records else "not run"
