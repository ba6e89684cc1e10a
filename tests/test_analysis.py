"""From records to cells, contrasts and verdicts."""

import dataclasses
import itertools

import numpy as np
import pytest
import synthetic
from scipy import stats

from keras16.analysis import cells, claims, contrasts, progress
from keras16.statistics import counts, several
from keras16.study import Arm


def judged(plan, found, kind, **fields):
    return claims.judge(cells.grid(plan, found), synthetic.claim(kind, **fields))


def failing(found, arm, pairs, row=None, status="failed"):
    """The records with these pairs of an arm failed."""
    return [
        synthetic.failed(one, status)
        if one.arm == arm and one.pair in pairs and row in (None, one.row)
        else one
        for one in found
    ]


# Cells


def test_a_cell_tells_of_its_runs():
    plan = synthetic.study(rows=1, seeds=4)
    found = failing(synthetic.records(plan), "16", {1})
    found = failing(found, "16", {2}, status="crashed")
    cell = cells.grid(plan, found).cell("cnn, Adam", "16")
    known = [found[0].test_accuracy, found[6].test_accuracy]
    assert cell.score == (
        pytest.approx(np.mean(known)),
        pytest.approx(np.std(known, ddof=1)),
    )
    assert (len(cell.records), len(cell.finished)) == (4, 2)
    assert (cell.diverged, cell.failures, cell.wide_tensors) == (1, 2, 0)
    assert cell.middle("weight_bytes") == 200_000
    assert cell.timed_alone


def test_what_a_crashed_run_left_is_no_result():
    plan = synthetic.study(rows=1, seeds=1)
    found = [dataclasses.replace(r, status="crashed") for r in synthetic.records(plan)]
    assert cells.grid(plan, found).cell("cnn, Adam", "16").score == (None, None)


def test_an_empty_grid_has_cells_that_know_nothing():
    cell = cells.grid(synthetic.study(), []).cell("cnn, Adam", "16")
    assert cell.score == (None, None)
    assert cell.middle("median_epoch_seconds") is None
    assert cell.wide_tensors is None


def test_strays_and_older_records_are_counted():
    plan = synthetic.study(rows=1, seeds=2)
    found = synthetic.records(plan)
    stray = dataclasses.replace(found[0], row="another")
    newer = dataclasses.replace(found[0], test_accuracy=0.5)
    grid = cells.grid(plan, [*found, stray, newer])
    assert grid.strays == 2
    assert grid.cell("cnn, Adam", "16").records[0].test_accuracy == 0.5


def test_of_two_records_of_a_run_the_newest_counts_in_any_order():
    """A store of several machines answers newest first."""
    plan = synthetic.study(rows=1, seeds=1)
    sixteen, other = synthetic.records(plan)
    crashed = dataclasses.replace(sixteen, status="crashed", began=1.7e9)
    retried = dataclasses.replace(sixteen, began=1.7e9 + 60)
    unknown = dataclasses.replace(sixteen, status="failed", began=0.0)
    for found in itertools.permutations([crashed, retried, unknown, other]):
        grid = cells.grid(plan, found)
        assert grid.cell("cnn, Adam", "16").records == (retried,)
        assert grid.strays == 2


# Contrasts


def test_a_contrast_is_paired_by_seed():
    plan = synthetic.study(rows=1, seeds=6)
    found = synthetic.records(plan, lead={"16": 0.004})
    grid = cells.grid(plan, list(reversed(found)))
    row = contrasts.contrasts(grid, "16", "32").rows[0]
    by_hand = [
        a.test_accuracy - b.test_accuracy
        for a, b in zip(found[::2], found[1::2], strict=True)
    ]
    assert row.values == by_hand
    wanted = stats.ttest_1samp(by_hand, 0).confidence_interval()
    assert (row.difference.low, row.difference.high) == pytest.approx(tuple(wanted))
    # One row: nothing to correct.
    assert row.p_equivalent == row.p_equivalent_holm > 0.05
    assert row.p_superior == row.p_superior_holm < 0.01
    assert 0.6 < row.ratio.median < 0.72
    assert row.weight_share == 0.5


