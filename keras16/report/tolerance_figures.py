"""Figures of delta and gamma, and of how low and how far one can go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras16.tolerance import formats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from keras16.tolerance.estimation import Estimate
    from keras16.tolerance.floor import Floor
    from keras16.tolerance.measured import Comparison
    from keras16.tolerance.shifts import Shifted

# Okabe and Ito's colours; dashes and markers tell them apart in grey too.
STYLES: tuple[dict[str, Any], ...] = (
    {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    {"color": "#D55E00", "linestyle": "--", "marker": "s"},
    {"color": "#009E73", "linestyle": "-.", "marker": "^"},
    {"color": "#000000", "linestyle": ":", "marker": "x"},
    {"color": "#CC79A7", "linestyle": "-", "marker": "v"},
)
MOST_BARS = 30
_LEAST = 1e-8  # where 0 stands on a logarithmic axis


def distributions(several: Sequence[Comparison], title: str) -> Figure:
    """The share of examples below each value of delta and of gamma / 2.

    Where, for an example, the first is below the second, its answer is certified:
    curves far apart mean that nearly all are.

    Args:
        several: Comparisons, at most as many as there are styles.
        title: Set above.

    Returns:
        A figure of 7 x 4 inches on the Agg canvas.
    """
    figure, axes = _blank(title)
    axes.set_xscale("log")
    for one, style in zip(several, STYLES, strict=False):
        look = {"color": style["color"], "linestyle": style["linestyle"]}
        _cumulative(axes, one.delta, f"delta, {one.kind}", look)
        _cumulative(axes, one.gamma / 2, f"gamma / 2, {one.kind}", look | {"lw": 2.5})
    axes.set_xlabel("Difference of probabilities")
    axes.set_ylabel("Examples below it [%]")
    if axes.lines:
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def by_format(several: Sequence[Comparison], title: str) -> Figure:
    """How low can I go? The share that is not certified by mantissa bits.

    It falls from most to none: a logarithmic axis, upside down so that up is good,
    whose last step ends at 0, shows all of it.

    Args:
        several: Comparisons whose kinds are formats' names.
        title: Set above.

    Returns:
        A figure of 7 x 4 inches, one line for each number of exponent bits.
    """
    from matplotlib.ticker import FuncFormatter

    figure, axes = _blank(title)
    known = [(formats.get(one.kind), one) for one in several]
    widths = sorted({one.exponent_bits for one, _ in known})
    for place, width in enumerate(widths):
        line = sorted((f.mantissa_bits, c) for f, c in _of_width(known, width))
        axes.plot(
            *zip(*line, strict=True),
            label=f"{width} exponent bits",
            markersize=4,
            **STYLES[place % len(STYLES)],
        )
    for one, comparison in known:
        if one.name in formats.NAMED:
            _name(axes, one.name, one.mantissa_bits, _open(comparison))
    axes.set_xlabel("Mantissa bits behind the leading 1")
    axes.set_ylabel("Answers not certified [%]")
    least = 100 / max(len(comparison.delta) for _, comparison in known)
    axes.set_yscale("symlog", linthresh=least)
    axes.set_ylim(130, -0.3 * least)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def by_shift(several: Sequence[Shifted], title: str) -> Figure:
    """The certified and proven shares as inputs move away.

    Args:
        several: Shifts, the inputs as they are among them.
        title: Set above.

    Returns:
        A figure of 8 x 3.6 inches: noise on the left, then contrast, then other data
        where there are any.
    """
    kinds = list(dict.fromkeys(one.kind for one in several))
    lines = [kind for kind in kinds if kind in ("noise", "contrast")]
    points = [one for one in several if one.kind not in lines]
    with_points = len(points) > 1 or not lines
    figure, first = _blank(title, size=(8, 3.6))
    figure.delaxes(first)
    count = len(lines) + with_points
    panels = figure.subplots(1, count, sharey=True, squeeze=False)[0]
    for axes, kind in zip(panels, lines, strict=False):
        _shift_lines(axes, several, kind)
    if with_points:
        _shift_points(panels[-1], points)
    panels[0].set_ylabel("Answers [%]")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9
    )
    return figure


def ranked(one: Estimate) -> list[tuple[str, float]]:
    """Layers with their shares of the estimated error, the largest first."""
    order = np.argsort(-one.shares, kind="stable")
    return [(one.layers[place], float(one.shares[place])) for place in order]


def by_layer(one: Estimate, title: str) -> Figure:
    """Which layers the estimated error comes from, the largest shares on top.

    Args:
        one: The estimate.
        title: Set above.

    Returns:
        A figure of 7 inches by what the layers take, at most `MOST_BARS`.
    """
    shown = ranked(one)[:MOST_BARS][::-1]
    names = [name for name, _ in shown]
    figure, axes = _blank(title, size=(7, 1.4 + 0.22 * len(shown)))
    axes.barh(range(len(shown)), [100 * share for _, share in shown], color="#0072B2")
    axes.set_yticks(range(len(shown)), names, fontsize=8)
    axes.set_xlabel("Share of the estimated squared error of the lead [%]")
    return figure


def by_rate(several: Sequence[Floor], title: str) -> Figure:
    """Where SGD ends by its learning rate, with the floor of rounding to nearest.

    Args:
        several: At several learning rates with each rounding.
        title: Set above.

    Returns:
        A figure of 7 x 4 inches; both axes logarithmic, the rate falling.
    """
    figure, axes = _blank(title)
    kinds = list(dict.fromkeys(one.rounding for one in several))
    for kind, style in zip(kinds, STYLES, strict=False):
        line = [(o.learning_rate, o.distance) for o in several if o.rounding == kind]
        axes.plot(*zip(*line, strict=True), label=kind, markersize=4, **style)
    floor = [(o.learning_rate, o.bound) for o in several if o.rounding == "nearest"]
    known = [point for point in floor if point[1] > 0]
    if known:
        grey: dict[str, Any] = {"color": "#999999", "linewidth": 2.5}
        axes.plot(*zip(*known, strict=True), label="proven floor of nearest", **grey)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.invert_xaxis()
    axes.set_xlabel("Learning rate times the largest curvature")
    axes.set_ylabel("Relative distance from the optimum")
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def _of_width(
    known: Sequence[tuple[formats.Format, Comparison]], width: int
) -> list[tuple[formats.Format, float]]:
    """Formats of IEEE's kind with the percents that are not certified."""
    return [
        (one, _open(comparison))
        for one, comparison in known
        if one.exponent_bits == width and not one.finite
    ]


