"""The time that a study will yet take, from runs that nobody trained."""

import dataclasses

import pytest
import synthetic

from keras16.execution.ledger import Ledger
from keras16.execution.pool import Event, Task
from pipelines import _study_progress
from pipelines._time_left import TimeLeft, of_whole

SECONDS = {"16": 100.0, "32": 40.0, "mixed": 215.0}
PLAN = synthetic.study(rows=2, arms=tuple(SECONDS), seeds=3)
RECORDS = {
    (one.row, one.arm, one.pair): dataclasses.replace(
        one, wall_seconds=SECONDS[one.arm], median_epoch_seconds=None
    )
    for one in synthetic.records(PLAN)
}
FIRST, SECOND = (row.name for row in PLAN.rows)


@pytest.fixture
def tasks(tmp_path):
    ledger = Ledger(tmp_path)
    return [Task(planned, ledger.entry(planned.run)) for planned in PLAN.runs()]


def record(task, **fields):
    planned = task.planned
    found = RECORDS[planned.row, planned.arm, planned.seed]
    return dataclasses.replace(found, **fields)


def of(tasks, row=None, arm=None, seed=None):
    wanted = [
        one
        for one in tasks
        if row in (None, one.planned.row)
        and arm in (None, one.planned.arm)
        and seed in (None, one.planned.seed)
    ]
    assert wanted
    return wanted


def left(tasks, over, workers=1, **fields):
    """Seconds left of the tasks that are not over, by the records of those that are."""
    waiting = [one for one in tasks if one not in over]
    return TimeLeft(waiting, [record(o, **fields) for o in over], workers).seconds()


def test_nothing_is_known_before_the_first_run_ended(tasks):
    assert left(tasks, []) is None
    assert left(tasks, tasks) is None  # and none is left


def test_each_kind_of_run_has_its_own_time(tasks):
    done = of(tasks, seed=0)
    rest = 2 * 2 * sum(SECONDS.values())  # two rows, two seeds
    assert left(tasks, done) == pytest.approx(rest)
    assert left(tasks, done, workers=2) == pytest.approx(rest / 2)


def test_a_row_without_a_run_takes_what_its_precision_takes_elsewhere(tasks):
    done = of(tasks, row=FIRST)
    assert left(tasks, done) == pytest.approx(3 * sum(SECONDS.values()))
    # 16 and 32 are known, mixed is taken for the middle of all.
    known = of(tasks, arm="16") + of(tasks, arm="32")
    assert left(tasks, known) == pytest.approx(6 * (100 + 40) / 2)


def test_an_arm_goes_before_its_precision(tmp_path):
    arms = ("16, stock", "16, ours", "16, plain")
    plan = synthetic.study(rows=1, arms=arms, seeds=2)
    ledger, seconds = Ledger(tmp_path), {"16, stock": 10.0, "16, ours": 90.0}
    tasks = [Task(planned, ledger.entry(planned.run)) for planned in plan.runs()]
    over = [
        dataclasses.replace(
            one, wall_seconds=seconds[one.arm], median_epoch_seconds=None
        )
        for one in synthetic.records(plan)
        if one.pair == 0 and one.arm in seconds
    ]
    waiting = [one for one in tasks if one.planned.seed == 1]
    # Of the third arm nothing is known but its precision.
    assert TimeLeft(waiting, over, 1).seconds() == pytest.approx(10 + 90 + 50)


def test_a_run_that_slept_does_not_count_for_more_than_one(tasks):
    done = of(tasks, arm="32")
    over = [record(one) for one in done]
    slept = dataclasses.replace(over[0], wall_seconds=30_000.0)
    found = TimeLeft(of(tasks, arm="32", row=FIRST)[:1], [slept, *over[1:]], 1)
    assert found.seconds() == pytest.approx(40)


def test_a_failed_run_tells_only_where_none_finished(tasks):
    assert left(tasks, tasks[:3], status="failed") is None  # of an earlier call
    found = TimeLeft(tasks[:3], [], 1)
    found.ended(tasks[0], record(tasks[0], status="failed"), 7.0)
    assert found.seconds() == pytest.approx(14)
    found.ended(tasks[1], record(tasks[1], wall_seconds=90.0), 90.0)
    assert found.seconds() == pytest.approx(90)


