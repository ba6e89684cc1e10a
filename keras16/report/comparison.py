"""A comparison of precisions as tables of text."""

from __future__ import annotations

from collections.abc import Sequence

from keras16.comparison import Comparison, Probe
from keras16.comparison.verdict import speed
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
HEADER = (
    "precision",
    "validation accuracy",
    "less 32's",
    "verdict",
    "epoch",
    "speed",
    "weights",
    "peak memory",
    "failed",
)


def probed(probes: Sequence[Probe]) -> list[tuple[str, ...]]:
    """What is known before any training."""
    full = next((p.epoch_seconds for p in probes if p.precision == "32"), 0.0)
    return [_probe_row(probe, full) for probe in probes]


def _probe_row(probe: Probe, full: float) -> tuple[str, ...]:
    if probe.problem:
        return (probe.precision, probe.problem, *("",) * (len(PROBED) - 2))
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


def table(comparison: Comparison) -> list[tuple[str, ...]]:
    """One line a precision, under `HEADER`."""
    return [
        (
            row.precision,
            _with_interval(row.accuracy),
            _points(row.difference),
            row.verdict or "-",
            units.seconds(row.epoch_seconds),
            speed(row) if row.precision != "32" else "-",
            units.size_text(row.weight_bytes),
            units.size_text(row.peak_memory_bytes),
            f"{row.failures} of {row.runs}",
        )
        for row in comparison.rows
    ]


def _with_interval(found: Difference) -> str:
    if found.mean is None or found.high is None:
        return units.percent(found.mean) if found.mean is not None else "-"
    half = 100 * (found.high - found.mean)
    return f"{100 * found.mean:.2f} ± {half:.2f} %"


def _points(found: Difference) -> str:
    if found.mean is None:
        return "-"
    mean = f"{100 * found.mean:+.2f}"
    if found.low is None or found.high is None:
        return mean
    return f"{mean} ({100 * found.low:+.2f} to {100 * found.high:+.2f})"