def test_p_values_are_corrected_over_the_rows():
    plan = synthetic.study(rows=3)
    grid = cells.grid(plan, synthetic.records(plan))
    found = contrasts.contrasts(grid, "16", "32")
    raw = [row.p_equivalent for row in found.rows]
    assert [row.p_equivalent_holm for row in found.rows] == several.holm(raw)
    assert found.pooled == several.pooled([row.values for row in found.rows])


def test_mcnemar_is_that_of_the_recorded_examples():
    plan = synthetic.study(rows=1, seeds=3)
    found = synthetic.records(plan, lead={"16": 0.03})
    row = contrasts.contrasts(cells.grid(plan, found), "16", "32").rows[0]
    seeds = zip(found[::2], found[1::2], strict=True)
    wanted = counts.mcnemar([(a.is_correct, b.is_correct) for a, b in seeds])
    assert row.examples == wanted
    assert row.examples.better > row.examples.worse


def test_failed_runs_are_counted_and_not_dropped():
    plan = synthetic.study(rows=1, seeds=6)
    found = failing(synthetic.records(plan), "16", {0, 1, 2})
    found = failing(failing(found, "32", {2, 3}), "16", {4}, status="crashed")
    row = contrasts.contrasts(cells.grid(plan, found), "16", "32").rows[0]
    assert list(row.differences) == [5]
    assert row.pairs == 6
    assert (row.diverged_alone, row.failed_alone) == (2, 3)
    assert row.other_diverged_alone == 1
    assert row.p_failures == counts.p_of_rates(4, 6, 2, 6)


def test_runs_cut_short_are_no_pair_of_whole_ones():
    plan = synthetic.study(rows=1)
    found = synthetic.records(plan)
    short = dataclasses.replace(found[0].run, epochs=2)
    found[0] = dataclasses.replace(found[0], run=short)
    row = contrasts.contrasts(cells.grid(plan, found), "16", "32").rows[0]
    assert list(row.differences) == [1, 2, 3, 4]


def test_an_arm_may_have_epochs_of_its_own():
    plan = synthetic.study(rows=1)
    longer = Arm(name="16", fields={"precision": "16", "epochs": 12})
    plan = dataclasses.replace(plan, arms=(longer, plan.arms[1]))
    grid = cells.grid(plan, synthetic.records(plan))
    assert len(contrasts.contrasts(grid, "16", "32").rows[0].differences) == 5


def test_times_are_of_one_machine_that_the_run_had_alone():
    plan = synthetic.study(rows=1)
    found = synthetic.records(plan)
    other = {**synthetic.MACHINE, "gpu": "NVIDIA H100"}
    found[0] = dataclasses.replace(found[0], fingerprint=other)
    found[2] = dataclasses.replace(found[2], workers=2)
    row = contrasts.contrasts(cells.grid(plan, found), "16", "32").rows[0]
    assert list(row.ratios) == [2, 3, 4]
    assert row.timed_alone
    shared = [dataclasses.replace(one, workers=2) for one in found]
    row = contrasts.contrasts(cells.grid(plan, shared), "16", "32").rows[0]
    assert len(row.ratios) == 4
    assert not row.timed_alone


# Verdicts on accuracy


@pytest.mark.parametrize(
    ("lead", "spread", "verdict"),
    [
        (0.0, 0.001, claims.CONFIRMED),
        (0.0045, 0.001, claims.NOT_CONFIRMED),
        (-0.02, 0.001, claims.CONTRADICTED),
        (0.02, 0.001, claims.CONTRADICTED),
        (0.0, 0.02, claims.TOO_FEW),
        (-0.006, 0.02, claims.TOO_FEW),
    ],
)
def test_equivalence(lead, spread, verdict):
    plan = synthetic.study(rows=3, seeds=6)
    found = synthetic.records(plan, {"16": lead}, spread, examples=20_000)
    assert judged(plan, found, "equivalent").verdict == verdict


