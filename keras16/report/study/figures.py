"""The figures of a report: which there are, and their files."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from keras16.analysis.cells import Grid
from keras16.report.study import (
    draw_accuracy,
    draw_cost,
    draw_differences,
    draw_failures,
    style,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Each returns None where there is nothing to draw.
DRAWN: dict[str, Callable[[Grid], Figure | None]] = {
    "accuracy": draw_accuracy.figure,
    "differences": draw_differences.figure,
    "cost": draw_cost.figure,
    "failures": draw_failures.figure,
}


def write(grid: Grid, folder: pathlib.Path) -> dict[str, str]:
    """Draws all figures for which there are runs.

    Args:
        grid: All runs.
        folder: Exists; gets NAME-KIND.svg.

    Returns:
        File names by kind.
    """
    found = {}
    with style.drawing():
        for kind, draw in DRAWN.items():
            figure = draw(grid)
            if figure is None:
                continue
            found[kind] = f"{grid.study.name}-{kind}.svg"
            style.save(figure, folder / found[kind])
    return found
