"""Statistics against SciPy, hand-computed numbers, and simulations."""

import gc
import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from keras16.statistics import counts, equivalence, medians, pairs, several

MARGIN = 0.005
VALUES = [0.001, -0.002, 0.003, 0.0005, 0.002]


# Medians


def test_the_interval_is_made_of_order_statistics():
    values = [5, 1, 11, 3, 9, 2, 10, 4, 8, 6, 7]
    assert medians.interval(values) == (
        6,
        2,
        10,
    )  # P(2 of 11 or fewer heads) < 2.5 %


def test_few_values_have_no_interval_but_their_range():
    assert medians.interval([3.0, 1.0, 2.0]) == (2, 1, 3)
    assert medians.interval([]) is None


def test_ratios_are_paired_so_that_drift_falls_out():
    drift = [1, 1.3, 0.8, 2]
    reference, peer = [3 * d for d in drift], [6 * d for d in drift]
    assert medians.ratios(peer, reference) == [2, 2, 2, 2]
    assert medians.ratios([6.0, None, 8.0], [3.0, 1.0]) == [2]


# Pairs


def test_the_difference_is_the_paired_t_test():
    found = pairs.difference(VALUES)
    wanted = stats.ttest_1samp(VALUES, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    assert found.mean == pytest.approx(0.0009)
    assert found.deviation == pytest.approx(np.std(VALUES, ddof=1))
    assert found.count == 5


def test_few_pairs_have_no_interval():
    assert pairs.difference([]) == pairs.Difference(0)
    assert pairs.difference([0.25]) == pairs.Difference(1, 0.25)
    two = pairs.difference([0.0, 0.02])
    # 0.01 -+ 12.7062 * 0.0141421 / sqrt(2), by hand
    assert (two.low, two.high) == pytest.approx((-0.117062, 0.137062), abs=1e-6)


@pytest.mark.parametrize("limit", [-0.003, 0.0, 0.002])
def test_one_sided_tests_are_those_of_scipy(limit):
    shifted = np.subtract(VALUES, limit)
    above = stats.ttest_1samp(shifted, 0, alternative="greater").pvalue
    assert pairs.p_above(VALUES, limit) == pytest.approx(above)
    assert pairs.p_below(VALUES, limit) == pytest.approx(1 - above)


@pytest.mark.parametrize("count", [1, 2, 5, 10])
@pytest.mark.parametrize("value", [0.0, 0.001, 0.1 + 0.2 - 0.3])
def test_equal_differences_are_worth_a_sign_test(count, value):
    values = [value] * count
    assert equivalence.p_equivalent(values, MARGIN) == 0.5**count
    assert pairs.p_beyond(values, MARGIN) == 1
    assert pairs.p_above(values, MARGIN) == 1
    assert pairs.p_above([2 * MARGIN] * count, MARGIN) == 0.5**count


def test_no_spread_but_rounding_is_none():
    values = [0.1 + 0.2, 0.3, 0.3]
    assert equivalence.p_equivalent(values, 0.5) == 0.125
    assert pairs.p_above([MARGIN] * 9, MARGIN) == 1  # at the limit, not above it


def test_no_pairs_tell_nothing():
    assert pairs.p_above([], 0.0) == pairs.p_below([], 0.0) == 1
    assert equivalence.p_equivalent([], MARGIN) == 1
    assert equivalence.p_at_best([], MARGIN) == 1
    assert pairs.p_beyond([], MARGIN) == 1


@pytest.mark.parametrize("shift", [-0.02, -0.009, 0.0, 0.007, 0.02])
def test_beyond_is_the_interval_beyond_the_margin(shift):
    values = [value + shift for value in VALUES]
    found = pairs.difference(values)
    beyond = found.low > MARGIN or found.high < -MARGIN
    assert (pairs.p_beyond(values, MARGIN) <= 0.05) is beyond


# Equivalence


@pytest.mark.parametrize("shift", [-0.005, 0.0, 0.003])
def test_equivalence_is_the_90_percent_interval_within_the_margin(shift):
    values = [value + shift for value in VALUES]
    found = pairs.difference(values, 0.9)
    inside = found.low > -MARGIN and found.high < MARGIN
    assert (equivalence.p_equivalent(values, MARGIN) <= 0.05) is inside
    by_hand = max(
        stats.ttest_1samp(values, -MARGIN, alternative="greater").pvalue,
        stats.ttest_1samp(values, MARGIN, alternative="less").pvalue,
    )
    assert equivalence.p_equivalent(values, MARGIN) == pytest.approx(by_hand)


def rejections(draws, test):
    """The share of draws in which a test at 5 % rejects, and its standard error."""
    share = np.mean([test(list(row)) <= 0.05 for row in draws])
    return share, math.sqrt(0.05 * 0.95 / len(draws))


@pytest.mark.parametrize("count", [3, 10])
def test_equivalence_has_its_size_at_the_margin(count):
    draws = np.random.default_rng(count).normal(MARGIN, 0.002, (1500, count))
    share, error = rejections(draws, lambda row: equivalence.p_equivalent(row, MARGIN))
    assert share <= 0.05 + 3 * error
    assert share >= 0.05 - 4 * error or count == 3  # it is not idle, either


def test_superiority_has_its_size_at_no_difference():
    draws = np.random.default_rng(1).normal(0, 0.002, (1500, 5))
    share, error = rejections(draws, lambda row: pairs.p_above(row, 0.0))
    assert abs(share - 0.05) <= 3 * error


def test_the_pairs_that_are_needed_have_the_power():
    deviation = 0.004
    count = equivalence.pairs_needed(deviation, MARGIN)
    assert count == 8
    draws = np.random.default_rng(2).normal(0, deviation, (1500, count))
    share, _ = rejections(draws, lambda row: equivalence.p_equivalent(row, MARGIN))
    assert 0.77 <= share <= 0.87


def test_pairs_needed_at_the_ends():
    assert equivalence.pairs_needed(None, MARGIN) is None
    # 2^-5 is below 5 %, and of 12 rows 2^-8 below a twelfth of it.
    assert equivalence.pairs_needed(0.0, MARGIN) == 5
    assert equivalence.pairs_needed(0.0, MARGIN, 12) == 8
    assert equivalence.pairs_needed(1e-9, MARGIN) == 3
    assert equivalence.pairs_needed(1.0, MARGIN) is None


def test_more_rows_need_more_pairs():
    wanted = [equivalence.pairs_needed(0.004, MARGIN, rows) for rows in (1, 3, 12)]
    assert wanted == sorted(set(wanted))
    # As many as Bonferroni's level needs where none of the rows differs.
    draws = np.random.default_rng(3).normal(0, 0.004, (1500, wanted[1]))
    told = [equivalence.p_equivalent(row, MARGIN) <= 0.05 / 3 for row in draws]
    assert 0.77 <= np.mean(told) <= 0.87


def test_at_best_moves_the_mean_to_zero():
    values = [0.5 + value for value in VALUES]
    centred = list(np.subtract(VALUES, np.mean(VALUES)))
    wanted = equivalence.p_equivalent(centred, MARGIN)
    assert equivalence.p_at_best(values, MARGIN) == pytest.approx(wanted)


# Several rows


def test_holm_by_hand():
    assert several.holm([]) == []
    assert several.holm([0.03]) == [0.03]
    assert several.holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])