def test_the_last_run_is_not_shared_among_workers(tasks):
    *done, last = of(tasks, arm="mixed")
    over = [record(one) for one in done]
    assert TimeLeft([last], over, 4).seconds() == pytest.approx(215)
    other = of(tasks, arm="32")
    over += [record(one) for one in other[1:]]
    assert TimeLeft([last, other[0]], over, 4).seconds() == pytest.approx(215)


class Shown(_study_progress.Silent):
    """A display told of events with a clock of its own."""

    def __init__(self, tasks, over, workers, monkeypatch):
        super().__init__(_study_progress.OfStudy(PLAN, tasks, over, workers))
        self.now = 0.0
        monkeypatch.setattr(_study_progress.time, "monotonic", lambda: self.now)

    def tell(self, kind, task, at, record=None, **values):
        self.now = at
        self.happened(Event(kind, task, values), record)

    def seconds(self):
        return self.count.time_left.seconds()


def test_what_the_runs_in_hand_have_done_is_over(tasks, monkeypatch):
    first, second = of(tasks, arm="mixed", row=FIRST)[:2]
    shown = Shown([first, second], [], 2, monkeypatch)
    shown.tell("begun", first, 0.0)
    shown.tell("begun", second, 0.0)
    shown.tell("started", first, 5.0, steps=10)
    shown.tell("stepped", first, 6.0, epoch=1, step=1)
    shown.tell("ended", first, 200.0, record(first))
    assert shown.seconds() == pytest.approx(200)
    shown.tell("started", second, 201.0, steps=10)
    shown.tell("stepped", second, 202.0, epoch=4, step=5)  # 3.5 of 6
    assert shown.seconds() == pytest.approx(200 * 2.5 / 6)
    shown.tell("epoch", second, 203.0, epoch=6)
    assert shown.seconds() == pytest.approx(0)
    assert shown.count.summary() == "17 of 18 runs"


def test_a_run_that_goes_on_from_a_checkpoint_is_taken_for_a_whole_one(
    tasks, monkeypatch
):
    first, second = of(tasks, arm="mixed", row=FIRST)[:2]
    shown = Shown([first, second], [], 1, monkeypatch)
    shown.tell("begun", first, 0.0)
    shown.tell("started", first, 5.0, steps=10)
    shown.tell("stepped", first, 6.0, epoch=5, step=2)  # 4 of 6 were over
    times = {"first_epoch_seconds": 35.0, "median_epoch_seconds": 29.0}
    shown.tell("ended", first, 66.0, record(first, wall_seconds=52.0, **times))
    assert shown.seconds() == pytest.approx(35 + 5 * 29)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (215.0, 215.0),  # as it went
        (70.0, 190.0),  # it went on from a checkpoint
        (1600.0, 315.0),  # the machine slept between two epochs
    ],
)
def test_the_epochs_of_a_run_tell_what_the_whole_takes(seconds, expected):
    found = dataclasses.replace(
        next(iter(RECORDS.values())),
        compile_seconds=10.0,
        first_epoch_seconds=30.0,
        median_epoch_seconds=30.0,
    )
    assert len(found.epochs) == 6
    assert of_whole(found, seconds) == expected


def test_a_run_that_another_process_finished_tells_its_own_time(tasks, monkeypatch):
    first, second = of(tasks, arm="mixed", row=FIRST)[:2]
    shown = Shown([first, second], [], 1, monkeypatch)
    shown.tell("begun", first, 0.0)
    shown.tell("ended", first, 3.0, record(first))
    assert shown.seconds() == pytest.approx(215)


def test_failures_of_earlier_calls_are_counted(tasks):
    over = [record(one, status="failed") for one in tasks[:2]]
    count = _study_progress.OfStudy(PLAN, tasks[2:], over, 1)
    assert count.summary() == "2 of 18 runs, 2 failed"
