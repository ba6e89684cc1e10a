"""tune-epsilon: the grid, the verdict, the report, and one small sweep for real."""

import json
import threading

import pytest
from click.testing import CliRunner
from runs import fresh

from keras16 import cli, tuning
from keras16.errors import UserError
from keras16.report import epsilons
from keras16.study import Run


def trial(epsilon, seed, accuracy, precision="16"):
    """One training; None is one that diverged."""
    failed = accuracy is None
    return tuning.Trial(
        run=Run(precision=precision, epsilon=epsilon, seed=seed),
        status="failed" if failed else "finished",
        cause="the loss became NaN" if failed else "",
        val_accuracy=accuracy,
        val_loss=None if failed else 0.1,
        validation_examples=400,
        epochs=() if failed else ((0.2, 0.8), (0.1, accuracy)),
        seconds=None if failed else 1.5,
    )


def swept(table, baseline=(0.95, 0.96), margin=0.005):
    """A sweep of {epsilon: accuracies}, one for each seed."""
    return tuning.Sweep(
        run=Run(),
        epsilons=tuple(table),
        seeds=tuple(range(len(baseline))),
        margin=margin,
        baseline=tuple(trial(1e-7, i, a, "32") for i, a in enumerate(baseline)),
        trials=tuple(trial(e, i, a) for e, v in table.items() for i, a in enumerate(v)),
    )


# The grid


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ((1e-3, 1, 1), (1e-3, 1e-2, 1e-1, 1.0)),
        ((1e-2, 1e-1, 2), (1e-2, 0.0316228, 1e-1)),
        ((2e-3, 1e-2, 1), (2e-3, 1e-2)),
        ((1e-4, 1e-4, 1), (1e-4,)),
    ],
)
def test_grid_is_even_and_holds_both_ends(given, wanted):
    assert tuning.grid(*given) == pytest.approx(wanted, rel=1e-5)


def test_default_grid_has_the_decades_themselves():
    assert tuning.grid(1e-10, 1, 1) == tuple(
        float(f"1e-{n}") for n in range(10, -1, -1)
    )


@pytest.mark.parametrize("ends", [(1, 0.1), (0, 1), (-1, 1), (1, float("inf"))])
def test_ends_that_are_no_range_are_refused(ends):
    with pytest.raises(UserError, match="give a range"):
        tuning.grid(*ends, 1)


# The verdict


@pytest.mark.parametrize(
    ("accuracies", "verdict"),
    [
        ((0.95, 0.96), "as float32"),
        ((0.945, 0.955), "unclear, as float32"),  # the very margin
        ((0.944, 0.954), "unclear, worse"),  # seeds that agree by chance
        ((0.93, 0.94), "worse"),
        ((0.97, 0.92), "unclear, worse"),
        ((0.93, 0.98), "unclear, as float32"),
        ((None, 0.99), "diverged"),
        ((0.99,), ""),
    ],
)
def test_an_epsilon_is_judged_against_float32_by_its_seeds(accuracies, verdict):
    (row,) = swept({1e-4: accuracies}).rows()
    assert row.verdict == verdict
    assert row.is_good is verdict.endswith("as float32")


def test_numbers_of_a_row():
    (row,) = swept({1e-4: (0.94, 0.96)}).rows()
    assert row.mean == pytest.approx(0.95)
    assert row.deviation == pytest.approx(0.02 / 2**0.5)
    assert row.difference == pytest.approx(-0.005)
    assert row.standard_error == pytest.approx(0.005)  # paired: -0.01 and 0


def test_seeds_that_agree_are_no_surer_than_their_examples():
    """A difference of 0.04 takes 16 of 400 examples: 4 of them by chance, a seed."""
    (row,) = swept({1e-4: (0.91, 0.92)}).rows()
    assert row.standard_error == pytest.approx((4 / 400) / 2**0.5)


def test_one_seed_has_no_spread():
    (row,) = swept({1e-4: (0.95,)}, baseline=(0.95,)).rows()
    assert row.verdict == "as float32"
    assert row.deviation is None
    assert row.standard_error == pytest.approx(1 / 400)  # of one example


def test_resolution_is_that_of_the_validation_examples():
    sweep = swept({1e-4: (0.9,)}, baseline=(0.9,))
    assert sweep.resolution == pytest.approx((0.9 * 0.1 / 400) ** 0.5)


def test_range_is_the_longest_run_of_neighbours():
    good, bad = (0.96, 0.96), (0.5, 0.5)
    sweep = swept({1e-8: good, 1e-7: bad, 1e-6: good, 1e-5: good, 1e-4: bad})
    assert sweep.range() == (1e-6, 1e-5)
    assert swept({1e-8: bad}).range() is None


def test_without_float32_nothing_is_judged():
    sweep = swept({1e-4: (0.9, 0.9)}, baseline=(0.95, None))
    assert sweep.baseline_mean is None
    assert sweep.range() is None
    assert "itself diverged" in epsilons.verdict(sweep)


# The sweep


class Worker:
    """Trains in no time; remembers what it was asked."""

    asked: list = []

    def __init__(self, precision):
        self.precision = precision

    def __enter__(self):
        return self

    def __exit__(self, *error):
        Worker.asked.append(f"end {self.precision}")

    def check(self, run, stop):
        Worker.asked.append("check")
        return True

    def train(self, run, stop):
        Worker.asked.append((run.precision, run.epsilon, run.seed))
        if stop.is_set():
            return None
        return trial(run.epsilon or 1e-7, run.seed, 0.9, run.precision)