def test_one_row_beyond_the_margin_contradicts():
    plan = synthetic.study(rows=3, seeds=6)
    found = [
        dataclasses.replace(one, test_accuracy=one.test_accuracy - 0.02)
        if (one.row, one.arm) == ("resnet14", "16")
        else one
        for one in synthetic.records(plan, examples=20_000)
    ]
    judgement = judged(plan, found, "equivalent")
    assert judgement.verdict == claims.CONTRADICTED
    assert [r.row for r in judgement.rows_of(claims.CONTRADICTED)] == ["resnet14"]
    others = judged(plan, found, "equivalent", rows=("cnn, Adam", "resnet20"))
    assert others.verdict == claims.CONFIRMED


def test_rows_that_tell_little_alone_contradict_together():
    plan = synthetic.study(rows=12, seeds=3)
    found = synthetic.records(plan, {"16": -0.01}, 0.002, examples=20_000)
    judgement = judged(plan, found, "equivalent")
    assert judgement.rows_of(claims.CONTRADICTED) == []
    assert judgement.found.pooled.high < -plan.margin
    assert judgement.verdict == claims.CONTRADICTED
    found = synthetic.records(plan, {"16": -0.003}, 0.002, examples=20_000)
    judgement = judged(plan, found, "superior")
    assert judgement.rows_of(claims.CONTRADICTED) == []
    assert judgement.verdict == claims.CONTRADICTED


@pytest.mark.parametrize("seeds", [1, 2])
def test_two_seeds_are_too_few(seeds):
    plan = synthetic.study(seeds=seeds)
    found = synthetic.records(plan, lead={"16": 0.01})
    for kind in "equivalent", "superior", "faster", "stable":
        assert judged(plan, found, kind).verdict == claims.TOO_FEW


def shifted(found, arm, leads):
    """The records, an arm's accuracies set to those of 32 with so much added."""
    base = {one.pair: one.test_accuracy for one in found if one.arm == "32"}
    return [
        dataclasses.replace(one, test_accuracy=base[one.pair] + leads[one.pair])
        if one.arm == arm
        else one
        for one in found
    ]


def test_two_pairs_far_away_contradict_nothing_yet():
    plan = synthetic.study(rows=1, seeds=2)
    found = shifted(synthetic.records(plan), "16", (-0.0100, -0.0101))
    for kind in "equivalent", "superior":
        assert judged(plan, found, kind).verdict == claims.TOO_FEW


@pytest.mark.parametrize("kind", ["equivalent", "superior"])
@pytest.mark.parametrize("lead", [-0.006, -0.0001])
def test_three_equal_differences_contradict_nothing_yet(kind, lead):
    plan = synthetic.study(rows=1, seeds=3)
    found = shifted(synthetic.records(plan), "16", (lead,) * 3)
    assert judged(plan, found, kind).verdict == claims.TOO_FEW


def test_one_failure_of_two_seeds_says_nothing():
    plan = synthetic.study(rows=1, seeds=2)
    found = failing(synthetic.records(plan), "16", {1})
    assert judged(plan, found, "equivalent").verdict == claims.TOO_FEW


@pytest.mark.parametrize(
    ("lead", "spread", "verdict"),
    [
        (0.02, 0.001, claims.CONFIRMED),
        (0.0, 0.001, claims.NOT_CONFIRMED),
        (-0.02, 0.001, claims.CONTRADICTED),
        (0.0, 0.02, claims.TOO_FEW),
    ],
)
def test_superiority(lead, spread, verdict):
    plan = synthetic.study(rows=3, seeds=6)
    found = synthetic.records(plan, {"16": lead}, spread, examples=20_000)
    assert judged(plan, found, "superior").verdict == verdict


