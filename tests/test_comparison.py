"""`compare`: the right sentence for what was measured, and a whole small one."""

import dataclasses
import importlib
import json
import threading

import numpy as np
import pytest
from click.testing import CliRunner

import keras16
from keras16 import cli
from keras16.comparison import files, job, notes, verdict
from keras16.comparison.probe import Probe
from keras16.criterion import Metric
from keras16.errors import UserError
from keras16.execution import child, identity, pool
from keras16.report import comparison as report
from keras16.results import Epoch, Record
from keras16.statistics import pairs
from keras16.study import Run
from pipelines import compare as command

pytestmark = [
    # MLflow's, at the first use of its tables.
    pytest.mark.filterwarnings("ignore:.*noload.*:DeprecationWarning"),
]
COSTS = {"16": (1.0, 50), "32": (1.5, 100), "mixed": (1.2, 100)}


def probes(**changed):
    made = [
        Probe(
            name,
            tensors=100,
            epoch_seconds=seconds,
            weight_bytes=size,
            optimizer_bytes=2 * size,
        )
        for name, (seconds, size) in COSTS.items()
    ]
    return [dataclasses.replace(p, **changed.get(f"p{p.precision}", {})) for p in made]


def records(pairs=6, failed=(), seconds=COSTS, **apart):
    """Runs whose accuracies lie `apart` points (of 100) from float32's."""
    noise = np.random.default_rng(0).normal(0, 0.0005, (3, pairs))
    found = []
    for row, name in enumerate(COSTS):
        for pair in range(pairs):
            accuracy = 0.9 + apart.get(f"p{name}", 0.0) / 100 + noise[row, pair]
            over = "failed" if (name, pair) in failed else "finished"
            found.append(
                Record(
                    study="",
                    row="",
                    arm=name,
                    pair=pair,
                    run=Run(),
                    status=over,
                    val_accuracy=float(accuracy),
                    median_epoch_seconds=seconds[name][0],
                )
            )
    return found


def timed(found, paces, foreign=()):
    """The runs with float32's epoch time divided by the arm's, seed by seed.

    Args:
        found: Of `records`.
        paces: By arm.
        foreign: Arms and seeds beside which something else kept the machine busy.
    """
    return [
        dataclasses.replace(
            one,
            median_epoch_seconds=1 / paces.get(one.arm, [1.0] * 9)[one.pair],
            foreign_cores=0.3 if (one.arm, one.pair) in foreign else 0.02,
        )
        for one in found
    ]


def judged(found, changed=None):
    return verdict.compared(
        probes(**(changed or {})),
        found,
        metric=Metric(),
        margin=0.005,
        epochs=2,
        minutes=1.0,
    )


def test_16_is_used_where_it_is_as_accurate_and_fastest():
    found = judged(records())
    assert [row.verdict for row in found.rows] == ["as accurate", "", "as accurate"]
    assert found.best.precision == "16"
    assert found.verdict.startswith("Use 16: as accurate as 32 (")
    assert "1.5 times as fast" in found.verdict
    assert "mixed is as accurate but 1.2 times as fast" in found.verdict


def test_mixed_is_kept_where_16_is_less_accurate():
    found = judged(records(p16=-2.0))
    assert found.rows[0].verdict == "less accurate"
    assert found.best.precision == "mixed"
    assert found.verdict.startswith("Keep mixed: ")
    assert "16 is 1.99 points" in found.verdict and "less accurate" in found.verdict


def test_32_is_kept_where_the_others_are_slower():
    slow = {"16": (3.0, 50), "32": (1.0, 100), "mixed": (2.0, 100)}
    found = judged(records(seconds=slow))
    assert found.best.precision == "32"
    assert "16 is as accurate but 3 times as slow" in found.verdict
    assert found.verdict.startswith("Keep 32: nothing is known to be gained by another")
    none = judged(records(p16=-2.0, pmixed=-2.0, seconds=slow))
    assert none.verdict.startswith("Keep 32: no other precision is proven as good")


def test_where_every_run_failed_more_minutes_are_no_advice():
    every = [(name, pair) for name in COSTS for pair in range(2)]
    cause = "the loss became NaN at step 3: choose a lower learning rate."
    failed = [
        dataclasses.replace(one, cause=cause) for one in records(pairs=2, failed=every)
    ]
    told = judged(failed).verdict
    assert "6 failed (at 16, 32, mixed): more --minutes will not help." in told
    assert told.endswith(cause) and "give more" not in told
    assert "give more --minutes" in judged([]).verdict


def test_of_equally_fast_ones_the_smaller_is_used():
    same = {name: (1.0, size) for name, (_, size) in COSTS.items()}
    assert judged(records(seconds=same)).best.precision == "16"


FAST = {"16": [1.4, 1.5, 1.6], "mixed": [1.2, 1.25, 1.21]}
EVERY = {(arm, pair) for arm in COSTS for pair in range(3)}


