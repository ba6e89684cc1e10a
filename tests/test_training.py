"""Training as a whole: honest numbers, paired seeds, and every way a run can end."""

import contextlib
import subprocess
import sys
import threading

import keras
import ml_dtypes
import numpy as np
import pytest

from keras16 import backend, scores, training
from keras16.errors import UserError
from keras16.study import Run
from tests.runs import few, fresh, prepared, start_over, trained, uncompiled, weights

FROZEN = {
    "model": "dnn",
    "optimizer": "sgd",
    "momentum": 0.0,
    "learning_rate": 0.0,
    "schedule": "constant",
}


class Watcher(training._Silent):
    """Writes down what it is told, and stops the run where it is asked to."""

    def __init__(self, stop_after_step=None, stop_after_epoch=None):
        self.stop = threading.Event()
        self.stop_after_step = stop_after_step
        self.stop_after_epoch = stop_after_epoch
        self.starts, self.steps, self.records = [], [], []

    def started(self, run, model, steps_per_epoch):
        self.starts.append((run, steps_per_epoch))

    def stepped(self, epoch, step, loss):
        self.steps.append((epoch, step, loss))
        if self.stop_after_step is not None and step >= self.stop_after_step:
            self.stop.set()

    def epoch_ended(self, record, model):
        self.records.append(record)
        if record.epoch == self.stop_after_epoch:
            self.stop.set()


@pytest.fixture
def loops(monkeypatch):
    """Every loop that the test makes; each has the orders that it was given."""
    made = []

    class Watched(backend.module().Loop):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.orders = []
            made.append(self)

        def train(self, order, draws):
            self.orders.append(order)
            return super().train(order, draws)

    monkeypatch.setattr(backend.module(), "Loop", Watched)
    return made


def fit(watcher=None, compiled=False, **fields):
    start_over()
    watcher = watcher or Watcher()
    with contextlib.nullcontext() if compiled else uncompiled():
        return training.fit(
            Run(**fields), observer=watcher, stop=watcher.stop, audit=False
        )


def cross_entropy(logits, labels):
    """The definition, in float64 and by another way than the library's."""
    z = np.asarray(logits, "float64")
    return np.mean(np.logaddexp.reduce(z, axis=1) - z[np.arange(len(z)), labels])


def outputs(model, x):
    return model.predict(x, batch_size=256, verbose=0).astype("float64")


# --- Honest numbers


@pytest.mark.parametrize(
    ("precision", "batch_size"),
    [
        ("16", 64),
        ("16", 7),
        ("32", 64),
        ("mixed", 33),
        ("bf16", 49),
        ("mixed_bf16", 64),
    ],
)
def test_an_epoch_is_what_float64_makes_of_the_same_outputs(
    loops, precision, batch_size
):
    result = fit(
        compiled=batch_size == 64,
        **FROZEN,
        precision=precision,
        batch_size=batch_size,
        epochs=1,
        validation=0.5,
    )
    used = np.concatenate(loops[0].orders[2:]).ravel()  # after the two of the warm-up
    assert len(used) == 2000 // batch_size * batch_size
    assert len(np.unique(used)) == len(used)
    logits = outputs(result.model, result.dataset.x_train[used])
    labels = result.dataset.y_train[used]
    (epoch,) = result.epochs
    assert epoch.loss == pytest.approx(cross_entropy(logits, labels), rel=1e-3)
    assert epoch.accuracy == pytest.approx(
        np.mean(logits.argmax(1) == labels), rel=1e-3
    )


@pytest.mark.parametrize("precision", ["16", "32"])
@pytest.mark.parametrize("batch_size", [1, 100_000])
def test_any_batch_size_from_one_to_more_than_there_is(precision, batch_size):
    fields = FROZEN | {"precision": precision, "batch_size": batch_size}
    result = fit(**fields, epochs=1, validation=0.9)
    seen = result.dataset.x_train[prepared(**few()).training_rows]
    labels = result.dataset.y_train[prepared(**few()).training_rows]
    expected = cross_entropy(outputs(result.model, seen), labels)
    assert result.epochs[0].loss == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("precision", ["16", "bf16", "mixed"])
