"""A loss and a metric of one's own: trained, judged and compared, regression too."""

from __future__ import annotations

import functools
import json
import threading
import time

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import keras16
from keras16 import cli, data, losses, objective, training, user_code
from keras16 import criterion as metric
from keras16.comparison import files, job, probe, verdict
from keras16.errors import UserError
from keras16.execution import pool, worker
from keras16.study import Run
from pipelines import compare as command
from tests.runs import OWN_PARTS, fresh, uncompiled

pytestmark = [
    # MLflow's, at the first use of its tables.
    pytest.mark.filterwarnings("ignore:.*noload.*:DeprecationWarning"),
]
# The plainest optimizer: its step is traced soonest.
QUICK = {
    "optimizer": "sgd",
    "momentum": 0.0,
    "learning_rate": 0.3,
    "schedule": "constant",
    "batch_size": 30,
    "validation": 0.2,
}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder with own.py and y = xw of two columns in line.npz."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN_PARTS)
    random = np.random.default_rng(0)
    x = random.normal(size=(360, 4))
    y = x @ random.normal(size=(4, 2)) + 0.01 * random.normal(size=(360, 2))
    arrays = {"x_train": x[:300], "y_train": y[:300]}
    np.savez("line.npz", **arrays, x_test=x[300:], y_test=y[300:])
    return x[:300].astype("float32"), y[:300]


def line(**fields) -> Run:
    """A linear net that learns the line in a few steps."""
    usual = {"model": "own.py:build", "dataset": "line.npz", "loss": "mse"}
    return Run(**{**usual, **QUICK, "epochs": 4, **fields})


def fitted(**fields):
    with fresh(), uncompiled():
        return training.fit(line(**fields), audit=False)


@pytest.mark.parametrize("precision", ["16", "32", "mixed"])
def test_regression_is_judged_by_the_targets_that_were_given(own, precision):
    found = fitted(precision=precision, metric="mae")
    assert found.status == "finished"
    exact = np.load("line.npz")["y_test"]
    outputs = keras.ops.convert_to_numpy(found.model(found.dataset.x_test))
    apart = outputs.astype("float64") - exact
    np.testing.assert_allclose(found.test_metric, np.abs(apart).mean(), rtol=1e-5)
    np.testing.assert_allclose(found.test_loss, np.square(apart).mean(), rtol=1e-5)
    assert found.test_metric < 0.1 < np.abs(exact).mean()
    last = found.epochs[-1]
    assert (last.accuracy, last.val_accuracy, found.test_accuracy) == (None,) * 3
    assert found.test_logits is None
    # The mean over the last epoch, whose steps go on learning.
    assert last.metric < 2 * last.val_metric + 0.05 and last.val_loss < last.val_metric
    if precision == "16":
        assert {v.dtype for v in found.model.trainable_variables} == {"float16"}


def test_functions_of_the_users_train_and_judge(own):
    found = fitted(precision="mixed", loss="own.py:square", metric="own.py:worst")
    exact = np.load("line.npz")["y_test"]
    outputs = keras.ops.convert_to_numpy(found.model(found.dataset.x_test))
    expected = np.abs(outputs.astype("float64") - exact).max(-1).mean()
    np.testing.assert_allclose(found.test_metric, expected, rtol=1e-5)
    assert found.epochs[-1].loss < 0.1 * found.epochs[0].loss


def test_without_a_metric_the_loss_judges(own):
    found = fitted(precision="32", loss="log_cosh", epochs=1)
    assert found.test_metric is None and found.epochs[0].val_metric is None
    assert np.isfinite(found.test_loss)


def prepared(**fields):
    with fresh():
        return training.prepare(line(**fields))


def test_the_step_has_targets_in_its_dtype_and_the_judge_those_of_float32(own):
    ready = prepared(precision="16")
    assert (ready.targets.dtype, ready.dataset.y_train.dtype) == ("float16", "float32")
    assert ready.batch[1].shape == (30, 2)