def test_a_speed_is_a_median_of_pairs_with_its_range():
    found = judged(timed(records(pairs=3), FAST))
    row = found.rows[0]
    np.testing.assert_allclose([row.ratio_low, row.ratio, row.ratio_high], FAST["16"])
    assert (row.timed, row.timed_alone, row.pace) == (3, True, "faster")
    assert found.rows[1].pace == "as fast" and found.rows[1].ratio == 1
    assert "Use 16: as accurate as 32 (" in found.verdict
    assert "1.5 times as fast" in found.verdict
    assert "mixed is as accurate but 1.2 times as fast." in found.verdict
    shown = report.table(found)
    assert [line[5] for line in shown] == [
        "1.5 (1.4 to 1.6)",
        "-",
        "1.21 (1.2 to 1.25)",
    ]
    assert "shared" not in str(shown)


def test_of_six_pairs_there_is_an_interval():
    paces = {"16": [1.4, 1.5, 1.6, 1.5, 1.5, 0.9]}  # the range spans 1
    row = judged(timed(records(pairs=6), paces)).rows[0]
    assert (row.timed, row.pace) == (6, "not settled")
    several = {"16": [0.9, *[1.5] * 8]}
    assert judged(timed(records(pairs=9), several)).rows[0].pace == "faster"


def test_times_of_a_busy_machine_decide_nothing():
    fast = {"16": FAST["mixed"], "mixed": FAST["16"]}
    found = judged(timed(records(pairs=3), fast, EVERY))
    assert found.best.precision == "16"  # the smallest
    assert not any(row.timed_alone for row in found.rows)
    assert found.verdict == (
        "Use 16: as accurate as 32 (+0.01 points, margin 0.5), of a speed that is not "
        "settled (the machine was busy; 1.2 to 1.25 times 32's), 0.00015 MB of weights "
        "and slots. mixed is as accurate but larger."
    )
    shown = report.table(found)
    assert shown[0][4:6] == ("0.826 s (shared)", "unclear (1.2 to 1.25)")
    assert shown[1][4] == "1 s (shared)"
    slow = judged(timed(records(pairs=3), {"mixed": [0.5, 0.6, 0.5]}, EVERY))
    assert slow.rows[2].pace == "not settled"


def test_pairs_that_had_the_machine_to_themselves_are_those_that_count():
    paces = {"16": [0.5, 1.5, 1.5, 1.6]}
    found = judged(timed(records(pairs=4), paces, {("32", 0)}))
    row = found.rows[0]
    assert (row.timed, row.timed_alone, row.pace) == (3, True, "faster")
    np.testing.assert_allclose(row.ratio_low, 1.5)


def test_runs_of_two_machines_are_no_pair_in_time():
    elsewhere = [
        dataclasses.replace(one, fingerprint={"cpu": "another"})
        if one.arm == "16"
        else one
        for one in records(pairs=3)
    ]
    row = judged(elsewhere).rows[0]
    assert (row.timed, row.pace, row.verdict) == (0, "not settled", "as accurate")


def test_an_interval_that_spans_1_settles_no_speed():
    paces = {"16": [0.8, 1.6, 1.7], "mixed": [1.3, 1.3, 1.3]}
    found = judged(timed(records(pairs=3), paces))
    assert found.best.precision == "16"
    assert "speed that is not settled (0.8 to 1.7 times 32's)" in found.verdict
    assert "mixed is as accurate and 1.3 times as fast but larger." in found.verdict
    same = judged(timed(records(pairs=3), {"16": [0.97, 1.0, 1.04]}))
    assert same.rows[0].pace == "as fast"
    assert "points, margin 0.5), as fast, " in same.verdict
    two = judged(timed(records(pairs=2), FAST))
    assert two.rows[0].pace == "not settled"


def test_32_is_kept_where_mixed_is_no_smaller_and_its_speed_not_known():
    found = judged(timed(records(pairs=3, p16=-2.0), FAST, EVERY))
    assert found.best.precision == "32"
    assert (
        "mixed is as accurate, of a speed that is not settled (the machine was busy; "
        "1.2 to 1.25 times 32's), but no smaller." in found.verdict
    )


def test_intervals_of_shares_end_at_0_and_100_percent():
    share, error = Metric(), Metric("mae", "val_metric", False, False)
    wide = pairs.difference([0.0, 0.5, 0.75])
    assert report._with_interval(wide, share) == "41.67 (0.00 to 100.00) %"
    assert report._with_interval(wide, error) == "0.4167 ± 0.95"
    near = pairs.difference([0.90, 0.91, 0.92])
    assert report._with_interval(near, share) == "91.00 ± 2.48 %"
    apart = pairs.difference([-0.9, 0.9])
    assert report._apart(apart, share) == "+0.00 (-100.00 to +100.00)"


def test_values_without_spread_have_no_interval():
    same = pairs.difference([0.9, 0.9])
    assert report._with_interval(same, Metric()) == "90.00 %"
    assert report._apart(pairs.difference([0.0, 0.0]), Metric()) == "+0.00 (-)"