def test_holm_is_that_of_statsmodels(monkeypatch):
    # It collects garbage twice, which among the tests of TensorFlow takes 30 s.
    monkeypatch.setattr(gc, "collect", lambda *generation: 0)
    p_values = np.random.default_rng(5).beta(0.5, 2, 12).tolist()
    wanted = multipletests(p_values, method="holm")[1]
    assert several.holm(p_values) == pytest.approx(wanted)
    assert max(wanted) == 1


def test_a_single_row_is_its_own_estimate():
    found = several.pooled([VALUES, []])
    own = pairs.difference(VALUES)
    assert (found.count, found.mean) == (1, own.mean)
    assert (found.low, found.high) == (own.low, own.high)
    assert several.pooled([]) == pairs.Difference(0)
    assert several.pooled([[0.25]]) == pairs.Difference(1, 0.25)


def test_few_rows_are_averaged_by_hand():
    # The variance of each mean is 1: sqrt(3) / 3, on 2 + 2 + 2 degrees of freedom.
    rows = [[m - 3**0.5, m, m + 3**0.5] for m in (1.0, 2.0, 6.0)]
    found = several.pooled(rows)
    assert found.mean == pytest.approx(3)
    assert found.deviation == pytest.approx(math.sqrt(1 / 3))
    half = stats.t.ppf(0.975, 6) * math.sqrt(1 / 3)
    assert found.high - found.mean == pytest.approx(half)


def test_many_rows_are_pooled_by_hand():
    # Variance of each mean 1: Paule and Mandel's estimate is the variance of the
    # means less 1 = 4, and the error sqrt(5 / 5).
    rows = [[m - 3**0.5, m, m + 3**0.5] for m in (0.0, 1.0, 3.0, 5.0, 5.0 + 1 / 3)]
    means = [sum(row) / 3 for row in rows]
    found = several.pooled(rows)
    assert found.mean == pytest.approx(np.mean(means))
    error = math.sqrt(np.var(means, ddof=1) / 5)
    assert found.deviation == pytest.approx(error, rel=1e-4)
    half = stats.t.ppf(0.975, 4) * error
    assert found.high - found.mean == pytest.approx(half, rel=1e-4)


