"""A comparison of precisions as tables of text."""

from __future__ import annotations

from collections.abc import Sequence

from keras16.comparison import Comparison, Probe, Row
from keras16.comparison.probe import BASELINE
from keras16.comparison.row import OPEN
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
        _seconds(probe.epoch_seconds, probe.timed_alone),
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
        "times as fast",
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
        _seconds(row.epoch_seconds, row.timed_alone),
        _ratio(row),
        units.size_text(row.weight_bytes),
        units.size_text(row.peak_memory_bytes),
        f"{row.failures} of {row.runs}",
    )


def _seconds(found: float | None, is_alone: bool) -> str:
    """Marked, as a study's are, where anything else kept the machine busy."""
    return f"{units.seconds(found)}{'' if is_alone or not found else ' (shared)'}"


def _ratio(row: Row) -> str:
    """Such as "1.52 (1.49 to 1.6)"; "unclear (0.8 to 1.7)" where it settles nothing."""
    if row.precision == BASELINE or row.ratio is None:
        return "-"
    middle = "unclear" if row.pace == OPEN else f"{row.ratio:.3g}"
    if row.timed < 2:
        return middle
    return f"{middle} ({row.ratio_low:.3g} to {row.ratio_high:.3g})"


def value(metric: Metric, found: float | None) -> str:
    """A metric as a person reads it: a share in percent."""
    return units.percent(found) if metric.is_share else units.number(found)


def _with_interval(found: Difference, metric: Metric) -> str:
    """The mean and its interval, of a share within 0 and 100 %."""
    if found.mean is None or found.low is None or found.high is None:
        return value(metric, found.mean)
    half = found.high - found.mean
    if not metric.is_share:
        return f"{found.mean:.4g} ± {half:.2g}"
    if found.low >= 0 and found.high <= 1:
        return f"{100 * found.mean:.2f} ± {100 * half:.2f} %"
    low, high = max(found.low, 0.0), min(found.high, 1.0)
    return f"{100 * found.mean:.2f} ({100 * low:.2f} to {100 * high:.2f}) %"


def _apart(found: Difference, metric: Metric) -> str:
    """Points of a share; of another metric, its own units."""
    if found.mean is None:
        return "-"
    scale, form = (100, "+.2f") if metric.is_share else (1, "+.3g")
    mean = f"{scale * found.mean:{form}}"
    if found.low is None or found.high is None:  # of one pair, or of equal ones
        return mean if found.deviation is None else f"{mean} (-)"
    low, high = found.low, found.high
    if metric.is_share:  # no two differ by more
        low, high = max(low, -1.0), min(high, 1.0)
    return f"{mean} ({scale * low:{form}} to {scale * high:{form}})"