def test_what_is_not_pure_is_told_beside_the_table():
    assert "not pure" not in command.as_text(judged(records()))
    wide = judged(records(), {"p16": {"wide_tensors": 2}, "p32": {"wide_tensors": 99}})
    told = "16 is not pure here: 2 of 100 tensors in the training step are wider"
    assert command.as_text(wide).count("not pure") == 1
    assert told in command.as_text(wide)


def test_a_single_failure_is_reason_enough():
    found = judged(records(failed={("16", 2)}))
    assert found.best.precision == "mixed"
    assert "16 failed in 1 of 6 runs" in found.verdict


def test_few_pairs_settle_nothing():
    found = judged(records(pairs=1))
    assert found.best.precision == "32"
    assert "16 is not settled after 1 pair of runs: give" in found.verdict
    assert "times as" not in found.verdict  # one pair settles no speed, either
    assert judged([]).best is None
    assert "give more --minutes" in judged([]).verdict


def test_what_could_not_be_tried_is_told():
    found = judged(records()[6:], {"p16": {"problem": "no memory"}})
    assert "16 could not be tried (no memory)" in found.verdict


def test_a_precision_that_can_not_be_had_leaves_the_others(played, monkeypatch, capsys):
    costs = job.probe

    def refusing(run, _):
        if run.precision == "16":
            raise UserError("layer 'flip' can't be made pure 16-bit.")
        return costs(run)

    monkeypatch.setattr(job, "probe", refusing)
    shown = command.Shown(quiet=False)
    shown.count = command.OfMinutes(Metric(), 4.0)
    with shown:
        found, order = played(minutes=4.0, watcher=shown)
    assert {arm for arm, _ in order} == {"32", "mixed"}
    told = "layer 'flip' can't be made pure 16-bit"
    assert f"keras16: 16 could not be tried: {told}.\n" in capsys.readouterr().err
    assert f"16 could not be tried ({told})" in found.verdict
    assert "not tried" in command.as_text(found)


def test_what_float32_can_not_do_either_is_an_error(played, monkeypatch):
    def broken(run, _):
        raise UserError("no such net.")

    monkeypatch.setattr(job, "probe", broken)
    with pytest.raises(UserError, match=r"no such net\."):
        played(minutes=4.0)


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([], "unclear"),
        ([0.0], "unclear"),
        ([0.001, -0.001, 0.0005, 0.0], "as accurate"),
        ([0.02, -0.02, 0.03, -0.01], "unclear"),
        ([-0.02, -0.021, -0.019], "less accurate"),
        ([0.02, 0.021, 0.019], "more accurate"),
        ([-0.02, -0.02], "unclear"),  # t would be sure of what has no spread
        ([-0.02] * 6, "less accurate"),
    ],
)
def test_verdicts(differences, expected):
    assert verdict.verdict(differences, 0.005) == expected


NAN = float("nan")


def of(found, arms, pairs=range(9)):
    """The runs of some arms and seeds."""
    return [one for one in found if one.arm in arms and one.pair in pairs]


def test_where_32_has_no_run_yet_that_is_told_and_what_the_others_have():
    told = judged(of(records(pairs=1), ["16"])).verdict
    assert told == (
        "Nothing can be told: 32 has no run that is over: give more --minutes. 16 "
        "finished 1 of 1 runs; mixed has no run that is over."
    )
    crashed = of(records(pairs=1, failed={("16", 0)}), ["16"])
    told = judged(crashed).verdict
    assert "will not help" not in told and "16 failed in 1 of 1 runs" in told


def test_where_32_fails_the_others_are_not_said_to_have_failed():
    cause = "the loss became NaN at step 3: choose a lower learning rate."
    every = {("32", pair) for pair in range(3)}
    found = [
        dataclasses.replace(one, cause=cause if one.arm == "32" else "")
        for one in records(pairs=3, failed=every)
    ]
    assert judged(found).verdict == (
        f"Nothing can be told: 32 failed in 3 of 3 runs ({cause[:-1]}). 16 finished 3 "
        "of 3 runs; mixed finished 3 of 3 runs."
    )
    once = judged(records(pairs=3, failed={("32", 2)}, p16=-2.0, pmixed=3.0))
    told = once.verdict
    assert once.best.precision == "mixed"
    assert "32 failed in 1 of 3 runs" in told
    none = judged(of(records(pairs=2, failed={("32", 1)}), ["16", "32"])).verdict
    assert none == (
        "Nothing can be told: 32 failed in 1 of 2 runs. 16 is not settled after 1 pair "
        "of runs: give more --minutes; mixed has no run that is over."
    )