@pytest.mark.parametrize("count", [4, 9])
def test_rows_that_agree_are_no_surer_than_their_spread(count):
    found = several.pooled([[-1.0, 0.0, 1.0]] * count)
    assert found.mean == pytest.approx(0)
    assert found.deviation == pytest.approx(math.sqrt(1 / 3 / count))


def test_a_row_without_spread_has_not_all_the_weight():
    rows = [[m] * 3 for m in (0.0, 0.5, 1.0)] + [[1.4, 1.5, 1.6], [1.9, 2.0, 2.1]]
    assert several.pooled(rows).mean == pytest.approx(1, abs=0.01)


def test_without_any_spread_the_rows_are_the_sample():
    assert several.pooled([[0.0], [0.002], [0.004]]) == pairs.difference(
        [0.0, 0.002, 0.004]
    )
    # Equal differences have no interval: one of no width would be sure of anything.
    assert several.pooled([[0.0, 0.0], [0.0, 0.0]]) == pairs.Difference(2, 0, 0)
    assert several.pooled([[0.25] * 3]) == pairs.Difference(1, 0.25, 0)
    assert pairs.difference([0.25] * 3) == pairs.Difference(3, 0.25, 0)


def test_spreads_lean_on_each_other():
    # Squares 2 and 0 on 2 and 2 degrees of freedom: usual 0.5, (4 * 0.5 + 2) / 6 / 3.
    found = several.mean_variances([[-1.0, 0.0, 1.0], [5.0, 5.0, 5.0]])
    assert found == pytest.approx([4 / 18, 2 / 18])
    assert several.mean_variances([[-1.0, 1.0], [5.0]]) == pytest.approx([1.0, 2.0])


def test_a_row_of_few_pairs_is_left_out_where_others_have_more():
    found = several.pooled([VALUES, [0.3, -0.3], [0.9]])
    own = pairs.difference(VALUES)
    assert (found.count, found.low, found.high) == (1, own.low, own.high)
    assert several.pooled([[0.0, 0.002], [0.9]]).mean == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("seeds", "spreads"),
    [
        ((3, 3, 3), (0.001, 0.003, 0.01)),
        ((10, 10), (0.001, 0.01)),
        ((10, 3), (0.0006, 0.004)),
        ((10, 2), (0.0006, 0.004)),
        ((10, 10, 3, 1), (0.0005, 0.0015, 0.004, 0.004)),
    ],
)
def test_the_interval_of_few_unequal_rows_holds_the_truth(seeds, spreads):
    random = np.random.default_rng(6)
    kept = [0.001 * n for n, count in enumerate(seeds) if count >= 3]
    hits = 0
    for _ in range(1000):
        rows = [
            random.normal(0.001 * n, spread, count).tolist()
            for n, (count, spread) in enumerate(zip(seeds, spreads, strict=True))
        ]
        found = several.pooled(rows)
        hits += found.low <= np.mean(kept) <= found.high
    # Satterthwaite's degrees of freedom are an approximation; 61 to 90 % without them.
    assert hits / 1000 >= 0.93 - 2 * math.sqrt(0.95 * 0.05 / 1000)


@pytest.mark.parametrize("shift", [0.0, 0.002, -0.02])
def test_the_smallest_margin_is_where_equivalence_begins(shift):
    rows = [[value + shift for value in VALUES], [value / 2 for value in VALUES]]
    least = equivalence.smallest_margin(rows)
    for share, holds in (0.998, False), (1.0, True):
        found = [equivalence.p_equivalent(values, share * least) for values in rows]
        assert (max(several.holm(found)) <= 0.05) is holds
    assert equivalence.smallest_margin([]) is None
    assert equivalence.smallest_margin([VALUES, [0.1]]) is None
    assert equivalence.smallest_margin([[0.0] * 4]) is None
    assert 0 < equivalence.smallest_margin([[0.0] * 5]) < 1e-8


@pytest.mark.parametrize(
    ("count", "seeds", "between"),
    [(2, 3, 0.003), (3, 5, 0.003), (6, 5, 0.003), (12, 3, 0.0)],
)
def test_the_pooled_interval_holds_the_truth(count, seeds, between):
    random = np.random.default_rng(3)
    hits = 0
    for _ in range(300):
        truths = random.normal(0.001, between, (count, 1))
        # Of few rows it is about these rows, of many about all that there might be.
        wanted = truths.mean() if count < several.MANY_ROWS else 0.001
        spread = random.uniform(0.001, 0.006, (count, 1))
        found = several.pooled(random.normal(truths, spread, (count, seeds)).tolist())
        hits += found.low <= wanted <= found.high
    assert hits / 300 >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 300)