def test_validation_and_test_are_scored_in_float64(precision):
    result = trained(compiled=True, **few(precision=precision))
    assert result.status == "finished" and result.cause == ""
    assert result.test_logits.shape == (1000, 10)
    labels = result.dataset.y_test
    assert result.test_loss == pytest.approx(
        cross_entropy(result.test_logits, labels), rel=1e-9
    )
    assert result.test_accuracy == np.mean(
        result.test_logits.astype("float64").argmax(1) == labels
    )
    rows = prepared(**few()).validation_rows
    logits = outputs(result.model, result.dataset.x_train[rows])
    labels = result.dataset.y_train[rows]
    assert result.epochs[0].val_loss == pytest.approx(
        cross_entropy(logits, labels), rel=5e-3
    )
    assert result.epochs[0].val_accuracy == pytest.approx(
        np.mean(logits.argmax(1) == labels), abs=2e-3
    )


@pytest.mark.parametrize(
    ("precision", "dtype"), [("16", "float16"), ("bf16", ml_dtypes.bfloat16)]
)
def test_the_logits_have_the_dtype_of_the_step(precision, dtype):
    result = trained(compiled=True, **few(precision=precision))
    assert result.test_logits.dtype == np.dtype(dtype)
    assert {str(v.dtype) for v in result.model.trainable_variables} == {
        np.dtype(dtype).name
    }


def test_scores_of_logits_that_are_not_finite_are_not_numbers():
    logits = np.array([[np.inf, 0], [0, 1]], "float16")
    assert np.isnan(scores.cross_entropy(logits, np.array([0, 1])))


# --- The order, the seed, the precision


@pytest.mark.parametrize("model", ["dnn", "cnn"])
def test_the_same_seed_gives_the_same_bits(model):
    fields = few(model=model, precision="16")
    first, again = trained(**fields), fit(**fields)
    for one, two in zip(weights(first.model), weights(again.model), strict=True):
        np.testing.assert_array_equal(one, two)
    assert first.test_loss == again.test_loss


def test_another_seed_gives_another_run():
    first, other = prepared(**few()), prepared(**few(seed=1))
    assert not np.array_equal(first.training_rows, other.training_rows)
    assert not np.array_equal(weights(first.model)[0], weights(other.model)[0])


@pytest.mark.parametrize("model", ["dnn", "cnn", "resnet8"])
def test_every_precision_starts_from_the_same_weights(model):
    wide = weights(prepared(model=model, precision="32").model)
    names = [v.path for v in prepared(model=model, precision="32").model.variables]
    for precision in ("16", "bf16", "mixed"):
        net = prepared(model=model, precision=precision).model
        values = dict(zip((v.path for v in net.variables), weights(net), strict=True))
        dtype = net.trainable_variables[0].numpy().dtype
        for name, value in zip(names, wide, strict=True):
            if name in values:  # batch normalization keeps its spread otherwise
                rounded = value.astype(dtype).astype("float32")
                np.testing.assert_array_equal(values[name], rounded, name)


@pytest.mark.parametrize("augmentation", ["none", "flip_shift"])
def test_every_precision_sees_the_same_examples_in_the_same_order(
    monkeypatch, augmentation
):
    seen = {}
    original = backend.module().Loop.train

    def train(self, order, draws):
        seen.setdefault(precision, []).append((order, draws))
        return original(self, order, draws)

    monkeypatch.setattr(backend.module().Loop, "train", train)
    for precision in ("16", "32"):
        fields = FROZEN | few(precision=precision, augmentation=augmentation, epochs=2)
        fit(**fields)
    sixteen, full = (
        [np.concatenate([call[part] for call in seen[p][2:]]) for part in (0, 1)]
        for p in ("16", "32")
    )
    np.testing.assert_array_equal(sixteen[0], full[0])
    np.testing.assert_array_equal(sixteen[1], full[1])
    assert sixteen[1].any() == (augmentation != "none")
    first, second = np.split(sixteen[0], 2)
    assert not np.array_equal(first, second)  # another order in the second epoch


def test_sixteen_bits_learn_what_thirty_two_do():
    fields = few(validation=0.5, epochs=4)
    sixteen, full = (trained(precision=p, **fields) for p in ("16", "32"))
    assert sixteen.test_accuracy > 0.9
    assert abs(sixteen.test_accuracy - full.test_accuracy) < 0.02
    assert sixteen.epochs[-1].loss < sixteen.epochs[0].loss / 2


# --- What a run costs, and what the warm-up leaves


