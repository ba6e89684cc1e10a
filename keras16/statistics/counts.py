"""Counts: failed runs, and examples that one of two nets classifies better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np


class Examples(NamedTuple):
    """Test examples that two arms don't classify alike.

    Attributes:
        better, worse: Examples that the first arm, or the second one, gets right with
            more of the seeds.
        p_value: McNemar's, exact.
    """

    better: int
    worse: int
    p_value: float


def rate_interval(failures: int, runs: int) -> tuple[float, float]:
    """The 95 % interval of a rate of failure: Wilson's score interval.

    Args:
        failures: Of the runs.
        runs: None of them tells nothing: (0, 1).
    """
    if not runs:
        return 0.0, 1.0
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(failures, runs, method="wilson")
    # At the ends it is exactly there, but for what rounding leaves.
    lowest = 0.0 if failures == 0 else float(low)
    return lowest, 1.0 if failures == runs else float(high)


def p_of_rates(failures: int, runs: int, others: int, other_runs: int) -> float:
    """Fisher's exact test, two-sided: 1 where two rates can't be told apart.

    Args:
        failures: Of the runs.
        runs: May be 0.
        others: Failures of the other arm.
        other_runs: Its runs.
    """
    from scipy import stats

    table = [[failures, runs - failures], [others, other_runs - others]]
    return min(1.0, float(stats.fisher_exact(table).pvalue))


def p_of_discordant(alone: int, other_alone: int) -> float:
    """The chance of so many pairs in which only the first arm failed, one-sided.

    A pair in which both failed, or none, tells nothing: the sign test of the others.

    Args:
        alone: Pairs in which the first arm failed and the second one did not.
        other_alone: Pairs in which it was the other way round.
    """
    from scipy import stats

    if not alone + other_alone:
        return 1.0
    whole = alone + other_alone
    return float(stats.binomtest(alone, whole, alternative="greater").pvalue)


def mcnemar(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Examples | None:
    """McNemar's test on the test examples, over all seeds.

    The nets of all seeds see the same test examples, so that counts summed over seeds
    would take one hard example for many. Here an example counts once: for the arm
    that gets it right with more of the seeds. Of one seed it is McNemar's own test.

    It asks whether *these* nets differ on other examples, not whether other seeds
    would: two nets of one arm may well differ by it (Dietterich, Neural Computation
    10 (1998), 1895).

    Args:
        pairs: For each seed two bool vectors [examples]: what each arm got right.

    Returns:
        None of no pairs, or of vectors that differ in length.
    """
    lengths = {len(vector) for pair in pairs for vector in pair}
    if len(lengths) != 1:
        return None
    import numpy as np
    from statsmodels.stats.contingency_tables import mcnemar as exact

    lead = np.zeros(lengths.pop(), int)
    for first, second in pairs:
        lead += first.astype(int) - second.astype(int)
    better, worse = int((lead > 0).sum()), int((lead < 0).sum())
    found = exact([[0, better], [worse, 0]], exact=True)
    return Examples(better, worse, float(found.pvalue))