def test_where_32_can_not_be_tried_that_is_told():
    problem = {"p32": {"problem": "was ended by signal 9"}}
    told = judged(of(records(pairs=3), ["16", "mixed"]), problem).verdict
    assert told == (
        "Nothing can be told: 32 could not be tried (was ended by signal 9). 16 "
        "finished 3 of 3 runs; mixed finished 3 of 3 runs."
    )
    every = [("16", 0), ("mixed", 0)]
    failed = judged(of(records(pairs=1, failed=every), ["16", "mixed"]), problem)
    assert "16 failed in 1 of 1 runs; mixed failed in 1 of 1" in failed.verdict
    assert judged([], problem).verdict.startswith(
        "Nothing can be told: 32 could not be tried (was ended by signal 9)."
    )


def numberless(found, arms):
    return [
        dataclasses.replace(one, val_accuracy=NAN) if one.arm in arms else one
        for one in found
    ]


def test_a_finished_run_without_a_number_has_failed():
    found = judged(numberless(records(), ["16"]))
    row = found.rows[0]
    assert (row.failures, row.runs, row.scores) == (6, 6, ())
    assert row.cause == "its validation accuracy is no number"
    assert found.best.precision == "mixed"
    assert (
        "16 failed in 6 of 6 runs (its validation accuracy is no number)"
        in found.verdict
    )
    told = judged(numberless(records(pairs=3), COSTS)).verdict
    assert "give more" not in told and "trained to the end" not in told
    assert "9 failed (at 16, 32, mixed): more --minutes will not help" in told
    assert told.endswith("its validation accuracy is no number.")


def test_runs_without_a_number_are_counted_as_failed_while_they_last():
    count = command.OfMinutes(Metric(), 1.0)
    for one in numberless(records(pairs=1), ["16"]):
        count.ended(None, one, 1.0)
    assert count.summary().startswith("3 runs, 1 failed, ")


def test_a_speed_of_which_no_pair_was_timed_is_told_so():
    elsewhere = [
        dataclasses.replace(one, fingerprint={"cpu": one.arm}) for one in records()
    ]
    assert "of a speed that is not settled (0 pairs of runs timed), " in (
        judged(elsewhere).verdict
    )
    untimed = timed(records(), {})
    untimed = [dataclasses.replace(one, median_epoch_seconds=0.0) for one in untimed]
    busy = {f"p{name}": {"foreign_cores": 1.0} for name in COSTS}
    assert "(0 pairs of runs timed)" in judged(untimed, busy).verdict


def test_of_equally_large_and_fast_ones_the_more_accurate_is_used():
    same = {name: (1.0, size) for name, (_, size) in COSTS.items()}
    found = judged(records(seconds=same, p16=-2.0, pmixed=2.0))
    assert found.best.precision == "mixed"
    assert found.verdict.startswith("Keep mixed: more accurate than 32 (+1.96 points")
    # Keras' loss scale is a few bytes, and no reason.
    scale = {"pmixed": {"optimizer_bytes": 202}}
    assert judged(
        records(seconds=same, p16=-2.0, pmixed=2.0), scale
    ).best.precision == ("mixed")
    assert judged(records(seconds=same, p16=-2.0), scale).best.precision == "32"


def test_32_is_kept_by_its_size_or_speed_beside_a_more_accurate_one():
    same = {name: (1.0, size) for name, (_, size) in COSTS.items()}
    larger = {"pmixed": {"optimizer_bytes": 400}}
    told = judged(records(seconds=same, p16=-2.0, pmixed=2.0), larger).verdict
    assert told == (
        "Keep 32: what is more accurate here is larger, or slower. 16 is 1.99 points "
        "less accurate; mixed is more accurate and as fast but larger."
    )
    slow = {"16": (3.0, 50), "32": (1.0, 100), "mixed": (2.0, 100)}
    told = judged(records(seconds=slow, pmixed=2.0)).verdict
    assert told == (
        "Keep 32: what is more accurate here is larger, or slower. 16 is as accurate "
        "but 3 times as slow; mixed is more accurate but 2 times as slow."
    )


# --- The job, its processes played


@pytest.fixture
def played(monkeypatch, tmp_path):
    """Probes and runs that take no time; the clock moves 30 s for each run."""
    clock = [0.0]
    monkeypatch.setattr(job.time, "monotonic", lambda: clock[0])
    order, probed, fields = [], [], {}

    def probe(run, _=None):
        cost = COSTS[run.precision][0]
        size = COSTS[run.precision][1]
        probed.append(run.precision)
        return Probe(
            run.precision,
            epoch_seconds=cost,
            compile_seconds=1.0,
            weight_bytes=size,
        )

    def train(tasks, *, workers, stop):
        for task in tasks:
            assert task.entry.record() is None
            clock[0] += 30.0
            order.append((task.planned.arm, task.planned.seed))
            yield pool.Event("begun", task)
            record = Record(
                study="",
                row="",
                arm="",
                pair=0,
                run=task.planned.run,
                status="finished",
                val_accuracy=0.9,
                median_epoch_seconds=1.0,
                wall_seconds=22.0,
            )
            task.entry.write(dataclasses.replace(record, **fields))
            yield pool.Event("ended", task)

    monkeypatch.setattr(job, "probe", probe)
    monkeypatch.setattr(pool, "train", train)

    def compare(build="cnn", **options):
        order.clear()
        probed.clear()
        folder = tmp_path / "mlruns"
        return job.compare(build, "mnist5k", folder=folder, **options), order

    compare.probed, compare.fields = probed, fields
    return compare