def test_runs_that_diverge_alone_speak_against_equivalence():
    plan = synthetic.study(rows=1, seeds=9)
    found = synthetic.records(plan, examples=20_000)
    assert judged(plan, found, "equivalent").verdict == claims.CONFIRMED
    for pairs, verdict in (
        ({0}, claims.NOT_CONFIRMED),
        ({0, 1, 2, 3, 4}, claims.CONTRADICTED),
        (set(range(9)), claims.CONTRADICTED),
    ):
        assert (
            judged(plan, failing(found, "16", pairs), "equivalent").verdict == verdict
        )
    crashed = failing(found, "16", {0, 1, 2, 3, 4}, status="crashed")
    assert judged(plan, crashed, "equivalent").verdict == claims.NOT_CONFIRMED
    other = failing(found, "32", {0, 1, 2})
    assert judged(plan, other, "equivalent").verdict == claims.CONFIRMED


def test_where_no_run_trains_nothing_is_confirmed():
    plan = synthetic.study(rows=1)
    found = [synthetic.failed(one) for one in synthetic.records(plan)]
    for kind in "equivalent", "superior", "stable":
        assert judged(plan, found, kind).verdict == claims.NOT_CONFIRMED
    for kind in "faster", "smaller":
        assert judged(plan, found, kind).verdict == claims.TOO_FEW


def test_equal_accuracies_need_five_seeds():
    for seeds, verdict in (4, claims.TOO_FEW), (5, claims.CONFIRMED):
        plan = synthetic.study(rows=1, seeds=seeds)
        found = synthetic.records(plan, test_accuracy=0.8125)
        assert judged(plan, found, "equivalent").verdict == verdict


# Other verdicts


@pytest.mark.parametrize(
    ("bound", "verdict"),
    [(0.6, claims.CONFIRMED), (None, claims.CONTRADICTED), (1.3, claims.CONTRADICTED)],
)
def test_speed(bound, verdict):
    plan = synthetic.study(rows=3, seeds=4)  # 16 takes 1.5 times as long there
    found = synthetic.records(plan)
    assert judged(plan, found, "faster", bound=bound).verdict == verdict
    shared = [dataclasses.replace(one, workers=2) for one in found]
    assert judged(plan, shared, "faster", bound=bound).verdict == claims.NOT_TESTED


def test_speed_of_three_seeds_far_apart_is_too_few_to_say():
    plan = synthetic.study(rows=3, seeds=3)
    found = [
        dataclasses.replace(
            one, median_epoch_seconds=(1.0 if one.arm == "16" else 1.3 + 0.6 * one.pair)
        )
        for one in synthetic.records(plan)
    ]
    assert judged(plan, found, "faster", bound=1.3).verdict == claims.TOO_FEW


def test_speed_at_the_bound_is_not_confirmed():
    plan = synthetic.study(rows=1, seeds=5)
    found = synthetic.records(plan)
    assert judged(plan, found, "faster", bound=2 / 3).verdict == claims.NOT_CONFIRMED


def test_size_needs_one_pair():
    plan = synthetic.study(seeds=1)
    found = synthetic.records(plan)
    for bound, verdict in (
        (0.51, claims.CONFIRMED),
        (0.5, claims.CONFIRMED),
        (None, claims.CONFIRMED),
        (0.49, claims.CONTRADICTED),
    ):
        assert judged(plan, found, "smaller", bound=bound).verdict == verdict
    same = [dataclasses.replace(one, weight_bytes=7) for one in found]
    assert judged(plan, same, "smaller").verdict == claims.CONTRADICTED