def _open(comparison: Comparison) -> float:
    return 100 * (1 - comparison.certified_share)


def _shift_lines(axes: Axes, several: Sequence[Shifted], kind: str) -> None:
    own = [one for one in several if one.kind in ("none", kind)]
    strengths = [one.strength for one in own]
    certified = [100 * one.comparison.certified_share for one in own]
    axes.plot(strengths, certified, label="certified", markersize=4, **STYLES[0])
    if all(one.proven is not None for one in own):
        proven = [100 * (one.proven or 0.0) for one in own]
        axes.plot(strengths, proven, label="proven", markersize=4, **STYLES[1])
    unit = "[sd of inputs]" if kind == "noise" else "lost"
    axes.set_xlabel(f"{kind.capitalize()} {unit}")
    _adorn(axes)


def _shift_points(axes: Axes, several: Sequence[Shifted]) -> None:
    names = ["as they are" if one.kind == "none" else one.kind for one in several]
    certified = [100 * one.comparison.certified_share for one in several]
    axes.plot(names, certified, linewidth=0, **_marked(STYLES[0]))
    if all(one.proven is not None for one in several):
        proven = [100 * (one.proven or 0.0) for one in several]
        axes.plot(names, proven, linewidth=0, **_marked(STYLES[1]))
    axes.set_xlabel("Data set")
    axes.margins(x=0.4)
    _adorn(axes)


def _marked(style: dict[str, Any]) -> dict[str, Any]:
    return {"color": style["color"], "marker": style["marker"], "markersize": 5}


def _cumulative(
    axes: Axes, values: np.ndarray, label: str, look: dict[str, Any]
) -> None:
    finite = np.sort(values[np.isfinite(values)])
    if finite.size:
        share = 100 * np.arange(1, finite.size + 1) / values.size
        axes.plot(np.maximum(finite, _LEAST), share, label=label, **look)


def _name(axes: Axes, name: str, x: float, y: float) -> None:
    axes.annotate(
        name.removeprefix("float8_"),
        (x, y),
        textcoords="offset points",
        xytext=(4, -11),
        fontsize=8,
    )


def _blank(title: str, size: tuple[float, float] = (7, 4)) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    axes = figure.subplots()
    _adorn(axes)
    return figure, axes


def _adorn(axes: Axes) -> None:
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