def test_a_run_is_expected_to_take_what_the_last_one_took(played, monkeypatch):
    monkeypatch.setattr(job, "START_SECONDS", 1000.0)  # starts are faster than feared
    _, order = played(minutes=4.0)
    assert len(order) == 6


def test_seeds_are_interleaved_until_the_time_is_up(played):
    found, order = played(minutes=4.0)
    assert order == [
        ("16", 0),
        ("32", 0),
        ("mixed", 0),
        ("32", 1),  # each begins in turn
        ("mixed", 1),
        ("16", 1),
    ]
    assert [row.runs for row in found.rows] == [2, 2, 2]
    assert found.epochs == 8


def test_a_thousand_seeds_are_not_planned_at_once(played, monkeypatch):
    whole = job.Study.runs
    monkeypatch.setattr(
        job.Study, "runs", lambda self: whole(self) if self.seeds == 1 else None
    )
    assert len(played(minutes=4.0)[1]) == 6


def test_asking_again_goes_on_from_there(played):
    played(minutes=4.0)
    found, order = played(minutes=3.5)
    assert set(order) == {(name, seed) for name in COSTS for seed in (2, 3)}
    assert [row.runs for row in found.rows] == [4, 4, 4]


def test_what_is_over_counts_however_few_minutes_there_are(played):
    before, _ = played(minutes=4.0)
    found, order = played(minutes=0.001)
    assert order == []
    assert [row.runs for row in found.rows] == [2, 2, 2]
    for one, two in zip(before.rows, found.rows, strict=True):
        assert one.scores == two.scores
    assert "Nothing was trained" not in found.verdict
    stop = threading.Event()
    stop.set()
    assert [row.runs for row in played(stop=stop)[0].rows] == [2, 2, 2]


def test_a_seed_that_was_broken_off_counts_and_is_gone_on_with(played, tmp_path):
    played(minutes=4.0)
    (gone,) = (tmp_path / "mlruns" / "runs").glob("*-mixed-*-s1-*/*/record.json")
    gone.unlink()
    found, order = played(minutes=0.1)  # a run takes half a minute
    assert order == [] and [row.runs for row in found.rows] == [2, 2, 1]
    found, order = played(minutes=0.6)
    assert order == [("mixed", 1)] and [row.runs for row in found.rows] == [2, 2, 2]


def test_of_the_first_seed_a_run_begins_as_long_as_time_is_left(played):
    found, order = played(minutes=0.4)  # a run takes half a minute
    assert order == [("16", 0)]
    assert "32 has no run that is over: give more --minutes" in found.verdict
    assert played(minutes=0.6)[1] == [("32", 0), ("mixed", 0)]
    assert played(minutes=0.6)[1] == []  # a seed takes longer


def rewritten(folder, pattern, **fields):
    """Other fields for the records of runs that are over."""
    for file in (folder / "mlruns" / "runs").glob(f"{pattern}/*/record.json"):
        file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


EPOCHS = [
    dataclasses.asdict(Epoch(number, 0.1, 0.9, 0.1, 0.9, 20.0, 0.001))
    for number in range(1, 9)
]
LONG = {"first_epoch_seconds": 20.0, "median_epoch_seconds": 20.0, "epochs": EPOCHS}


def test_a_run_that_went_on_from_a_checkpoint_is_taken_for_a_whole_one(
    played, tmp_path
):
    played(minutes=4.0)
    rewritten(tmp_path, "*", **LONG)  # 160 s, 22 of them in its last process
    assert played(minutes=8.3)[1] == []
    assert played(minutes=8.5)[1][:3] == [("mixed", 2), ("16", 2), ("32", 2)]


def test_so_is_one_of_this_call(played):
    played.fields |= {**LONG, "epochs": tuple(Epoch(**each) for each in EPOCHS)}
    assert len(played(minutes=9.4)[1]) == 3  # 7.9 are left then, and 8 are needed
    assert len(played(minutes=9.6, optimizer="sgd")[1]) == 6


KILLED = {
    "status": "crashed",
    "cause": f"its process was ended by signal 9: {pool.AGAIN}",
    "val_accuracy": None,
}


def test_a_run_that_crashed_is_trained_again_when_asked_again(played):
    played.fields |= KILLED
    found, order = played(minutes=4.0)
    assert len(order) == len(set(order)) == 6  # not again in the same call
    assert [row.failures for row in found.rows] == [2, 2, 2]
    assert "the same comparison trains it again" in found.verdict
    assert "study run" not in found.verdict
    played.fields.clear()
    found, order = played(minutes=4.0)
    assert order[:3] == [("16", 0), ("32", 0), ("mixed", 0)]
    assert [row.failures for row in found.rows] == [0, 0, 0]
    assert [row.runs for row in found.rows] == [2, 2, 2]


