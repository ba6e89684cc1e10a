"""What rounding does to a net's answers, as tables, words, numbers and files."""

from __future__ import annotations

import csv
import io
import json
import pathlib
from typing import TYPE_CHECKING, Any

import numpy as np

from keras16.report import tolerance_figures as figures
from keras16.tolerance import formats
from keras16.tolerance.measured import (
    MEANING,
    PUBLISHED,
    QUANTILES,
    Comparison,
    Distribution,
    distribution,
)

if TYPE_CHECKING:
    from keras16.tolerance.estimation import Estimate
    from keras16.tolerance.judgement import Judgement
    from keras16.tolerance.shifts import Shifted

HEADER = ("", "delta", "variance", "gamma", "variance", "certified", "of them differ")
FORMAT_HEADER = ("format", "bits", "mean delta", "certified", "answers that differ")
SHIFT_HEADER = ("inputs", "strength", "mean delta", "mean gamma", "certified", "proven")
LAYER_HEADER = ("layer", "share of the estimated error")
BOUND_HEADER = ("operation", "adds to the proven bound of the lead, in logits")
MOST_LAYERS = 12  # in the table of the terminal; the figure has more, JSON all


def table(found: Judgement) -> list[tuple[str, ...]]:
    """The rows under `HEADER`: what the papers print, then what was measured."""
    return [_published(), *(_row(one) for one in found.comparisons)]


def format_table(found: Judgement) -> list[tuple[str, ...]]:
    """The rows under `FORMAT_HEADER`."""
    return [_format_row(one) for one in found.formats]


def shift_table(found: Judgement) -> list[tuple[str, ...]]:
    """The rows under `SHIFT_HEADER`."""
    return [_shift_row(one) for one in found.shifts]


def layer_table(found: Judgement) -> list[tuple[str, ...]]:
    """The rows under `LAYER_HEADER`, the largest shares first."""
    if found.estimate is None:
        return []
    ranked = figures.ranked(found.estimate)
    return [(name, f"{share:.1%}") for name, share in ranked[:MOST_LAYERS]]


def bound_table(found: Judgement) -> list[tuple[str, ...]]:
    """The rows under `BOUND_HEADER`, the largest first."""
    ranked = sorted(found.bound_shares.items(), key=lambda pair: -pair[1])
    return [(name, f"{share:.2g}") for name, share in ranked[:MOST_LAYERS]]


def estimate_words(found: Judgement) -> str:
    """The estimate beside the truth, in a sentence; "" without one."""
    one = found.estimate
    if one is None:
        return ""
    return (
        f"Estimated to first order (no bound), an output is off by "
        f"{np.median(one.error):.2g} (median); the true error is {one.ratio:.2f} times "
        "the estimate (median)."
    )


def verdict(found: Judgement) -> str:
    """What it comes to, in one or two sentences."""
    main, count = found.main, len(found.main.delta)
    certified = int(main.certified.sum())
    words = (
        f"{certified:,} of {count:,} answers are certified (gamma > 2 delta): both "
        f"nets give the same class. {main.disagreements:,} answers differ"
    )
    broken = found.certified_disagreements
    words += f", {broken} OF THEM CERTIFIED." if broken else ", none of them certified."
    if found.proven is None:
        return words
    if found.open:
        return f"{words} Nothing is proven: there is no bound for {_some(found.open)}."
    proven = int(found.proven.sum())
    return f"{words} {proven:,} are proven without the other net."


def _some(names: tuple[str, ...], most: int = 3) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def plain(found: Judgement) -> dict[str, Any]:
    """All of it as plain values; NaN where there is no value."""
    return {
        "comparison": found.main.kind,
        **numbers(found.main),
        "proven": found.proven_share,
        "open": list(found.open),
        "bound_shares": dict(found.bound_shares),
        "comparisons": {one.kind: numbers(one) for one in found.comparisons},
        "formats": {one.kind: numbers(one) for one in found.formats},
        "shifts": [_shift_numbers(one) for one in found.shifts],
        "estimate": _estimate_numbers(found.estimate),
        "published": PUBLISHED,
    }


def numbers(one: Comparison) -> dict[str, Any]:
    """A comparison as plain values."""
    return {
        "delta": _numbers_of(distribution(one.delta)),
        "gamma": _numbers_of(distribution(one.gamma)),
        "certified": one.certified_share,
        "certified_disagreements": one.certified_disagreements,
        "disagreements": one.disagreements,
        "examples": len(one.delta),
    }