@pytest.mark.parametrize("model", ["dnn", "cnn"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_sixteen_bits_take_half_the_memory(model, optimizer):
    def float_bytes(precision):
        net = prepared(model=model, optimizer=optimizer, precision=precision).model
        return [
            sum(v.numpy().nbytes for v in variables if "float" in str(v.dtype))
            for variables in (net.variables, net.optimizer.variables)
        ]

    sixteen, full = float_bytes("16"), float_bytes("32")
    assert [2 * size for size in sixteen] == full


def test_bytes_and_parameters_are_those_of_the_model():
    result = trained(**few(precision="32"))
    assert result.weight_bytes == 4 * result.parameters
    assert result.parameters == result.model.count_params()
    assert result.optimizer_bytes > 2 * 4 * result.parameters * 0.9  # Adam: two slots
    assert result.compile_seconds > 0 and result.peak_memory_bytes > 1 << 20


def test_the_warm_up_leaves_no_trace():
    watcher = Watcher()
    watcher.stop.set()
    result = fit(watcher, **few(model="cnn", optimizer="adam"))
    assert result.status == "killed" and result.epochs == ()
    assert result.cause == "interrupted after step 0 of epoch 1"
    untouched = prepared(**few(model="cnn", optimizer="adam"))
    for one, two in zip(weights(result.model), weights(untouched.model), strict=True):
        np.testing.assert_array_equal(one, two)
    for slot in result.model.optimizer.variables[2:]:
        assert not slot.numpy().astype("float32").any()
    assert int(result.model.optimizer.iterations.numpy()) == 0


def test_the_loop_is_traced_once(loops):
    result = fit(**few(batch_size=5, epochs=3))
    assert result.status == "finished"
    assert len({order.shape for order in loops[0].orders}) > 1
    assert loops[0]._steps.experimental_get_tracing_count() == 1


def test_the_observer_is_told_everything_in_order():
    watcher = Watcher()
    result = fit(watcher, **few(epochs=2))
    ((run, steps_per_epoch),) = watcher.starts
    assert steps_per_epoch == 8
    assert run.learning_rate == 1e-3 and run.epsilon == 1e-7  # defaults filled in
    assert result.run == run
    assert tuple(watcher.records) == result.epochs
    assert [record.epoch for record in result.epochs] == [1, 2]
    assert [s for s in watcher.steps if s[1] == 8][-1][0] == 2
    assert watcher.steps == sorted(watcher.steps, key=lambda told: told[:2])
    assert result.first_epoch_seconds == result.epochs[0].epoch_seconds
    assert result.median_epoch_seconds == result.epochs[1].epoch_seconds
    assert result.epochs[0].learning_rate > result.epochs[1].learning_rate > 0


# --- Every way to end


def test_without_validation_there_are_no_validation_numbers():
    fields = {**FROZEN, "precision": "32", "epochs": 1, "validation": 0.0}
    result = fit(**fields, batch_size=1000)
    assert result.epochs[0].val_loss is None and result.epochs[0].val_accuracy is None
    assert result.status == "finished" and result.test_accuracy is not None


def test_a_stop_ends_the_run_after_the_steps_in_hand():
    watcher = Watcher(stop_after_step=1)
    result = fit(watcher, **few(batch_size=1, epochs=3))
    assert result.status == "killed"
    assert result.cause == f"interrupted after step {watcher.steps[-1][1]} of epoch 1"
    assert result.epochs == ()
    assert result.test_logits is None and result.test_accuracy is None


def test_a_stop_between_epochs_keeps_the_epochs_so_far():
    result = fit(Watcher(stop_after_epoch=1), **few(epochs=3))
    assert result.status == "killed" and result.cause == "interrupted after epoch 1"
    assert len(result.epochs) == 1 and result.test_logits is None


def test_a_stop_after_the_last_epoch_is_too_late():
    result = fit(Watcher(stop_after_epoch=1), **few())
    assert result.status == "finished" and result.test_accuracy is not None


@pytest.mark.parametrize("precision", ["16", "32"])
def test_a_run_that_diverges_fails_and_says_why(precision):
    learning_rate = 1e4 if precision == "16" else 1e30
    fields = few(optimizer="sgd", learning_rate=learning_rate, epochs=4)
    result = fit(**fields, precision=precision)
    assert result.status == "failed"
    assert "\n" not in result.cause
    assert "step" in result.cause and "of epoch" in result.cause
    assert f"use a learning rate below {learning_rate:g}" in result.cause
    assert result.test_logits is None and result.test_loss is None


def test_a_run_whose_very_last_update_diverges_fails():
    fields = few(optimizer="sgd", learning_rate=5e4, validation=0.0)
    result = fit(**fields | {"batch_size": 4000})
    assert result.status == "failed"
    assert "step 1 of epoch 1" in result.cause
    assert result.test_logits is None and result.test_accuracy is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"validation": 1.0}, "validation share 1.0"),
        ({"precision": "8"}, "no precision '8'"),
        ({"model": "cn"}, "did you mean 'cnn'"),
        ({"dataset": "mnist5"}, "mnist5k"),
        ({"optimizer": "adamz"}, "no optimizer 'adamz'"),
        ({"schedule": "step"}, "no schedule 'step'"),
        ({"augmentation": "cutout"}, "no augmentation 'cutout'"),
        (
            {"learning_rate": 1e-9, "precision": "16-plain"},
            "learning rate 1e-09 is 0 in float16",
        ),
        (
            {"learning_rate": 1e6, "precision": "16-plain"},
            "learning rate 1e+06 is inf in float16",
        ),
        ({"seed": -1}, "seed -1 is negative"),
    ],
)
def test_a_run_that_cannot_start_is_refused_in_one_line(fields, words):
    with pytest.raises(UserError, match=".+") as refused:
        training.prepare(Run(**fields))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_second_precision_in_one_process_is_refused():
    prepared(**few(precision="16"))
    with pytest.raises(UserError, match="already uses precision '16'"):
        training.prepare(Run(**few(precision="32")))