def test_a_crash_counts_until_there_is_time_to_train_it_again(played, tmp_path):
    played(minutes=4.0)
    rewritten(tmp_path, "*-16-*-s1-*", **KILLED)
    found, order = played(minutes=0.1)
    assert order == [] and [row.failures for row in found.rows] == [1, 0, 0]
    found, order = played(minutes=0.6)
    assert order == [("16", 1)] and [row.failures for row in found.rows] == [0, 0, 0]


def test_a_run_that_diverged_is_not_trained_again(played):
    played.fields |= {**KILLED, "status": "failed", "cause": "the loss became NaN"}
    played(minutes=1.2)
    assert played(minutes=0.4)[1] == []


def test_a_probe_is_kept_for_this_code_and_this_machine(played, monkeypatch):
    played(minutes=0.001)
    assert played.probed == ["16", "32", "mixed"]
    found, _ = played(minutes=0.001, precisions=("16",))
    assert played.probed == [] and found.rows[0].weight_bytes == 50
    monkeypatch.setattr(notes.hardware, "cpu_model", lambda: "another")
    played(minutes=0.001)
    assert played.probed == ["16", "32", "mixed"]
    monkeypatch.setattr(identity, "code", lambda: "other")
    played(minutes=0.001)
    assert played.probed == ["16", "32", "mixed"]
    played(minutes=0.001, optimizer="sgd")
    assert played.probed == ["16", "32", "mixed"]


def test_what_was_measured_of_an_edited_net_is_not_kept(played, monkeypatch, tmp_path):
    costs = job.probe

    def edited(run, _):
        monkeypatch.setattr(identity, "code_by_now", lambda: "another")
        return costs(run)

    monkeypatch.setattr(job, "probe", edited)
    with pytest.raises(UserError, match="has changed meanwhile: start again"):
        played(minutes=4.0)
    monkeypatch.setattr(job, "probe", costs)
    played(minutes=0.001)
    assert played.probed == ["16", "32", "mixed"]  # 16 again


def test_a_probe_that_is_stopped_is_none(played, monkeypatch):
    def stopped(run, stop):
        raise child.Stopped

    monkeypatch.setattr(job, "probe", stopped)
    found, order = played(minutes=4.0)
    assert order == [] and found.rows == ()


def test_a_problem_is_tried_again(played, monkeypatch):
    costs = job.probe
    monkeypatch.setattr(
        job,
        "probe",
        lambda run, _: dataclasses.replace(costs(run), problem="no memory"),
    )
    played(minutes=0.001)
    monkeypatch.setattr(job, "probe", costs)
    found, _ = played(minutes=0.001)
    assert played.probed == ["16", "32", "mixed"]
    assert not any(row.problem for row in found.rows)


def test_runs_of_other_code_are_told_and_not_counted(played, tmp_path):
    (tmp_path / "net.py").write_text("def build(): return 1\n")
    build = f"{tmp_path / 'net.py'}:build"
    played(build, minutes=4.0)
    (tmp_path / "notes.py").write_text("# note\n")
    found, order = played(build, minutes=0.001)
    assert (found.other_code, order) == (0, [])
    assert [row.runs for row in found.rows] == [2, 2, 2]
    (tmp_path / "net.py").write_text("def build(): return 22\n")
    found, order = played(build, minutes=1.1)
    assert found.other_code == 6 and len(order) == 3
    assert [row.runs for row in found.rows] == [1, 1, 1]
    told = "6 earlier runs are of other code and not counted.\n"
    assert told in command.as_text(found)
    assert played(build, minutes=0.001, optimizer="sgd")[0].other_code == 0
    longer, _ = played(build, minutes=0.001, epochs=3)
    assert longer.other_code == 6  # those of another length are no other code


def test_runs_of_another_version_of_keras16_are_told(played, monkeypatch):
    played(minutes=4.0)
    monkeypatch.setattr(identity, "code", lambda: "other")
    found, _ = played(minutes=0.001)
    assert found.other_code == 6


def test_epochs_that_were_chosen_stay_though_others_were_asked_for(played):
    chosen = played(minutes=4.0)[0].epochs
    assert played(minutes=4.0, epochs=3)[0].epochs == 3
    found, _ = played(minutes=0.001)
    assert (found.epochs, found.rows[0].runs) == (chosen, 2)


def test_epochs_are_not_chosen_by_half_the_probes(played):
    stop = threading.Event()
    stop.set()
    played(minutes=2.0, stop=stop)
    assert played(minutes=2.0)[0].epochs < 8


def test_epochs_are_chosen_by_the_time_and_remembered(played):
    found, _ = played(minutes=2.0)
    assert 1 <= found.epochs < 8
    again, _ = played(minutes=60.0)
    assert again.epochs == found.epochs
    asked, _ = played(minutes=2.0, epochs=5)
    assert asked.epochs == 5