def test_stability_needs_runs_and_no_divergence():
    plan = synthetic.study(rows=2, seeds=8)
    found = synthetic.records(plan)
    assert judged(plan, found, "stable").verdict == claims.CONFIRMED
    few = [one for one in found if one.pair < 7]
    assert judged(plan, few, "stable").verdict == claims.TOO_FEW
    one = failing(found, "16", {3}, row="resnet14")
    assert judged(plan, one, "stable").verdict == claims.CONTRADICTED
    both = failing(one, "32", {3}, row="resnet14")
    assert judged(plan, both, "stable").verdict == claims.NOT_CONFIRMED
    crashed = failing(found, "16", {3}, status="crashed")
    assert judged(plan, crashed, "stable").verdict == claims.NOT_CONFIRMED


def test_a_run_as_planned_counts_before_a_later_one_of_another_plan():
    plan = synthetic.study(rows=1, seeds=1)
    first, *others = synthetic.records(plan)
    run = dataclasses.replace(first.run, augmentation="flip")
    stray = dataclasses.replace(first, run=run, began=first.began + 1000)
    longer = dataclasses.replace(
        first,
        run=dataclasses.replace(first.run, epochs=first.run.epochs + 1),
        began=first.began + 500,
    )
    for records in ([first, stray], [stray, first]):
        found = cells.grid(plan, [*records, *others])
        assert found.cell(first.row, first.arm).records == (first,)
        assert found.strays == 1
    found = cells.grid(plan, [longer, first, stray, *others])
    assert found.cell(first.row, first.arm).records == (longer,)


@pytest.mark.parametrize("kind", ["equivalent", "superior", "faster", "stable"])
def test_nothing_was_run_yet(kind):
    plan = synthetic.study()
    assert judged(plan, [], kind).verdict == claims.NOT_TESTED
    alone = [one for one in synthetic.records(plan) if one.arm == "16"]
    assert judged(plan, alone, kind).verdict == claims.NOT_TESTED


def test_an_unknown_kind_is_an_error():
    with pytest.raises(ValueError, match="unknown kind 'prettier'"):
        judged(synthetic.study(), [], "prettier")


def test_equivalence_at_the_margin_is_seldom_confirmed():
    confirmed = 0
    for seed in range(60):
        plan = synthetic.study(rows=1, seeds=5)
        random = np.random.default_rng(seed)
        found = [
            dataclasses.replace(
                one,
                correct="",
                test_accuracy=0.8
                + (one.arm == "16") * plan.margin
                + random.normal(0, 0.002),
            )
            for one in BLANK
        ]
        verdict = judged(plan, found, "equivalent").verdict
        confirmed += verdict == claims.CONFIRMED
    assert confirmed <= 8  # of 60; 9 or more have a chance of 0.3 % at 5 %


BLANK = synthetic.records(synthetic.study(rows=1, seeds=5), examples=100)


# Progress


def test_progress_of_nothing():
    found = progress.progress(cells.grid(synthetic.study(), []))
    assert (found.planned, found.done, found.seeds) == (20, 0, (0, 0))
    assert found.rows == (0, 2)


def test_progress_says_what_differs_from_the_plan():
    plan = synthetic.study(rows=3, arms=("16", "32", "mixed"), seeds=4)
    found = [one for one in synthetic.records(plan) if one.arm != "mixed"]
    found = [one for one in found if one.row != "resnet20" and one.pair < 2][:-1]
    found = [
        dataclasses.replace(
            one,
            run=dataclasses.replace(one.run, epochs=2, learning_rate=0.001),
            workers=1 + one.pair,
        )
        for one in failing(found, "16", {0}, row="cnn, Adam")
    ]
    grid = cells.grid(plan, found)
    seen = progress.progress(grid)
    assert (seen.planned, seen.done, seen.finished, seen.diverged) == (36, 7, 6, 1)
    assert (seen.seeds, seen.rows, seen.arms) == ((1, 2), (2, 3), (2, 3))
    assert seen.changed == {"epochs": ("6", "2")}
    assert (seen.machines, seen.codes, seen.shared) == (1, ("0123abcd",), 3)
    assert progress.fingerprints(grid)["cpu"] == ["AMD EPYC 9R45"]
    assert progress.fingerprints(grid)["gpu"] == []
