"""Equivalence within a margin: two one-sided tests, and how many pairs they need."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from keras16.statistics.pairs import (
    difference,
    has_no_spread,
    p_above,
    p_below,
    quantile,
)
from keras16.statistics.several import holm

LEVEL = 0.05  # of every test
POWER = 0.8  # wanted of a number of pairs
_MOST_PAIRS = 1000  # more than anybody trains


def p_equivalent(values: Sequence[float], margin: float) -> float:
    """The p-value of "the mean difference is the margin or more", either way.

    Two one-sided paired t tests; where all differences are equal, sign tests
    (`pairs.p_above`).

    Source: Schuirmann, J. Pharmacokinet. Biopharm. 15 (1987), 657.

    Args:
        values: Paired differences.
        margin: Positive; differences below it count as none.

    Returns:
        In [0, 1]; the means are equivalent where it is at most 0.05. 1 of no pairs.
    """
    if len(values) < 2 or has_no_spread(values):
        return max(p_above(values, -margin), p_below(values, margin))
    import numpy as np
    from statsmodels.stats.weightstats import ttost_paired

    zeros = np.zeros(len(values))
    return float(ttost_paired(np.asarray(values), zeros, -margin, margin)[0])


def p_at_best(values: Sequence[float], margin: float) -> float:
    """What `p_equivalent` would be, had the mean been exactly 0 with this spread.

    Where even that does not confirm equivalence, no mean could have: there are too
    few pairs for the spread.
    """
    found = difference(values)
    if found.mean is None:
        return 1.0
    return p_equivalent([value - found.mean for value in values], margin)


def smallest_margin(rows: Sequence[Sequence[float]]) -> float | None:
    """The least margin with which all rows are equivalent, by Holm's correction.

    Args:
        rows: The paired differences of each.

    Returns:
        In their unit, to a thousandth of itself; None where no margin would do: of
        too few pairs, or none.
    """
    high = max((abs(value) for values in rows for value in values), default=0.0) or 1e-9
    if not _hold(rows, 1e6 * high):
        return None
    while not _hold(rows, high):
        high *= 2
    low = 0.0
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if _hold(rows, middle) else (middle, high)
    return high


def _hold(rows: Sequence[Sequence[float]], margin: float) -> bool:
    """Whether all rows are equivalent; `p_equivalent` by its formula, for its speed."""
    return bool(rows) and max(holm([_p_within(v, margin) for v in rows])) <= LEVEL


def _p_within(values: Sequence[float], margin: float) -> float:
    if len(values) < 2 or has_no_spread(values):
        return p_equivalent(values, margin)
    from scipy import special

    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    t = (margin - abs(mean)) / (deviation / math.sqrt(len(values)))
    return float(special.stdtr(len(values) - 1, -t))


def pairs_needed(deviation: float | None, margin: float, rows: int = 1) -> int | None:
    """The pairs that confirm equivalence in four studies of five, were there none.

    Where the differences have no spread, those that the sign test needs.

    Source: Chow, Shao, Wang, Sample Size Calculations in Clinical Research (2nd
    edition, 2008), section 3.1.3, with Student's quantiles for the normal ones.

    Args:
        deviation: Of the paired differences.
        margin: Positive, in the same unit.
        rows: That are tested together: by Bonferroni's correction, which asks for as
            many as Holm's or more.

    Returns:
        3 at least; None where the deviation is unknown or a thousand don't do.
    """
    if deviation is None:
        return None
    if not deviation:
        return math.ceil(math.log2(rows / LEVEL))
    for count in range(3, _MOST_PAIRS + 1):
        quantiles = quantile(1 - LEVEL / rows, count) + quantile((1 + POWER) / 2, count)
        if quantiles * deviation <= margin * count**0.5:
            return count
    return None
