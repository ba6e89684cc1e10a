"""A benchmark as table, figure, words and plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from keras16.benchmark.result import ITEM_BYTES, Outcome, Row
from keras16.report import units
from keras16.results import UNFELT_CORES
from keras16.statistics.medians import FEWEST, Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEADER = (
    "contender",
    "step",
    "times keras16-16's",
    "first step",
    "overhead",
    "state",
    "peak",
    "of GEMM",
    "of copy",
)
BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX"}
# Okabe and Ito's colours, by what a contender is; the axis has the names.
COLOURS = {"keras16": "#0072B2", "keras": "#E69F00", "torch": "#009E73"}


def table(outcome: Outcome) -> list[tuple[str, ...]]:
    """The rows under `HEADER`; one that could not run has its reason in the notes."""
    return [_row(outcome, row) for row in outcome.rows]


def notes(outcome: Outcome) -> list[str]:
    """The net, the ceilings, what the peers came to, and who could not run."""
    rounds = len(outcome.ceilings)
    lines = [
        f"{outcome.parameters:,} parameters, {outcome.flops / 1e9:.3g} GFLOP of "
        f"products a step, {outcome.settings['optimizer']}; {rounds} "
        f"round{'s' * (rounds != 1)} on "
        f"{outcome.cores} cores, Keras on {BACKENDS[outcome.backend]}."
    ]
    lines += [_ceilings(outcome)] if outcome.ceilings else []
    lines += _company(outcome)
    lines += ["Stopped: what was measured until then."] if outcome.stopped else []
    broken = [row for row in outcome.rows if row.problem]
    return lines + [f"{row.contender.name}: {row.problem}" for row in broken]


def growth(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """Milliseconds of the median step by contender, a column for each outcome."""
    names = [row.contender.name for row in outcomes[0].rows]
    return [
        (name, *(milliseconds(_found(one, name).step) for one in outcomes))
        for name in names
    ]


def plain(outcome: Outcome) -> dict[str, Any]:
    """The outcome as plain values: seconds, bytes, operations a second."""
    return {
        "model": outcome.model,
        "batch_size": outcome.batch_size,
        "settings": outcome.settings,
        "backend": outcome.backend,
        "cores": outcome.cores,
        "parameters": outcome.parameters,
        "flops_a_step": outcome.flops,
        "stopped": outcome.stopped,
        "foreign_cores": outcome.foreign_cores,
        "ceilings": {
            name: _interval(outcome.ceiling(name)) for name in (*ITEM_BYTES, "copy")
        },
        "contenders": [_plain_row(outcome, row) for row in outcome.rows],
    }


def figure(outcomes: Sequence[Outcome]) -> Figure:
    """The median step of every contender with its interval, one panel an outcome.

    Args:
        outcomes: One or more.

    Returns:
        A figure 7 inches wide on the Agg canvas.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = sum(0.9 + 0.24 * len(one.rows) for one in outcomes)
    drawn = Figure(figsize=(7, max(height, 2.5)), layout="constrained", dpi=150)
    FigureCanvasAgg(drawn)
    panels = drawn.subplots(len(outcomes), 1, squeeze=False)[:, 0]
    for axes, outcome in zip(panels, outcomes, strict=True):
        _draw(axes, outcome)
    return drawn


def milliseconds(found: Interval | None) -> str:
    """Such as "12.3 ms"; "-" where there is none."""
    return "-" if found is None else f"{_digits(1e3 * found.median)} ms"


def _draw(axes: Axes, outcome: Outcome) -> None:
    rows = [(row, row.step) for row in reversed(outcome.rows)]
    for place, (row, step) in enumerate((r, s) for r, s in rows if s is not None):
        middle, low, high = (1e3 * each for each in step)
        colour = COLOURS[row.contender.kind]
        axes.barh(place, middle, color=colour, height=0.7)
        error = [[middle - low], [high - middle]]
        axes.errorbar(middle, place, xerr=error, color="black", capsize=2, lw=1)
    names = [row.contender.name for row, step in rows if step is not None]
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"ms a training step (median and {_spread(outcome)})")
    axes.set_title(outcome.title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)


def _spread(outcome: Outcome) -> str:
    """What the intervals of an outcome are."""
    if len(outcome.reference.step_seconds) < FEWEST:
        return "least to greatest"
    return "its 95 % interval"


def _row(outcome: Outcome, row: Row) -> tuple[str, ...]:
    return (
        row.contender.name,
        milliseconds(row.step),
        _ratio(outcome.ratio(row)),
        units.seconds(row.first_step_seconds),
        _overhead(row),
        "-" if row.state_bytes is None else units.size_text(row.state_bytes),
        "-" if row.peak_bytes is None else units.size_text(row.peak_bytes),
        _share(outcome.share_of_products(row)),
        _share(outcome.share_of_copy(row)),
    )


def _ratio(found: Interval | None) -> str:
    if found is None:
        return "-"
    middle, low, high = (_digits(each) for each in found)
    return f"{middle} ({low} to {high})"


def _overhead(row: Row) -> str:
    if row.overhead is None or row.step is None:
        return "-"
    share = row.overhead.median / row.step.median
    return f"{_digits(1e3 * row.overhead.median)} ms, {100 * share:.0f} %"


def _share(share: float | None) -> str:
    if share is None:
        return "-"
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def _digits(value: float) -> str:
    """Three of them, without an exponent."""
    return f"{value:.0f}" if abs(value) >= 99.95 else f"{value:.3g}"


def _ceilings(outcome: Outcome) -> str:
    rates = [
        f"{dtype} products {found.median / 1e9:.3g} GFLOP/s "
        f"({found.low / 1e9:.3g} to {found.high / 1e9:.3g})"
        for dtype in ITEM_BYTES
        if (found := outcome.ceiling(dtype)) is not None
    ]
    copy = outcome.ceiling("copy")
    moved = [] if copy is None else [f"memory {copy.median / 1e9:.3g} GB/s"]
    return f"This machine at best: {', '.join([*rates, *moved])}."


def _company(outcome: Outcome) -> list[str]:
    """A warning where the contenders did not have the machine to themselves."""
    others = outcome.foreign_cores or 0.0
    if others <= UNFELT_CORES:
        return []
    return [
        f"Something else kept {others:.2g} cores busy meanwhile: these figures are not "
        "to be trusted, PyTorch's least of all, whose threads wait for one another."
    ]


def _found(outcome: Outcome, name: str) -> Row:
    return next(row for row in outcome.rows if row.contender.name == name)


def _plain_row(outcome: Outcome, row: Row) -> dict[str, Any]:
    return {
        "name": row.contender.name,
        "problem": row.problem or None,
        "step_seconds": _interval(row.step),
        "ratio": _interval(outcome.ratio(row)),
        "first_step_seconds": row.first_step_seconds,
        "overhead_seconds": _interval(row.overhead),
        "state_bytes": row.state or None,
        "peak_bytes": row.peak_bytes,
        "share_of_products": outcome.share_of_products(row),
        "share_of_copy": outcome.share_of_copy(row),
        "rounds": row.step_seconds,
    }


def _interval(found: Interval | None) -> dict[str, float] | None:
    return None if found is None else dict(found._asdict())