# Counts


def test_rates_of_none_and_of_all_reach_the_ends():
    """Not 3e-15 %, as rounding leaves it."""
    assert all(counts.rate_interval(0, runs)[0] == 0 for runs in range(1, 60))
    assert all(counts.rate_interval(runs, runs)[1] == 1 for runs in range(1, 60))


def test_wilson_by_hand():
    assert counts.rate_interval(0, 0) == (0, 1)
    z = stats.norm.ppf(0.975)
    low, high = counts.rate_interval(0, 10)
    assert (low, high) == pytest.approx((0, z**2 / (10 + z**2)))
    low, high = counts.rate_interval(10, 10)
    assert (low, high) == pytest.approx((10 / (10 + z**2), 1))
    assert high <= 1


def test_fisher_by_hand():
    # All of 3 against none of 3: 2 of the 20 ways to choose 3 of 6.
    assert counts.p_of_rates(3, 3, 0, 3) == pytest.approx(0.1)
    assert counts.p_of_rates(0, 3, 0, 3) == 1
    assert counts.p_of_rates(0, 0, 0, 3) == 1
    assert counts.p_of_rates(0, 0, 0, 0) == 1


def test_discordant_pairs_by_hand():
    assert counts.p_of_discordant(0, 0) == 1
    assert counts.p_of_discordant(5, 0) == 1 / 32
    assert counts.p_of_discordant(2, 1) == 0.5
    assert counts.p_of_discordant(0, 3) == 1


def test_mcnemar_of_one_seed_is_the_binomial_test():
    first = np.array([True] * 8 + [False] * 2 + [True] * 5)
    second = np.array([False] * 8 + [True] * 2 + [True] * 5)
    wanted = stats.binomtest(8, 10).pvalue
    assert counts.mcnemar([(first, second)]) == (8, 2, pytest.approx(wanted))
    assert counts.mcnemar([(first, first)]) == (0, 0, 1)


def test_an_example_counts_once_over_all_seeds():
    first, second = np.array([True, True, False]), np.array([False, True, True])
    seeds = [(first, second)] * 4 + [(second, second)]
    assert counts.mcnemar(seeds) == (4, 4, 1)  # one example each: no sign is odd
    assert counts.mcnemar([(first, second), (second, first)])[:2] == (0, 0)


def test_an_example_weighs_by_its_seeds():
    # One example that the first arm alone gets right in all of 3 seeds, two that the
    # second one gets right in one seed more: 3 - 1 - 1 of all 8 ways of the signs.
    first = np.array([[1, 0, 0], [1, 1, 1], [1, 0, 1]], bool)
    second = np.array([[0, 1, 1], [0, 1, 1], [0, 0, 1]], bool)
    found = counts.mcnemar(list(zip(first, second, strict=True)))
    assert found[:2] == (3, 2)
    sums = [3 * a + b + c for a in (1, -1) for b in (1, -1) for c in (1, -1)]
    assert found.p_value == pytest.approx(2 * np.mean(np.array(sums) >= 1))


def test_many_examples_are_judged_by_the_sum_of_their_leads():
    random = np.random.default_rng(7)
    chance = random.beta(4, 1, 8000)
    nets = random.random((5, 2, 8000)) < chance[None, None]
    nets[:, 0] |= random.random((5, 8000)) < 0.05
    lead = nets[:, 0].sum(0) - nets[:, 1].sum(0)
    wanted = 2 * stats.norm.sf(abs(lead.sum()) / np.sqrt((lead**2).sum()))
    found = counts.mcnemar([tuple(pair) for pair in nets])
    assert 1e-6 < wanted < 0.05
    assert found.p_value == pytest.approx(wanted, rel=0.05)
    assert counts.mcnemar([(b, a) for a, b in nets]).p_value == pytest.approx(
        found.p_value
    )


def test_vectors_that_cannot_be_compared_give_nothing():
    assert counts.mcnemar([]) is None
    assert counts.mcnemar([(np.ones(3, bool), np.ones(2, bool))]) is None
    assert counts.mcnemar([(np.ones(0, bool), np.ones(0, bool))])[2] == 1


def test_mcnemar_has_its_size_where_arms_are_alike():
    random = np.random.default_rng(4)
    found = []
    for _ in range(200):
        # What every net finds hard is shared; the rest is the net's own luck.
        chance = random.beta(5, 1, 400)
        nets = random.random((3, 2, 400)) < chance
        seeds = [tuple(pair) for pair in nets]
        found.append(counts.mcnemar(seeds).p_value <= 0.05)
    assert np.mean(found) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)
