"""Epoch time and bytes of every row and arm as shares of the baseline's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras16.analysis.cells import Cell, Grid
from keras16.analysis.contrasts import contrast
from keras16.report.study import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = {
    "median_epoch_seconds": "Epoch time",
    "weight_bytes": "Weights",
    "optimizer_bytes": "Optimizer state",
}
BAR_HEIGHT = 0.15  # inches
# Keeps a label readable where it lies on the baseline.
LABEL: dict[str, Any] = {
    "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 0.5},
    "zorder": 3,
}


def figure(grid: Grid) -> Figure | None:
    """Bars side by side, the baseline at 1.

    Args:
        grid: All runs.

    Returns:
        None where no arm finished beside the baseline.
    """
    arms = [arm for arm in grid.arms if arm != grid.study.baseline]
    shares = {
        name: {key: value for key, value in _shares(grid, arms, name).items() if value}
        for name in PANELS
    }
    rows = [
        row
        for row in grid.rows
        if any(grid.cell(row, arm).records for arm in arms)
        and grid.cell(row, grid.study.baseline).records
    ]
    panels = [name for name in PANELS if shares[name]]
    if not panels:
        return None
    drawn = style.sheet(1.2 + len(rows) * (BAR_HEIGHT * len(arms) + 0.15))
    looks = style.styles(grid.study)
    names = [style.wrapped(row, style.NAME_WIDTH) for row in rows]
    drawings = drawn.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, name in zip(drawings, panels, strict=True):
        _panel(axes, shares[name], rows, arms, looks)
        axes.set_title(PANELS[name], loc="left")
        axes.set_xlabel(_label(grid, name))
    drawings[0].set_yticks(range(len(rows)), names)
    drawings[0].set_ylim(len(rows) - 0.45, -0.55)
    style.legend(drawn, drawings)
    return drawn


def _label(grid: Grid, name: str) -> str:
    """The axis'; times of runs that shared their machine are marked."""
    alone = all(cell.timed_alone for cell in grid.cells.values())
    shared = name == "median_epoch_seconds" and not alone
    return f"times {grid.study.baseline}'s{' (machine shared)' if shared else ''}"


def _shares(
    grid: Grid, arms: list[str], name: str
) -> dict[tuple[str, str], float | None]:
    """By row and arm; None where one of the two is not known."""
    found: dict[tuple[str, str], float | None] = {}
    for row in grid.rows:
        whole = grid.cell(row, grid.study.baseline)
        for arm in arms:
            found[row, arm] = _share(grid, grid.cell(row, arm), whole, name)
    return found


def _share(grid: Grid, cell: Cell, whole: Cell, name: str) -> float | None:
    """Of times by paired ratios, as in the table; of bytes by those of the two."""
    if name == "median_epoch_seconds":
        ratio = contrast(cell, whole, grid.margin).ratio
        return 1 / ratio.median if ratio else None
    part, all_of_it = cell.middle(name), whole.middle(name)
    return part / all_of_it if part and all_of_it else None


def _panel(
    axes: Axes,
    shares: dict[tuple[str, str], float],
    rows: list[str],
    arms: list[str],
    looks: dict[str, dict[str, Any]],
) -> None:
    height = 0.76 / len(arms)
    for number, arm in enumerate(arms):
        known = [(rows.index(row), v) for (row, a), v in shares.items() if a == arm]
        places = [place + height * (number - (len(arms) - 1) / 2) for place, _ in known]
        values = [value for _, value in known]
        if not known:  # it would stand in the legend, in another colour
            continue
        bars = axes.barh(
            places, values, height * 0.92, color=looks[arm]["color"], label=arm
        )
        axes.bar_label(bars, fmt="%.2f", fontsize=7, padding=2, **LABEL)
    for place, row in enumerate(rows):
        if all((row, arm) not in shares for arm in arms):
            axes.text(0.03, place, "no pair finished", fontsize=7, va="center")
    axes.axvline(1, color="black", lw=1, linestyle="--")
    axes.set_xlim(0, 1.18 * max(1.0, *shares.values()))
    style.bare(axes, "x")
    axes.tick_params(axis="y", length=0)