def test_class_ids_keep_a_softmax_where_the_loss_takes_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = OWN_PARTS.replace("Dense(outputs)", "Dense(outputs, activation='softmax')")
    (tmp_path / "own.py").write_text(text)
    random = np.random.default_rng(0)
    y = np.arange(200) % 3
    x = random.normal(size=(200, 3)) + 3 * np.eye(3)[y]
    np.savez("ids.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    fields = {"dataset": "ids.npz", "loss": "sparse_categorical_crossentropy"}
    found = fitted(precision="32", metric="accuracy", **fields)
    assert found.test_metric > 0.9
    outputs = keras.ops.convert_to_numpy(found.model(found.dataset.x_test))
    np.testing.assert_allclose(outputs.sum(-1), 1.0, rtol=1e-5)
    chance = outputs[np.arange(200), y].astype("float64")
    np.testing.assert_allclose(found.test_loss, -np.log(chance).mean(), rtol=1e-4)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"metric": "r2_score"}, "R2Score has no 16-bit form"),
        ({"loss": "ctc"}, "CTC has no 16-bit form"),
        (
            {"loss": "mean_squared"},
            r"there is no loss 'mean_squared' \(mean_squared_error, .*FILE.py:NAME",
        ),
        (
            {"metric": "nothing at all"},
            "there is no metric 'nothing at all': .* of keras.metrics",
        ),
        ({"metric": "mean_squared"}, "there is no metric 'mean_squared'"),
        ({"loss": "own.py:none"}, "own.py has no function 'none'"),
        ({"metric": "f1_score"}, "metric f1_score gives several numbers"),
        ({"label_smoothing": 0.1}, "label_smoothing is of the cross-entropy"),
        ({"loss": None, "metric": "mae"}, "metric mae needs a loss"),
        ({"loss": None}, "label .* is not a whole number|is not one-hot"),
    ],
)
def test_what_does_not_go_is_told_in_one_line(own, fields, words):
    with pytest.raises(UserError, match=words) as caught:
        prepared(precision="16", **fields)
    assert "\n" not in str(caught.value)


def test_a_step_that_fails_is_told_in_one_line(own):
    with pytest.raises(UserError, match=r"a training step of own.py:build .* can't be"):
        fitted(precision="32", loss="sparse_categorical_crossentropy")


def loaded(tmp_path, y, ids):
    np.savez(tmp_path / "d.npz", x_train=X, y_train=y, x_test=X, y_test=y)
    found = data.load_targets(str(tmp_path / "d.npz"), ids=ids)
    return found.y_train.shape, str(found.y_train.dtype), found.classes


X = np.random.default_rng(0).normal(size=(6, 2))


@pytest.mark.parametrize(
    ("y", "ids", "expected"),
    [
        (np.arange(6.0), False, ((6, 1), "float32", 1)),
        (np.arange(6.0), True, ((6, 1), "float32", 1)),
        (np.arange(6), False, ((6, 1), "float32", 1)),
        (np.arange(6) % 3, True, ((6,), "int32", 3)),
        (np.eye(3)[np.arange(6) % 3], True, ((6, 3), "float32", 3)),
        (np.eye(3, dtype="uint8")[np.arange(6) % 3], True, ((6, 3), "int32", 3)),
        (np.ones((6, 5, 2)), False, ((6, 5, 2), "float32", 2)),
        (np.arange(6) % 2 > 0, False, ((6, 1), "float32", 1)),
    ],
)
def test_targets_are_what_keras_takes(tmp_path, y, ids, expected):
    assert loaded(tmp_path, y, ids) == expected


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.full(6, 1e5), "reaches 100,000 in absolute value and float16 ends"),
        (np.full(6, np.nan), "y_train holds NaN or infinity"),
        (np.arange(5.0), "has 6 examples and y_train 5 targets"),
        (np.array(list("abcdef")), "y_train is text: give numbers"),
    ],
)
def test_targets_that_can_not_be_used(tmp_path, y, words):
    with pytest.raises(UserError, match=f"data set d: .*{words}"):
        loaded(tmp_path, y, False)


def test_classes_keep_their_shares_and_other_targets_are_split_at_random():
    ids = np.array([7, 3, 7, 7])
    assert data.strata(ids).tolist() == data.strata(ids[:, None]).tolist()
    assert data.strata(ids).tolist() == [1, 0, 1, 1]
    assert data.strata(np.eye(3, dtype=int)[[2, 0]]).tolist() == [1, 0]
    assert not data.strata(np.arange(4.0)).any()


