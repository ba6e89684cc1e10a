"""A sweep over epsilon as table, figure, words and numbers."""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from typing import TYPE_CHECKING, Any

from keras16.report import units
from keras16.tuning import Row, Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEADER = ("epsilon", "validation accuracy", "less float32's", "diverged", "verdict")
# Okabe and Ito's colours; the markers tell them apart in grey too.
GOOD: dict[str, Any] = {"color": "#0072B2", "marker": "o"}
WORSE: dict[str, Any] = {"color": "#D55E00", "marker": "s"}
DIVERGED: dict[str, Any] = {"color": "#000000", "marker": "x"}
BAND = "#009E73"
_LEAST_ERROR = 0.01  # percent: below it a logarithmic axis would have no place


def table(sweep: Sweep) -> list[tuple[str, ...]]:
    """The rows under `HEADER`, float32's first; epsilons without a trial left out."""
    rows = [row for row in sweep.rows() if row.accuracies or row.diverged]
    return [_baseline(sweep), *(_row(row, len(sweep.seeds)) for row in rows)]


def verdict(sweep: Sweep) -> str:
    """The range that trains as well as float32, and how sure that is."""
    if any(trial.status == "failed" for trial in sweep.baseline):
        return "Float32 itself diverged: use a smaller learning rate."
    found = sweep.range()
    seeds = f"{len(sweep.seeds)} seed" + "s" * (len(sweep.seeds) > 1)
    against = (
        f"within {100 * sweep.margin:g} points of float32's mean validation accuracy "
        f"({units.percent(sweep.baseline_mean)}, {seeds})"
    )
    done = stopped(sweep)
    if found is None:
        words = f"{done}No epsilon of the grid trains {against}."
        return f"{words} {resolution(sweep)}".strip()
    name = f"{sweep.run.optimizer} at precision {sweep.run.precision}"
    return (
        f"{done}Epsilon from {found[0]:g} to {found[1]:g} trains {name} {against}. "
        f"{resolution(sweep)}"
    ).strip()


def stopped(sweep: Sweep) -> str:
    """How many trainings there were of those planned; "" where it is all of them."""
    done = len(sweep.baseline) + len(sweep.trials)
    whole = len(sweep.seeds) * (1 + len(sweep.epsilons))
    return "" if done == whole else f"Stopped after {done} of {whole} trainings. "


def resolution(sweep: Sweep) -> str:
    """What the number of validation examples can tell apart."""
    error = sweep.resolution
    if error is None:
        return ""
    count = sweep.baseline[0].validation_examples
    return (
        f"An accuracy on {count:,} validation examples has a standard error of "
        f"{100 * error:.2f} points."
    )


def metrics(sweep: Sweep) -> dict[str, float | None]:
    """What is recorded of the whole sweep."""
    found = sweep.range() or (None, None)
    return {
        "lowest_good_epsilon": found[0],
        "highest_good_epsilon": found[1],
        "float32_val_accuracy": sweep.baseline_mean,
        "trials": float(len(sweep.baseline) + len(sweep.trials)),
    }


def write(sweep: Sweep, title: str, folder: pathlib.Path) -> None:
    """Writes epsilons.png and epsilons.json."""
    figure(sweep, title).savefig(folder / "epsilons.png")
    (folder / "epsilons.json").write_text(json.dumps(plain(sweep), indent=1))


def plain(sweep: Sweep) -> dict[str, Any]:
    """The sweep as plain values."""
    return {
        "verdict": verdict(sweep),
        "range": sweep.range(),
        "margin": sweep.margin,
        "seeds": sweep.seeds,
        "float32": {
            "val_accuracy": sweep.baseline_mean,
            "val_accuracies": [trial.val_accuracy for trial in sweep.baseline],
            "epsilon": sweep.baseline[0].run.epsilon if sweep.baseline else None,
        },
        "epsilons": [dataclasses.asdict(row) for row in sweep.rows()],
    }


