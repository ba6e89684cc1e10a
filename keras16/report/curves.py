"""Loss and accuracy by epoch as one figure, drawn without pyplot's global state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from keras16.training import Epoch

# Two of Okabe and Ito's colours, told apart by every kind of colour vision; the
# marker and the dash tell them apart in grey too.
TRAINING: dict[str, Any] = {"color": "#0072B2", "marker": "o", "linestyle": "-"}
VALIDATION: dict[str, Any] = {"color": "#D55E00", "marker": "s", "linestyle": "--"}


def curves(epochs: Sequence[Epoch], title: str) -> Figure:
    """Loss (left), accuracy or metric (right) by epoch, training and held-out part.

    Args:
        epochs: In order; values that are no number leave a gap.
        title: Set over both, such as the name of the run.

    Returns:
        A figure of 8 x 3.2 inches on the Agg canvas; `savefig` writes it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    figure.suptitle(title, fontsize=11)
    is_classified = any(one.accuracy is not None for one in epochs)
    draw(left, epochs, "loss", "Loss [nats]" if is_classified else "Loss", 1.0)
    if is_classified:
        draw(right, epochs, "accuracy", "Accuracy [%]", 100.0)
    else:
        draw(right, epochs, "metric", "Metric", 1.0)
    if left.lines:
        left.legend(frameon=False, fontsize=9)
    return figure


def draw(
    axes: Axes, epochs: Sequence[Epoch], name: str, label: str, scale: float
) -> None:
    """Draws one quantity of the training and of the held-out part into `axes`.

    Args:
        axes: Drawn into.
        epochs: In order.
        name: The field of `Epoch`; the held-out part's has "val_" before it.
        label: Of the vertical axis, with the unit.
        scale: Multiplies every value.
    """
    for field, words, style in (
        (name, "training", TRAINING),
        (f"val_{name}", "validation", VALIDATION),
    ):
        points = [(one.epoch, getattr(one, field)) for one in epochs]
        known = [(epoch, scale * value) for epoch, value in points if value is not None]
        if known:
            axes.plot(*zip(*known, strict=True), label=words, markersize=4, **style)
    adorn(axes, label)


def adorn(axes: Axes, label: str) -> None:
    """Labels, whole epochs below, a faint grid, and no box around."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("Epoch")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
