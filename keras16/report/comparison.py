"""A comparison of precisions as tables of text."""

from __future__ import annotations

from collections.abc import Sequence

from keras16.comparison import Comparison, Probe, Row
from keras16.comparison.verdict import speed
from keras16.criterion import Metric
from keras16.report import units
from keras16.statistics.pairs import Difference

PROBED = (
    "precision",
    "wide tensors",
    "epoch",
    "of 32",
    "weights",
    "slots",
    "peak memory",
    "compile",
)


def probed(probes: Sequence[Probe]) -> list[tuple[str, ...]]:
    """What is known before any training."""
    full = next((p.epoch_seconds for p in probes if p.precision == "32"), 0.0)
    return [_probe_row(probe, full) for probe in probes]


def _probe_row(probe: Probe, full: float) -> tuple[str, ...]:
    if probe.problem:
        return (probe.precision, "not tried", *("",) * (len(PROBED) - 2))
    share = f"{probe.epoch_seconds / full:.2f}" if full else ""
    return (
        probe.precision,
        f"{probe.wide_tensors} of {probe.tensors}",
        units.seconds(probe.epoch_seconds),
        share,
        units.size_text(probe.weight_bytes),
        units.size_text(probe.optimizer_bytes),
        units.size_text(probe.peak_memory_bytes),
        units.seconds(probe.compile_seconds),
    )


def header(metric: Metric) -> tuple[str, ...]:
    """Of the columns of `table`."""
    return (
        "precision",
        f"validation {metric.name}",
        "less 32's",
        "verdict",
        "epoch",
        "speed",
        "weights",
        "peak memory",
        "failed",
    )


def table(comparison: Comparison) -> list[tuple[str, ...]]:
    """One line a precision, under `header`."""
    return [_row(row, comparison.metric) for row in comparison.rows]


def _row(row: Row, metric: Metric) -> tuple[str, ...]:
    if row.problem:
        return (row.precision, "-", "-", "not tried", *["-"] * 5)
    return (
        row.precision,
        _with_interval(row.score, metric),
        _apart(row.difference, metric),
        row.verdict or "-",
        units.seconds(row.epoch_seconds),
        speed(row) if row.precision != "32" else "-",
        units.size_text(row.weight_bytes),
        units.size_text(row.peak_memory_bytes),
        f"{row.failures} of {row.runs}",
    )


def value(metric: Metric, found: float | None) -> str:
    """A metric as a person reads it: a share in percent."""
    return units.percent(found) if metric.is_share else units.number(found)


def _with_interval(found: Difference, metric: Metric) -> str:
    if found.mean is None or found.high is None:
        return value(metric, found.mean)
    half = found.high - found.mean
    if metric.is_share:
        return f"{100 * found.mean:.2f} ± {100 * half:.2f} %"
    return f"{found.mean:.4g} ± {half:.2g}"


def _apart(found: Difference, metric: Metric) -> str:
    """Points of a share; of another metric, its own units."""
    if found.mean is None:
        return "-"
    scale, form = (100, "+.2f") if metric.is_share else (1, "+.3g")
    mean = f"{scale * found.mean:{form}}"
    if found.low is None or found.high is None:
        return mean
    return f"{mean} ({scale * found.low:{form}} to {scale * found.high:{form}})"
