"""Differences of paired runs: their mean, its interval, and tests about it."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence

# Accuracies are counts over a number of examples: what differs by less than this is
# rounding of float64, not spread.
_NO_SPREAD = 1e-12


@dataclasses.dataclass(frozen=True)
class Difference:
    """The mean of paired differences.

    Attributes:
        count: Of the pairs.
        mean: None of no pairs.
        deviation: Standard deviation (n - 1); None of fewer than two pairs.
        low, high: The 95 % interval of the mean by Student's t; None of fewer than
            two pairs, and where all are equal: a spread of 0 is none that t knows.
    """

    count: int
    mean: float | None = None
    deviation: float | None = None
    low: float | None = None
    high: float | None = None


def mean_and_deviation(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean and standard deviation (n - 1); None where there are too few values."""
    if not values:
        return None, None
    spread = statistics.stdev(values) if len(values) > 1 else None
    return statistics.fmean(values), spread


def difference(values: Sequence[float], confidence: float = 0.95) -> Difference:
    """What paired differences tell of their mean.

    Args:
        values: One for each pair.
        confidence: Of the interval.
    """
    mean, deviation = mean_and_deviation(values)
    if mean is None or deviation is None:
        return Difference(len(values), mean)
    if has_no_spread(values):
        return Difference(len(values), mean, 0.0)
    half = quantile(0.5 + confidence / 2, len(values)) * deviation
    half /= math.sqrt(len(values))
    return Difference(len(values), mean, deviation, mean - half, mean + half)


def p_above(values: Sequence[float], limit: float) -> float:
    """The p-value of "the mean is not above the limit", one-sided.

    It is Student's. Where the differences don't differ (one pair, or all of them
    equal) t knows no spread, and would be sure of anything; the sign test still
    answers: n pairs on one side have a chance of 2^-n.

    Args:
        values: Paired differences.
        limit: What their mean may be above.

    Returns:
        In [0, 1]; 1 of no pairs.
    """
    if not values:
        return 1.0
    if has_no_spread(values):
        return 0.5 ** len(values) if values[0] - limit > _NO_SPREAD else 1.0
    from scipy import stats

    return float(stats.ttest_1samp(values, limit, alternative="greater").pvalue)


def p_below(values: Sequence[float], limit: float) -> float:
    """The p-value of "the mean is not below the limit", as `p_above` has it."""
    return p_above([-value for value in values], -limit)


def p_beyond(values: Sequence[float], margin: float) -> float:
    """The p-value of "the mean lies within the margin", two-sided.

    It is at most 5 % where the 95 % interval lies wholly beyond the margin.

    Args:
        values: Paired differences.
        margin: Positive.
    """
    return min(1.0, 2 * min(p_above(values, margin), p_below(values, -margin)))


def has_no_spread(values: Sequence[float]) -> bool:
    """Whether all values are the same, but for the rounding of float64."""
    return max(values) - min(values) <= _NO_SPREAD


def quantile(share: float, count: float) -> float:
    """Of Student's t for the mean of this many values, of several samples a part."""
    from scipy import stats

    return float(stats.t.ppf(share, count - 1))