def test_float32_is_always_among_them(played):
    found, _ = played(minutes=1.0, precisions=("float16",))
    assert [row.precision for row in found.rows] == ["16", "32"]


def test_nothing_begins_once_it_is_stopped(played):
    stop = threading.Event()
    stop.set()
    found, order = played(minutes=5.0, stop=stop)
    assert order == []
    assert found.best is None


def test_bad_input_is_told_in_one_line():
    with pytest.raises(UserError, match="compare takes no 'colour': there are aug"):
        keras16.compare("cnn", "mnist5k", colour="red")
    with pytest.raises(UserError, match="takes no 'precision'"):
        keras16.compare("cnn", "mnist5k", precision="16")
    with pytest.raises(UserError, match="nothing is held out to judge by"):
        keras16.compare("cnn", "mnist5k", validation=0.0)
    with pytest.raises(UserError, match="no precision '17'"):
        keras16.compare("cnn", "mnist5k", precisions=("17",))
    with pytest.raises(UserError, match="build is int: give a function"):
        keras16.compare(3, "mnist5k")
    with pytest.raises(UserError, match="data must be"):
        keras16.compare("cnn", 3)
    with pytest.raises(UserError, match="can't be handed to another process"):
        lock = threading.Lock()
        keras16.compare(lambda: lock, "mnist5k")


