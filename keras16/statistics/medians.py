"""Medians of paired times and how sure they are."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

FEWEST = 6  # values that have a 95 % interval of their median


class Interval(NamedTuple):
    """A median and where it lies.

    Attributes:
        median: Of the values.
        low, high: The 95 % interval of the median by order statistics; with fewer
            than `FEWEST` values, which have none, their least and greatest.
    """

    median: float
    low: float
    high: float


def interval(values: Sequence[float]) -> Interval | None:
    """The median of some values with its interval; None of no values.

    No shape of the distribution is assumed. Source: Conover, Practical Nonparametric
    Statistics (3rd edition, 1999), section 3.2.
    """
    if not values:
        return None
    median = statistics.median(values)
    if len(values) < FEWEST:
        return Interval(median, min(values), max(values))
    from scipy import stats

    low, high = stats.quantile_test(values).confidence_interval(0.95)
    return Interval(median, float(low), float(high))


def ratios(
    peer: Sequence[float | None], reference: Sequence[float | None]
) -> list[float]:
    """How often the reference's time goes into the peer's, round by round.

    What slows the whole machine for a while slows both, and falls out.

    Args:
        peer: Time of a step in each round; None where it wasn't measured.
        reference: The same of what it is compared with.
    """
    pairs = zip(peer, reference, strict=False)  # one may have been stopped earlier
    return [a / b for a, b in pairs if a is not None and b is not None]
