"""Paired differences by seed, their mean with its interval, and the margin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras16.analysis.cells import Grid
from keras16.analysis.contrasts import Contrast, contrasts
from keras16.report.study import scale, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = (1, 2, 10, 40, 160)  # of the axis, in margins; near ones would crowd
LINE_HEIGHT = 0.17  # inches, of one arm in one row


def figure(grid: Grid) -> Figure | None:
    """A line for each row and arm, the baseline at 0.

    Between the margins the axis is linear, beyond twice the margin logarithmic: a
    tenth of a point and a loss of seventy are both seen.

    Args:
        grid: All runs.

    Returns:
        None where no pair of runs was done.
    """
    arms = [arm for arm in grid.arms if arm != grid.study.baseline]
    found = {arm: contrasts(grid, arm, grid.study.baseline).rows for arm in arms}
    lines = {(one.row, arm): one for arm in arms for one in found[arm]}
    rows = [row for row in grid.rows if any((row, arm) in lines for arm in arms)]
    if not rows:
        return None
    drawn = style.sheet(1.3 + len(rows) * (LINE_HEIGHT * len(arms) + 0.16))
    axes = drawn.subplots()
    factor = scale.of(grid).factor
    _margin(axes, factor * grid.margin)
    looks = style.styles(grid.study)
    for place, row in enumerate(rows):
        for number, arm in enumerate(arms):
            if (row, arm) in lines:
                height = place + _offset(number, len(arms))
                heights = height, height - 0.2 / len(arms)
                _line(axes, lines[row, arm], heights, looks[arm], factor)
    _legend(drawn, axes, arms, looks)
    _adorn(axes, rows, grid)
    _failures(axes, lines, rows, arms, looks)
    return drawn


def _offset(number: int, count: int) -> float:
    """Where an arm stands within its row, in [-0.36, 0.36]."""
    return 0.72 * ((number + 0.5) / count - 0.5)


def _margin(axes: Axes, margin: float) -> None:
    axes.set_xscale("symlog", linthresh=2 * margin, linscale=1.5)
    axes.axvline(0, color="black", lw=0.8)
    for edge in (-margin, margin):
        axes.axvline(edge, color="#666666", lw=1, linestyle="--")
    axes.axvspan(-margin, margin, color="#009E73", alpha=0.08, lw=0)


def _line(
    axes: Axes,
    one: Contrast,
    heights: tuple[float, float],
    look: dict[str, Any],
    factor: int,
) -> None:
    height, above = heights
    values = [factor * value for value in one.values]
    colour, marker = look["color"], look["marker"]
    axes.scatter(values, [above] * len(values), s=8, color=colour, alpha=0.5, lw=0)
    found = one.difference
    if found.mean is None:
        return
    if found.low is not None and found.high is not None:
        ends = [factor * found.low, factor * found.high]
        axes.plot(ends, [height] * 2, color=colour, lw=1.6)
    mean = factor * found.mean
    axes.plot([mean], [height], color=colour, marker=marker, markersize=5, lw=0)


def _failures(
    axes: Axes,
    lines: dict[tuple[str, str], Contrast],
    rows: list[str],
    arms: list[str],
    looks: dict[str, dict[str, Any]],
) -> None:
    """Says beside the line how many pairs have no difference, since one failed."""
    from matplotlib.transforms import blended_transform_factory

    beside = blended_transform_factory(axes.transAxes, axes.transData)
    for (row, arm), one in lines.items():
        missing = one.pairs - len(one.differences)
        height = rows.index(row) + _offset(arms.index(arm), len(arms))
        if missing:
            axes.text(
                1.01,
                height,
                f"{missing} of {one.pairs} pairs failed",
                transform=beside,
                va="center",
                fontsize=7,
                color=looks[arm]["color"],
            )


def _adorn(axes: Axes, rows: list[str], grid: Grid) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    margin = scale.of(grid).factor * grid.margin
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -2.2 * margin), max(high, 2.2 * margin))
    marks = [margin * step for step in MARKS]
    axes.xaxis.set_major_locator(
        FixedLocator([-mark for mark in reversed(marks)] + [0.0, *marks])
    )
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(_signed))
    names = [style.wrapped(row, style.NAME_WIDTH) for row in rows]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.45, -0.55)
    units, less = scale.of(grid), f"less {grid.study.baseline}'s"
    points = units.unit(" [points]")
    axes.set_xlabel(f"Test {grid.metric.name} {less}{points}{units.lower}")
    style.bare(axes, "x")
    axes.tick_params(axis="y", length=0)
    for place in range(1, len(rows)):
        axes.axhline(place - 0.5, color="#dddddd", lw=0.8)


def _signed(value: float, _: int) -> str:
    return "0" if value == 0 else f"{value:+g}".replace("-", "−")


def _legend(
    drawn: Figure, axes: Axes, arms: list[str], looks: dict[str, dict[str, Any]]
) -> None:
    for arm in arms:
        look = {**looks[arm], "linestyle": "-"}
        axes.plot([], [], label=arm, markersize=5, lw=1.6, **look)
    style.legend(drawn, [axes])
