"""Epoch times of runs and of probes, and their ratios to float32's."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from keras16.analysis import contrasts
from keras16.comparison.probe import BASELINE, Probe
from keras16.results import Record
from keras16.statistics import medians


def of(
    both: Sequence[tuple[Record, Record]], probe: Probe, probes: Sequence[Probe]
) -> dict[str, Any]:
    """What a row tells of time.

    Args:
        both: Runs that are pairs, the second one at float32; its own are with
            themselves.
        probe: Of the precision.
        probes: Of all.

    Returns:
        Fields of `row.Row`.
    """
    timed = _timed(both)
    ratios = [_clock(other) / _clock(one) for one, other in timed]
    ratio = medians.interval(ratios)
    if ratio is None:
        return {
            "epoch_seconds": probe.epoch_seconds or None,
            "ratio": _probed_ratio(probe, probes),
            "ratio_low": None,
            "ratio_high": None,
            "timed": 0,
            "timed_alone": probe.timed_alone,
        }
    return {
        "epoch_seconds": statistics.median(_clock(one) for one, _ in timed),
        "ratio": ratio.median,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
        "timed": len(timed),
        "timed_alone": all(run.timed_alone for pair in timed for run in pair),
    }


def _timed(both: Sequence[tuple[Record, Record]]) -> list[tuple[Record, Record]]:
    """Pairs timed on one machine; where there are some, those that had it alone."""
    known = [
        (one, other)
        for one, other in both
        if _clock(one) and _clock(other)
        if contrasts.machine(one) == contrasts.machine(other)
    ]
    alone = [pair for pair in known if all(run.timed_alone for run in pair)]
    return alone or known


def _clock(record: Record) -> float:
    return record.median_epoch_seconds or record.first_epoch_seconds or 0.0


def _probed_ratio(probe: Probe, probes: Sequence[Probe]) -> float | None:
    baseline = next((p for p in probes if p.precision == BASELINE), None)
    if baseline is None or not probe.epoch_seconds:
        return None
    return baseline.epoch_seconds / probe.epoch_seconds
