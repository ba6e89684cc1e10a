"""`compare`: the right sentence for what was measured, and a whole small one."""

import dataclasses
import json
import threading

import numpy as np
import pytest
from click.testing import CliRunner

import keras16
from keras16 import cli
from keras16.comparison import files, job, verdict
from keras16.comparison.probe import Probe
from keras16.criterion import Metric
from keras16.errors import UserError
from keras16.execution import pool
from keras16.results import Record
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


def test_of_equally_fast_ones_the_smaller_is_used():
    same = {name: (1.0, size) for name, (_, size) in COSTS.items()}
    assert judged(records(seconds=same)).best.precision == "16"


def test_a_single_failure_is_reason_enough():
    found = judged(records(failed={("16", 2)}))
    assert found.best.precision == "mixed"
    assert "16 failed in 1 of 6 runs" in found.verdict


def test_few_pairs_settle_nothing():
    found = judged(records(pairs=1))
    assert found.best.precision == "32"
    assert "16 (1.5 times as fast) is not settled after 1 pair of" in found.verdict
    assert judged([]).best is None
    assert "give more --minutes" in judged([]).verdict


def test_what_could_not_be_tried_is_told():
    found = judged(records()[6:], {"p16": {"problem": "no memory"}})
    assert "16 could not be tried (no memory)" in found.verdict


def test_a_precision_that_can_not_be_had_leaves_the_others(played, monkeypatch, capsys):
    costs = job.probe

    def refusing(run):
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
    def broken(run):
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
    ],
)
def test_verdicts(differences, expected):
    assert verdict.verdict(differences, 0.005) == expected


# --- The job, its processes played


@pytest.fixture
def played(monkeypatch, tmp_path):
    """Probes and runs that take no time; the clock moves 30 s for each run."""
    clock = [0.0]
    monkeypatch.setattr(job.time, "monotonic", lambda: clock[0])
    order = []

    def probe(run):
        cost = COSTS[run.precision][0]
        return Probe(run.precision, epoch_seconds=cost, compile_seconds=1.0)

    def train(tasks, *, workers, stop):
        for task in tasks:
            clock[0] += 30.0
            order.append((task.planned.arm, task.planned.seed))
            yield pool.Event("begun", task)
            task.entry.write(
                Record(
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
            )
            yield pool.Event("ended", task)

    monkeypatch.setattr(job, "probe", probe)
    monkeypatch.setattr(pool, "train", train)

    def compare(**options):
        order.clear()
        folder = tmp_path / "mlruns"
        return job.compare("cnn", "mnist5k", folder=folder, **options), order

    return compare


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


def test_asking_again_goes_on_from_there(played):
    played(minutes=4.0)
    found, order = played(minutes=3.5)
    assert set(order) == {(name, seed) for name in COSTS for seed in (2, 3)}
    assert [row.runs for row in found.rows] == [4, 4, 4]


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
    wrong = runner.invoke(cli.cli, ["compare", "--precisions", "16,17"])
    assert wrong.exit_code == 2 and "no precision '17'" in wrong.stderr
