"""How drawings look: colours that every eye tells apart, no date, no chance."""

from __future__ import annotations

import contextlib
import pathlib
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from keras16.study import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CONTROL: dict[str, Any] = {"color": "#8A8A8A", "marker": "v", "linestyle": ":"}
BASELINE: dict[str, Any] = {"color": "#000000", "marker": "s", "linestyle": "--"}
# Okabe and Ito's colours; markers and dashes tell the arms apart in grey too.
OTHERS: tuple[dict[str, Any], ...] = (
    {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    {"color": "#D55E00", "marker": "^", "linestyle": "-"},
    {"color": "#009E73", "marker": "D", "linestyle": "-."},
    {"color": "#CC79A7", "marker": "h", "linestyle": (0, (2, 1))},
    {"color": "#E69F00", "marker": "P", "linestyle": (0, (5, 1))},
    {"color": "#56B4E9", "marker": "X", "linestyle": (0, (3, 1, 1, 1))},
)
SETTINGS: dict[str, Any] = {
    "svg.hashsalt": "keras16",  # else the names of clipping paths are drawn by chance
    "svg.fonttype": "path",  # looks the same on every machine
    "font.size": 9,
    "axes.titlesize": 10,
    "legend.fontsize": 9,
}
WIDTH = 9.0  # inches
NAME_WIDTH = 22  # letters of the name of a row beside an axis


def styles(study: Study) -> dict[str, dict[str, Any]]:
    """Colour, marker and dash of each arm; the same in every figure of a study."""
    fixed = {study.control: CONTROL, study.baseline: BASELINE}
    others = [arm.name for arm in study.arms if arm.name not in fixed]
    found = {arm: OTHERS[n % len(OTHERS)] for n, arm in enumerate(others)}
    return {**found, **fixed}


def wrapped(name: str, width: int) -> str:
    """A long name in lines of at most so many letters."""
    return "\n".join(textwrap.wrap(name, width))


def sheet(height: float) -> Figure:
    """An empty figure of the usual width, without pyplot's global state.

    Args:
        height: In inches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def bare(axes: Axes, grid: str = "both") -> None:
    """A faint grid, and no box around.

    Args:
        axes: Drawn into.
        grid: Its lines: "x", "y" or "both".
    """
    axes.set_axisbelow(True)
    axes.grid(axis=grid, alpha=0.3, linewidth=0.6)  # type: ignore[arg-type]
    axes.spines[["top", "right"]].set_visible(False)


def instead(axes: Axes, why: str) -> None:
    """Says in an empty panel why nothing is drawn there."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, why, ha="center", va="center", transform=axes.transAxes)


def legend(figure: Figure, panels: Sequence[Axes], columns: int = 6) -> None:
    """One legend for the whole figure, below it, its lines of much the same length.

    Args:
        figure: That gets it.
        panels: The one that shows most has its names and looks.
        columns: At most.
    """
    known = [axes.get_legend_handles_labels() for axes in panels]
    handles, labels = max(known, key=lambda found: len(found[1]))
    if not handles:
        return
    lines = -(-len(labels) // columns)
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=-(-len(labels) // lines),
        frameon=False,
    )


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Matplotlib's own defaults and `SETTINGS`, whatever the user has set."""
    import matplotlib.style

    with matplotlib.style.context(["default", SETTINGS]):
        yield


def save(figure: Figure, path: pathlib.Path) -> None:
    """Writes an SVG file that is the same whenever it is written."""
    figure.savefig(path, metadata={"Date": None})