def test_float32_comes_first_and_then_every_epsilon(monkeypatch):
    monkeypatch.setattr(Worker, "asked", [])
    plan = tuning.Sweep(Run(rounding="kahan"), (1e-8, 1e-4), (0, 1), 0.005)
    *_, last = tuning.sweep(plan, start=Worker)
    own = [("16", epsilon, seed) for epsilon in (1e-8, 1e-4) for seed in (0, 1)]
    float32 = [("32", None, 0), ("32", None, 1)]
    assert Worker.asked == ["check", *float32, "end 32", *own, "end 16"]
    assert (len(last.baseline), len(last.trials)) == (2, 4)
    assert last.range() == (1e-8, 1e-4)


def test_a_stop_keeps_what_was_trained():
    stop = threading.Event()
    plan = tuning.Sweep(Run(), (1e-8, 1e-4), (0,), 0.005)
    kept = []
    for so_far in tuning.sweep(plan, start=Worker, stop=stop):
        kept.append(so_far)
        if so_far.trials:
            stop.set()
    assert [(len(s.baseline), len(s.trials)) for s in kept] == [(1, 0), (1, 1)]
    assert kept[-1].rows()[0].verdict == "as float32"
    assert kept[-1].rows()[1].verdict == ""


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"optimizer": "sgd"}, "sgd has no epsilon"),
        ({"validation": 0.0}, "--validation"),
    ],
)
def test_what_cannot_be_tuned_is_refused_before_anything_is_trained(fields, words):
    with fresh(), pytest.raises(UserError, match=words):
        tuning.prepared(Run(model="dnn", epsilon=1e-3, **fields))


# The report

SWEEP = swept({1e-8: (None, 0.9), 1e-6: (0.95, 0.96), 1e-4: (0.9, 0.91), 1.0: ()})


def test_table_shows_float32_and_each_epsilon_that_was_trained():
    rows = epsilons.table(SWEEP)
    assert [row[0] for row in rows] == ["float32, 1e-07", "1e-08", "1e-06", "0.0001"]
    assert rows[0][1] == "95.50 ± 0.71 %"
    assert rows[1] == ("1e-08", "90.00 %", "-6.00 ± 1.22", "1 of 2", "diverged")
    assert rows[2] == ("1e-06", "95.50 ± 0.71 %", "+0.00 ± 0.18", "", "as float32")
    assert rows[3][4] == "worse"
    assert all(len(row) == len(epsilons.HEADER) for row in rows)


def test_verdict_says_range_criterion_and_resolution():
    words = epsilons.verdict(SWEEP)
    assert "Epsilon from 1e-06 to 1e-06 trains adam at precision 16" in words
    assert "within 0.5 points of float32's mean" in words
    assert "2 seeds" in words
    assert "400 validation examples has a standard error of 1.04 points" in words
    assert words.startswith("Stopped after 8 of 10 trainings. ")
    assert "No epsilon" in epsilons.verdict(swept({1e-4: (0.5, 0.5)}))


def test_figure_has_logarithmic_axes_and_a_band(tmp_path):
    drawn = epsilons.figure(SWEEP, "a title")
    (axes,), (legend,) = drawn.axes, drawn.legends
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    words = " ".join(text.get_text() for text in legend.get_texts())
    for part in ("float32 at 1e-07 ± 0.5", "as well", "worse", "diverged"):
        assert part in words
    epsilons.write(SWEEP, "a title", tmp_path)
    assert (tmp_path / "epsilons.png").stat().st_size > 10_000
    kept = json.loads((tmp_path / "epsilons.json").read_text())
    assert kept["range"] == [1e-6, 1e-6]


def test_a_figure_of_a_sweep_that_was_stopped_at_once():
    plan = tuning.Sweep(Run(), (1e-8, 1e-4), (0,), 0.005)
    assert epsilons.figure(plan, "nothing").axes


# All of it


NET = """
import keras


def build(input_shape, classes):
    layers = [keras.Input(input_shape), keras.layers.Flatten()]
    return keras.Sequential([*layers, keras.layers.Dense(classes)])
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's SQLAlchemy
def test_a_small_sweep_in_processes_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    line = (
        "tune-epsilon --precision 16-plain --model net.py:build --epochs 1 --seeds 1 "
        "--validation 0.5 --batch-size 500 --epsilons 1e-10,1e-3 --margin 100 "
        "--figure f.png --json"
    )
    done = CliRunner().invoke(cli.cli, line.split())
    assert done.exit_code == 0, done.stderr
    assert done.stderr.count("precision 16-plain, epsilon") == 2
    printed = json.loads(done.stdout)
    assert [row["verdict"] for row in printed["epsilons"]] == ["diverged", "as float32"]
    assert printed["range"] == [1e-3, 1e-3]
    assert printed["float32"]["epsilon"] == 1e-7
    assert (tmp_path / "f.png").stat().st_size > 10_000
    check_record(tmp_path, printed["run_id"])


def check_record(folder, run_id):
    """One run of the sweep, three inside it, one of which failed."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")
    parent = client.get_run(run_id)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["lowest_good_epsilon"] == 1e-3
    assert "Epsilon from 0.001" in parent.data.tags["mlflow.note.content"]
    files = {each.path for each in client.list_artifacts(run_id)}
    assert files == {"epsilons.json", "epsilons.png"}
    mine = f"tags.`mlflow.parentRunId` = '{run_id}'"
    children = client.search_runs([parent.info.experiment_id], mine)
    assert sorted(each.info.status for each in children) == [
        "FAILED",
        "FINISHED",
        "FINISHED",
    ]
    assert {each.data.params["epsilon"] for each in children} == {
        "1e-07",
        "1e-10",
        "0.001",
    }