def test_a_data_set_of_bfloat16_has_a_digest(own):
    assert len(prepared(precision="bf16").dataset.digest) == 16


# --- Handed to other processes


class Scaled(keras.losses.Loss):
    """Of a test's own, with arguments that no config tells."""

    def __init__(self, factor):
        super().__init__(name="scaled")
        self.factor = factor

    def call(self, y_true, y_pred):
        return self.factor * keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (lambda: keras.losses.Huber(delta=0.5), 0.875),
        (lambda: Scaled(3.0), 4.5),
        (lambda: keras.losses.MeanSquaredError, 2.5),
        (lambda: lambda y, p: keras.ops.abs(y - p)[..., 0], 1.0),
    ],
)
def test_losses_travel_as_files(tmp_path, made, expected):
    spec = files.part(made(), "loss", "loss", tmp_path)
    assert spec == files.part(made(), "loss", "loss", tmp_path)  # the same file
    found = losses.get(user_code.load_function(spec), "float32")
    y, p = np.zeros((1, 2), "float32"), np.array([[1.0, 2.0]], "float32")
    expected = 1.25 * 0.5 if expected == 0.875 else expected
    np.testing.assert_allclose(found(y, p), expected)


def test_metrics_travel_as_files(tmp_path):
    given = keras.metrics.AUC(num_thresholds=7, name="area")
    given.update_state([0, 1], [0.2, 0.9])  # what it holds stays here
    spec = files.part(given, "metric", "metric", tmp_path)
    found = user_code.load_function(spec)
    assert (found.num_thresholds, found.name) == (7, "area")
    assert not np.any(found.true_positives)
    assert files.part("mae", "metric", "metric", tmp_path) == "mae"
    with pytest.raises(UserError, match="metric is int: give a name"):
        files.part(3, "metric", "metric", tmp_path)


# --- What is better


def test_every_metric_of_keras_has_a_direction():
    classes = {
        name
        for name, found in vars(keras.metrics).items()
        if isinstance(found, type) and issubclass(found, keras.metrics.Metric)
    } - {"Metric", "Mean", "Sum", "MeanMetricWrapper"}
    known = metric.HIGHER | metric.LOWER
    assert {name.lower() for name in classes} <= known
    assert not metric.HIGHER & metric.LOWER
    ours = {name for name in keras16.metrics.__all__ if name.lower() in metric.LOWER}
    assert len(ours) > 15


def test_the_name_tells_which_way_is_better():
    assert metric.chosen(None, None) == metric.Metric()
    assert metric.chosen("mse", None) == metric.Metric("loss", "val_loss", False, False)
    error = metric.chosen("mse", "MeanAbsoluteError")
    assert (error.sign, error.is_share, error.field) == (-1, False, "val_metric")
    area = metric.chosen("bce", keras.metrics.AUC())
    assert (area.name, area.sign, area.is_share) == ("AUC", 1, True)
    assert metric.chosen("mse", keras.metrics.R2Score).sign == 1
    assert not metric.chosen("mse", "own.py:mae", "lower").is_share
    assert metric.chosen("mse", "own.py:mae", "lower").name == "own.mae"

    def mae(y, p):
        return y - p

    with pytest.raises(UserError, match="is a higher or a lower mae better"):
        metric.chosen("mse", mae)  # who knows what it does
    with pytest.raises(UserError, match="a lower mae is better: leave out"):
        metric.chosen("mse", "mae", "higher")
    with pytest.raises(UserError, match="better is 'up'"):
        metric.chosen("mse", "mae", "up")


def test_a_margin_is_in_the_units_of_the_metric():
    share, error = metric.Metric(), metric.chosen("mse", "mae")
    assert metric.margin_of(share, None) == 0.005
    assert metric.margin_of(error, 2.0) == 2.0
    with pytest.raises(UserError, match="give a margin, in the units of mae"):
        metric.margin_of(error, None)
    with pytest.raises(UserError, match="margin is 0"):
        metric.margin_of(share, 0)


def test_a_lower_error_is_more_accurate():
    assert verdict.verdict([-0.02, -0.021, -0.019], 0.005, -1) == "more accurate"
    assert verdict.verdict([0.02, 0.021, 0.019], 0.005, -1) == "less accurate"
    assert verdict.verdict([0.001, -0.001, 0.0], 0.005, -1) == "as accurate"