def metrics(found: Judgement) -> dict[str, float | None]:
    """What is recorded of it by name, such as `cast_delta_mean`."""
    recorded: dict[str, float | None] = {"proven": found.proven_share}
    for one in found.comparisons:
        recorded |= {f"{one.kind}_{name}": x for name, x in _flat(one).items()}
    for one in found.formats:
        recorded[f"certified_{one.kind}"] = one.certified_share
    for shift in found.shifts:
        name = f"certified_{shift.kind}_{shift.strength:g}"
        recorded[name] = shift.comparison.certified_share
    if found.estimate is not None:
        recorded["estimate_ratio"] = found.estimate.ratio
        recorded["estimate_error"] = float(np.median(found.estimate.error))
    return recorded


def write(found: Judgement, title: str, folder: pathlib.Path) -> None:
    """Writes tolerance.json, answers.csv and a figure of each thing found."""
    (folder / "tolerance.json").write_text(json.dumps(plain(found), indent=1))
    (folder / "answers.csv").write_text(answers(found))
    for name, figure in drawn(found, title).items():
        figure.savefig(folder / f"{name}.png")


def drawn(found: Judgement, title: str) -> dict[str, Any]:
    """The figures by name.

    Args:
        found: What was found.
        title: Set over each.
    """
    each = {"tolerance": figures.distributions(found.comparisons, title)}
    if found.formats:
        each["formats"] = figures.by_format(found.formats, title)
    if found.shifts:
        each["shifts"] = figures.by_shift(found.shifts, title)
    if found.estimate is not None:
        each["layers"] = figures.by_layer(found.estimate, title)
    return each


def answers(found: Judgement) -> str:
    """CSV of the main comparison, a line for each example."""
    text, main = io.StringIO(), found.main
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(("index", "delta", "gamma", "certified", "agrees", "proven"))
    proven = [""] * len(main.delta) if found.proven is None else _words(found.proven)
    columns = (main.delta, main.gamma, _words(main.certified), _words(main.agrees))
    for index, (delta, gamma, *rest) in enumerate(zip(*columns, proven, strict=True)):
        lines.writerow((index, f"{delta:.6g}", f"{gamma:.6g}", *rest))
    return text.getvalue()


def _estimate_numbers(one: Estimate | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {
        "error": float(np.median(one.error)),
        "margin": float(np.median(one.margin)),
        "true_error": float(np.median(np.abs(one.true))),
        "ratio": one.ratio,
        "layers": [list(each) for each in figures.ranked(one)],
    }


def _words(values: np.ndarray) -> list[str]:
    return ["yes" if value else "no" for value in values]


def _published() -> tuple[str, ...]:
    delta, gamma = PUBLISHED["delta"], PUBLISHED["gamma"]
    four = (delta["mean"], delta["variance"], gamma["mean"], gamma["variance"])
    return ("arXiv 2301.12809, order of", *four, "", "")


def _row(one: Comparison) -> tuple[str, ...]:
    delta, gamma = distribution(one.delta), distribution(one.gamma)
    four = (delta.mean, delta.variance, gamma.mean, gamma.variance)
    return (
        MEANING.get(one.kind, one.kind),
        *(f"{value:.2g}" for value in four),
        f"{one.certified_share:.2%}",
        str(one.certified_disagreements),
    )


def _format_row(one: Comparison) -> tuple[str, ...]:
    return (
        one.kind,
        str(formats.get(one.kind).bits),
        f"{distribution(one.delta).mean:.2g}",
        f"{one.certified_share:.2%}",
        f"{one.disagreements:,} of {len(one.delta):,}",
    )


def _shift_row(one: Shifted) -> tuple[str, ...]:
    return (
        one.kind,
        f"{one.strength:g}",
        f"{distribution(one.comparison.delta).mean:.2g}",
        f"{distribution(one.comparison.gamma).mean:.2g}",
        f"{one.comparison.certified_share:.2%}",
        "-" if one.proven is None else f"{one.proven:.2%}",
    )


def _shift_numbers(one: Shifted) -> dict[str, Any]:
    found = {"kind": one.kind, "strength": one.strength, "proven": one.proven}
    return {**found, **numbers(one.comparison)}


def _numbers_of(found: Distribution) -> dict[str, Any]:
    quantiles = zip(QUANTILES, found.quantiles, strict=True)
    return {
        "mean": found.mean,
        "variance": found.variance,
        "quantiles": {f"{share:g}": value for share, value in quantiles},
        "not_finite": found.not_finite,
    }


def _flat(one: Comparison) -> dict[str, float]:
    delta, gamma = distribution(one.delta), distribution(one.gamma)
    return {
        "delta_mean": delta.mean,
        "delta_variance": delta.variance,
        "gamma_mean": gamma.mean,
        "gamma_variance": gamma.variance,
        "certified": one.certified_share,
        "certified_disagreements": float(one.certified_disagreements),
        "disagreements": float(one.disagreements),
    }