def figure(sweep: Sweep, title: str) -> Figure:
    """Validation error by epsilon, both on logarithmic axes, with float32's band.

    An error of 3 % and one of 90 % are both seen on such an axis, and so is half a
    point between errors of 3 %.

    Args:
        sweep: With any number of trials.
        title: Set above.

    Returns:
        A figure of 7 x 4 inches on the Agg canvas.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(7, 4), dpi=150, layout="constrained")
    FigureCanvasAgg(drawn)
    axes = drawn.subplots()
    drawn.suptitle(title, fontsize=11)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _draw_baseline(axes, sweep)
    _draw_points(axes, sweep)
    _draw_diverged(axes, sweep)
    _adorn(axes, sweep)
    if axes.get_legend_handles_labels()[0]:
        drawn.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return drawn


def _baseline(sweep: Sweep) -> tuple[str, ...]:
    found = [t.val_accuracy for t in sweep.baseline if t.val_accuracy is not None]
    diverged = sum(trial.status == "failed" for trial in sweep.baseline)
    epsilon = sweep.baseline[0].run.epsilon if sweep.baseline else None
    name = f"float32, {epsilon:g}" if epsilon is not None else "float32"
    return (name, _accuracy(tuple(found)), "", _of(diverged, len(sweep.seeds)), "")


def _row(row: Row, seeds: int) -> tuple[str, ...]:
    return (
        f"{row.epsilon:g}",
        _accuracy(row.accuracies),
        _points(row.difference, row.standard_error),
        _of(row.diverged, seeds),
        row.verdict,
    )


def _accuracy(values: tuple[float, ...]) -> str:
    """Mean and standard deviation, such as "97.10 ± 0.32 %"."""
    if not values:
        return "-"
    mean = 100 * sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:.2f} %"
    centre = mean / 100
    spread = math.sqrt(sum((x - centre) ** 2 for x in values) / (len(values) - 1))
    return f"{mean:.2f} ± {100 * spread:.2f} %"


def _points(difference: float | None, error: float | None) -> str:
    if difference is None:
        return "-"
    found = f"{100 * difference:+.2f}"
    return found if error is None else f"{found} ± {100 * error:.2f}"


def _of(count: int, whole: int) -> str:
    return f"{count} of {whole}" if count else ""


def _error(accuracy: float) -> float:
    """The error in percent, as the axis takes it."""
    return max(100 * (1 - accuracy), _LEAST_ERROR)


def _draw_baseline(axes: Axes, sweep: Sweep) -> None:
    mean = sweep.baseline_mean
    if mean is None:
        return
    edges = _error(mean + sweep.margin), _error(mean - sweep.margin)
    axes.axhspan(*edges, color=BAND, alpha=0.18, linewidth=0)
    axes.axhline(
        _error(mean),
        color=BAND,
        label=f"float32 at {sweep.baseline[0].run.epsilon:g} ± {100 * sweep.margin:g} "
        "points",
    )


def _draw_points(axes: Axes, sweep: Sweep) -> None:
    """A marker for each mean, and a faint one for each seed."""
    rows = [row for row in sweep.rows() if row.mean is not None and not row.diverged]
    axes.plot(
        [row.epsilon for row in rows],
        [_error(row.mean) for row in rows if row.mean is not None],
        color="#999999",
        linewidth=0.8,
        zorder=1,
    )
    for good, style, words in (
        (True, GOOD, "as well as float32"),
        (False, WORSE, "worse"),
    ):
        chosen = [row for row in rows if row.is_good is good]
        seeds = [(row.epsilon, _error(x)) for row in chosen for x in row.accuracies]
        means = [(row.epsilon, _error(row.mean or 0)) for row in chosen]
        if chosen:
            x, y = zip(*seeds, strict=True)
            axes.scatter(x, y, s=10, alpha=0.4, **style)
            x, y = zip(*means, strict=True)
            axes.scatter(x, y, s=34, label=words, **style)


def _draw_diverged(axes: Axes, sweep: Sweep) -> None:
    found = [row.epsilon for row in sweep.rows() if row.diverged]
    if found:
        axes.scatter(found, [100.0] * len(found), s=40, label="diverged", **DIVERGED)


def _adorn(axes: Axes, sweep: Sweep) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.set_xlabel(f"Epsilon of {sweep.run.optimizer}")
    axes.set_ylabel("Validation error [%]")
    axes.set_xlim(sweep.epsilons[0] / 2, sweep.epsilons[-1] * 2)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    low, high = axes.get_ylim()
    if high / low < 20:  # too few powers of ten to read the axis by
        axes.yaxis.set_minor_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        axes.tick_params(axis="y", which="minor", labelsize=7)
    else:
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
