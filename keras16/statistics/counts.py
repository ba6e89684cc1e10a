"""Counts: failed runs, and examples that one of two nets classifies better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np


class Examples(NamedTuple):
    """Test examples that two arms don't classify alike.

    Attributes:
        better, worse: Of the examples that the first arm, or the second one, gets right
            with more of the seeds: how many seeds more, summed. Their difference is
            that of the accuracies, times examples and seeds.
        p_value: Of McNemar's test, in which examples weigh by how many seeds more.
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
    would take one hard example for many: the examples are the sample. Each one has a
    lead, the seeds with which the first arm gets it right less those with which the
    second one does; the test statistic is their sum, in which the accuracies differ.
    If the arms are alike, a lead is as likely for the one as for the other: the test
    is exact, by the distribution of the sum over all signs of the leads. Of one seed
    it is McNemar's own. (Leads in place of their signs, after Durkalski, Palesch,
    Lipsitz, Rust, Statist. Med. 22 (2003), 2417.)

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

    lead = np.zeros(lengths.pop(), int)
    for first, second in pairs:
        lead += first.astype(int) - second.astype(int)
    won, lost = int(lead[lead > 0].sum()), -int(lead[lead < 0].sum())
    return Examples(won, lost, _p_of_signs(lead))


def _p_of_signs(lead: np.ndarray) -> float:
    """Two-sided: how often as large a sum is reached where every sign is a coin."""
    import numpy as np
    from scipy import signal, stats

    chances = np.ones(1)  # of each sum of the leads that are won
    for size, count in zip(
        *np.unique(np.abs(lead[lead != 0]), return_counts=True), strict=True
    ):
        won = np.zeros(size * count + 1)
        won[::size] = stats.binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.maximum(signal.convolve(chances, won), 0.0)
    sum_won = int(lead[lead > 0].sum())
    tails = chances[: sum_won + 1].sum(), chances[sum_won:].sum()
    return min(1.0, 2 * float(min(tails)))