# --- A whole comparison, its processes played by this one


@pytest.fixture
def here(monkeypatch):
    """Probes and runs of a comparison in this process, uncompiled."""

    @functools.cache
    def probed(run, _):
        with fresh(), uncompiled():
            return probe.Probe(run.precision, **probe.measured(run))

    def train(tasks, *, workers, stop):
        for task in tasks:
            if stop.is_set():
                return
            yield pool.Event("begun", task)
            with fresh(), uncompiled():
                result = training.fit(task.planned.run, audit=False)
            task.entry.write(worker.recorded(result, workers=1, began=time.time()))
            yield pool.Event("ended", task)

    monkeypatch.setattr(job, "probe", probed)
    monkeypatch.setattr(pool, "train", train)


class UntilSeed(job._Silent):
    """Stops a comparison before a seed; counts the runs that it saw."""

    def __init__(self, runs):
        self.left, self.stop = runs, threading.Event()

    def happened(self, event, record):
        self.left -= record is not None
        if not self.left:
            self.stop.set()


def test_a_comparison_by_a_loss_and_a_metric_of_ones_own(own, here):
    def build(input_shape, outputs):
        layers = [keras.Input(input_shape), keras.layers.Dense(outputs)]
        return keras.Sequential(layers)

    def worst(y, p):
        return keras.ops.max(keras.ops.abs(y - p), axis=-1)

    def compared(runs):
        watcher = UntilSeed(runs)
        return keras16.compare(
            build,
            own,
            loss=keras.losses.Huber(delta=3.0),
            metric=worst,
            better="lower",
            margin=0.2,
            epochs=2,
            watcher=watcher,
            stop=watcher.stop,
            **QUICK,
        )

    first = compared(3)
    runs = {row.precision: row.runs for row in first.rows}
    assert runs == {"16": 1, "32": 1, "mixed": 1}
    assert first.best.precision == "32" and "is not settled after 1" in first.verdict
    found = compared(3)  # goes on from there
    assert [row.runs for row in found.rows] == [2, 2, 2]
    for before, row in zip(first.rows, found.rows, strict=True):
        assert before.scores == row.scores[:1]
    assert found.rows[0].tensors > 0 and found.rows[0].wide_tensors == 0
    full, half = found.rows[1].scores, found.rows[0].scores
    np.testing.assert_allclose(half, full, atol=0.05)  # paired seeds
    np.testing.assert_allclose(
        found.rows[0].difference.mean, np.mean(np.subtract(half, full))
    )
    assert found.metric.name == "worst" and not found.metric.higher_is_better
    told = json.loads(command.as_object(found))
    assert told["margin"] == 0.2 and told["metric"]["name"] == "worst"
    assert told["rows"][0]["verdict"] == "as accurate"
    assert "in worst, margin 0.2" in found.verdict or found.best.precision == "32"
    assert "validation worst" in command.as_text(found)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--loss", "mse"], "give a margin, in the units of loss"),
        (["--loss", "mean_squared"], "there is no loss 'mean_squared' ("),
        (["--loss", "mse", "--metric", "mea"], "there is no metric 'mea' ("),
        (["--metric", "mae"], "metric mae needs a loss"),
        (["--loss", "mse", "--metric", "own.py:worst"], "say better: higher or lower"),
        (["--better", "lower"], "a higher accuracy is better"),
        (["--loss", "mse", "--margin", "-1"], "'--margin'"),
        (
            ["--loss", "mse", "--margin", "1", "--label-smoothing", "0.1"],
            "label_smoothing is of the cross-entropy",
        ),
    ],
)
def test_bad_options_are_told_in_one_line(own, options, words):
    done = CliRunner().invoke(cli.cli, ["compare", *options])
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert "Traceback" not in done.output


def test_an_objective_is_of_the_fields():
    assert isinstance(objective.of(Run()), objective.OfClasses)
    assert isinstance(objective.of(Run(loss="mse")), objective.OfOwn)
    assert Run(loss="mse", metric="a/b.py:c").metric_name == "b.c"
    assert (Run().metric_name, Run(loss="mse").metric_name) == ("accuracy", "loss")