def test_arrays_that_can_not_be_used_are_told_in_one_line(tmp_path):
    import ml_dtypes

    x = np.arange(400, dtype="float32").reshape(100, 4)
    y = np.arange(100) % 2
    bfloat16 = x.astype(ml_dtypes.bfloat16)
    wrong = {
        "x has 90 examples and y 100 targets: give one": (x[:90], y),
        "x has 100 examples and y 90 targets: give one": (x, y[:90]),
        "x_test has 9 examples and y_test 10": ((x, y), (x[:9], y[:10])),
        "x is of dtype bfloat16, .*x.astype\\('float32'\\)": (bfloat16, y),
        "y is of dtype object, .*y.astype\\('float32'\\)": (x, y.astype(object)),
        "y is NoneType: give an array": (x, None),
        "y is int: give an array": (x, 3),
        "x holds no example: give at least one": (x[:0], y[:0]),
        "y can't be read as one array: give all its rows": (x, [[1], [1, 2]] * 50),
        "data must be": (x, y, x),
    }
    for words, data in wrong.items():
        with pytest.raises(UserError, match=words) as told:
            files.named("cnn", data, tmp_path)
        assert len(str(told.value).splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("minutes", [float("nan"), float("inf"), 0, -1.0, "10", None])
def test_minutes_are_a_number_above_0(minutes):
    with pytest.raises(UserError, match=rf"minutes is {minutes!r}: give a number ab"):
        keras16.compare("cnn", "mnist5k", minutes=minutes)


@pytest.mark.parametrize("epochs", [0, -1, 1.5, "2", True])
def test_epochs_are_whole_and_at_least_1(epochs):
    with pytest.raises(UserError, match=rf"epochs is {epochs!r}: give a whole number"):
        keras16.compare("cnn", "mnist5k", epochs=epochs)


def test_epochs_may_be_a_number_of_numpy(played):
    assert played(minutes=1.0, epochs=np.int64(3))[0].epochs == 3


# --- For real


def test_a_function_and_arrays_are_files_for_other_processes(tmp_path):
    x = np.arange(400, dtype="float32").reshape(100, 4)
    y = np.arange(100) % 2
    model, dataset = files.named(lambda: 7, (x, y), tmp_path)
    from keras16 import data, user_code

    assert user_code.load_function(model)() == 7
    loaded = data.load(dataset)
    assert (len(loaded.x_train), len(loaded.x_test)) == (90, 10)
    assert np.bincount(loaded.y_test).tolist() == [5, 5]
    assert files.named(lambda: 7, (x, y), tmp_path)[1] == dataset
    one_hot = files.named("cnn", (x, np.eye(2)[y]), tmp_path)[1]
    assert data.load(one_hot).y_test.shape == (10,)


def test_a_file_for_other_processes_is_whole_and_written_once(tmp_path):
    x = np.arange(400, dtype="float32").reshape(100, 4)
    y = np.arange(100) % 2

    def build():
        return 7

    made = files.named(build, (x, y), tmp_path)
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(path.suffix for path in kept) == [".npz", ".pkl", ".py"]
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in kept}
    assert files.named(build, (x, y), tmp_path) == made
    assert before == {
        path: (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    (torn,) = tmp_path.rglob("*.pkl")
    torn.write_bytes(torn.read_bytes()[:9])  # as a process of before left it
    files.named(build, (x, y), tmp_path)
    from keras16 import user_code

    assert user_code.load_function(made[0])() == 7


def test_two_processes_that_write_one_file_leave_it_whole(tmp_path, monkeypatch):
    file = tmp_path / "data.npz"
    other = files.os.getpid() + 1

    def slow(part):
        part.write(b"ours, ")
        with monkeypatch.context() as patch:  # another one is faster
            patch.setattr(files.os, "getpid", lambda: other)
            files.write_whole(file, lambda part: part.write(b"theirs"))
        assert file.read_bytes() == b"theirs"
        part.write(b"whole")

    files.write_whole(file, slow)
    assert file.read_bytes() == b"ours, whole"
    assert [path.name for path in tmp_path.iterdir()] == ["data.npz"]

    def failing(part):
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        files.write_whole(file, failing)
    assert [path.name for path in tmp_path.iterdir()] == ["data.npz"]


def test_a_function_of_a_module_is_known_by_what_that_imports(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_nets.py").write_text("import own_widths\ndef build(): return 7\n")
    (tmp_path / "own_widths.py").write_text("width = 1\n")
    own_nets = importlib.import_module("own_nets")

    def digest():
        return files.part(own_nets.build, "build", "net", tmp_path / "kept")

    before = digest()
    (tmp_path / "notes.py").write_text("# note\n")
    assert digest() == before
    (tmp_path / "own_widths.py").write_text("width = 22\n")
    assert digest() != before


def test_a_whole_comparison_of_a_function_and_arrays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    y = np.arange(600) % 2
    x = (random.normal(size=(600, 4)) + 3 * y[:, None]).astype("float32")
    width = 3

    def build(input_shape, classes):
        import keras

        return keras.Sequential(
            [
                keras.Input(input_shape),
                keras.layers.Dense(width, activation="relu"),
                keras.layers.Dense(classes, activation="softmax"),
            ]
        )

    seen, stop = [], threading.Event()

    class Seen(job._Silent):
        def probed(self, found):
            seen.extend(found)

        def happened(self, event, record):
            if record is not None:
                stop.set()

    found = keras16.compare(
        build,
        (x, y),
        minutes=5.0,
        precisions=("32",),
        epochs=2,
        watcher=Seen(),
        stop=stop,
    )
    assert [(p.precision, p.problem) for p in seen] == [("32", "")]
    assert all(p.epoch_seconds > 0 and p.tensors > 0 for p in seen)
    (row,) = found.rows
    assert row.runs >= 1 and row.scores[0] > 0.8
    assert found.best is row


def test_a_folder_that_takes_no_file_is_refused_before_anything_is_measured(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlruns").touch()
    done = CliRunner().invoke(cli.cli, ["compare", "--minutes", "4"])
    assert done.exit_code == 2
    assert done.stderr == (
        "keras16: what it comes to can't be written in mlruns/compare (Not a "
        "directory): start keras16 in another folder.\n"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--dataset", "none.npz"], "there is no file none.npz: make it"),
        (["--dataset", "none.py:load"], "there is no file none.py: check the path"),
        (["--model", "none.py:build"], "there is no file none.py: check the path"),
        (["--model", "none.keras"], "no file none.keras: give the path"),
        (["--loss", "none.py:loss"], "there is no file none.py: check the path"),
    ],
)
def test_a_file_that_is_missing_is_told_before_anything_is_measured(
    tmp_path, monkeypatch, options, words
):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.cli, ["compare", *options])
    assert done.exit_code == 2, done.output
    assert words in done.stderr and len(done.stderr.splitlines()) == 1


def test_the_command_tells_a_table_and_a_sentence(played, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    done = runner.invoke(cli.cli, ["compare", "--minutes", "4"])
    assert done.exit_code == 0, done.output
    assert "wide tensors" in done.stderr  # what is known first
    assert "keras16: mixed, seed 1: validation accuracy 90.00 %" in done.stderr
    assert "Keep 32" in done.stdout and "Browse the run: " in done.stdout
    told = json.loads(runner.invoke(cli.cli, ["compare", "--json"]).stdout)
    assert told["best"] == "16"  # now there are pairs enough
    assert [row["precision"] for row in told["rows"]] == ["16", "32", "mixed"]
    assert told["verdict"]
    again = runner.invoke(cli.cli, ["compare", "--minutes", "0.01"])
    assert "keras16: 16, 32, mixed as measured before\n" in again.stderr
    assert told["rows"][0]["runs"] > 2 and "Use 16" in again.stdout
    wrong = runner.invoke(cli.cli, ["compare", "--precisions", "16,17"])
    assert wrong.exit_code == 2 and "no precision '17'" in wrong.stderr


def test_what_mlflow_lacks_is_sent_by_the_same_command(played, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "store").touch()  # no folder can be made there
    uri = f"sqlite:///{tmp_path / 'store' / 'mlflow.db'}"
    line = ["compare", "--minutes", "4", "--tracking-uri", uri]
    done = CliRunner().invoke(cli.cli, line)
    assert done.exit_code == 1, done.output
    assert "the same `keras16 compare` again sends what is missing" in done.stderr
    assert "study run" not in done.output and "Keep 32" in done.stdout