# --- The model on disk

LOAD = """
import sys
import keras16, keras, numpy as np
model = keras.models.load_model(sys.argv[1])
x = np.load(sys.argv[2])
np.save(sys.argv[3], model.predict(x, batch_size=64, verbose=0))
"""


def test_a_saved_model_loads_after_import_keras16_alone(tmp_path):
    result = trained(**few(model="cnn", precision="16"))
    x = result.dataset.x_test[:64]
    names = [str(tmp_path / name) for name in ("net.keras", "x.npy", "out.npy")]
    result.model.save(names[0])
    np.save(names[1], x)
    subprocess.run([sys.executable, "-c", LOAD, *names], check=True)
    there = np.load(names[2])
    assert there.dtype == np.float16
    np.testing.assert_array_equal(
        there, result.model.predict(x, batch_size=64, verbose=0)
    )


@pytest.mark.parametrize("precision", ["16", "32", "bf16"])
def test_a_saved_model_goes_on_training_at_any_precision(tmp_path, precision):
    first = trained(**few(model="cnn", precision="16"))
    path = str(tmp_path / "net.keras")
    first.model.save(path)
    fields = few(model=path, precision=precision, optimizer="sgd", momentum=0.0)
    again = fit(**fields, learning_rate=1e-4)
    assert again.status == "finished"
    assert abs(again.test_accuracy - first.test_accuracy) < 0.1
    assert again.epochs[0].loss < 0.8 * first.epochs[0].loss


# --- The user's own data


def test_a_table_of_floats_trains_the_dense_net(tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(size=(600, 8)).astype("float64")
    y = (x[:, 0] + x[:, 1] > 0).astype("int64")
    path = tmp_path / "table.npz"
    np.savez(path, x_train=x[:500], y_train=y[:500], x_test=x[500:], y_test=y[500:])
    for precision in ("16", "bf16", "mixed"):
        result = fit(
            model="dnn", dataset=str(path), precision=precision, epochs=3, batch_size=20
        )
        assert result.status == "finished"
        assert result.test_accuracy > 0.85
        assert result.test_logits.shape == (100, 2)


def test_pixels_and_a_function_train_the_convolutional_net(tmp_path):
    (tmp_path / "stripes.py").write_text(
        "import numpy as np\n"
        "def load():\n"
        "    random = np.random.default_rng(0)\n"
        "    x = random.integers(0, 100, (120, 12, 12, 3), 'uint8')\n"
        "    y = np.arange(120) % 2\n"
        "    x[y == 1, ::2] += 100\n"
        "    return (x[:100], y[:100]), (x[100:], y[100:])\n"
    )
    result = fit(
        dataset=f"{tmp_path}/stripes.py:load",
        augmentation="flip",
        epochs=4,
        batch_size=10,
        validation=0.0,
    )
    assert result.status == "finished"
    assert result.test_accuracy == 1
    assert isinstance(result.model, keras.Model)


def test_a_block_leaves_the_process_as_it_was():
    with fresh():
        training.prepare(Run(**few()))
    assert keras.config.floatx() == "float32"
