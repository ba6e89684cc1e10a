"""A training that goes on from a checkpoint ends as if it had never stopped."""

import pathlib
import shutil

import keras
import numpy as np
import pytest

from keras16 import checkpoint, training
from keras16.errors import UserError
from keras16.study import Run
from tests.runs import few, fresh, start_over, uncompiled
from tests.test_training import Watcher

DROPOUT = """
import keras

def build(input_shape, classes):
    return keras.Sequential([
        keras.Input(input_shape),
        keras.layers.Flatten(),
        keras.layers.Dense(32, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(classes),
    ])
"""


UNSEEDED = """
import keras

class Noise(keras.layers.Layer):
    def call(self, inputs, training=False):
        if not training:
            return inputs
        drawn = keras.random.normal(keras.ops.shape(inputs), dtype=inputs.dtype)
        return inputs + drawn

def build(input_shape, classes):
    return keras.Sequential([
        keras.Input(input_shape),
        keras.layers.Flatten(),
        Noise(),
        keras.layers.Dense(classes),
    ])
"""


@pytest.fixture
def net(tmp_path: pathlib.Path) -> str:
    """A net that draws random numbers in training."""
    path = tmp_path / "net.py"
    path.write_text(DROPOUT)
    return f"{path}:build"


class Copier(Watcher):
    """Keeps the checkpoint of the epoch before the last one."""

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__()
        self.path = path

    def epoch_ended(self, record, model):
        super().epoch_ended(record, model)
        if record.epoch == 3:  # its own checkpoint is written after this
            shutil.copy(self.path, self.path.with_suffix(".second"))


def fit(fields, path, observer=None):
    start_over()
    with uncompiled():
        return training.fit(
            Run(**fields), observer=observer, audit=False, checkpoint=path
        )


def bits_of(result):
    variables = [*result.model.variables, *result.model.optimizer.variables]
    return [np.asarray(v.numpy()).tobytes() for v in variables]


@pytest.mark.parametrize(
    "fields",
    [
        {"precision": "16", "rounding": "stochastic", "augmentation": "shift"},
        {"precision": "mixed", "optimizer": "sgd"},
    ],
    ids=lambda fields: "-".join(fields.values()),
)
def test_a_resumed_run_has_the_same_weights_to_the_bit(net, tmp_path, fields):
    fields = few(epochs=3, **fields) | {"model": net}
    path = tmp_path / "checkpoint.npz"
    whole = fit(fields, path, Copier(path))
    watcher = Watcher()
    resumed = fit(fields, path.with_suffix(".second"), watcher)
    assert {epoch for epoch, _, _ in watcher.steps} == {3}
    assert watcher.records == list(resumed.epochs)
    assert bits_of(resumed) == bits_of(whole)
    assert (resumed.status, resumed.test_loss) == ("finished", whole.test_loss)
    assert resumed.epochs[:2] == whole.epochs[:2]  # times and all
    assert resumed.epochs[2].val_loss == whole.epochs[2].val_loss


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="JAX refuses to draw without a seed"
)
def test_a_layer_that_names_no_seed_draws_on_where_it_stopped(tmp_path):
    source = tmp_path / "noise.py"
    source.write_text(UNSEEDED)
    fields = few(epochs=3, precision="16") | {"model": f"{source}:build"}
    path = tmp_path / "checkpoint.npz"
    whole = fit(fields, path, Copier(path))
    assert bits_of(fit(fields, path.with_suffix(".second"))) == bits_of(whole)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "checkpoint.npz"
    fit(few(precision="32"), path)
    with pytest.raises(UserError, match="is of another run"):
        fit(few(precision="32", seed=1), path)
    with pytest.raises(UserError, match="of another model"):
        fit(few(precision="32", optimizer="sgd"), path)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 torn"])
def test_a_file_of_another_kind_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match="is no checkpoint of keras16's: delete it"):
        checkpoint.restore(path, [])


def test_every_bit_comes_back_whatever_the_dtype(tmp_path):
    path = tmp_path / "checkpoint.npz"
    with fresh():
        values = [
            (np.array([1e-8, -0.0, np.nan, np.inf], "float16"), "float16"),
            (np.array(3.14, "float32"), "bfloat16"),
            (np.zeros((0, 3), "float32"), "float32"),
            (np.arange(6).reshape(2, 3), "int32"),
            (np.array([True, False]), "bool"),
        ]
        made = [keras.Variable(v, dtype=d, trainable=False) for v, d in values]
        before = [v.numpy().tobytes() for v in made]
        checkpoint.save(path, made, {"epochs": [1, 2]})
        for variable in made:
            variable.assign(np.zeros(variable.shape))
        assert checkpoint.restore(path, made) == {"epochs": [1, 2]}
        assert [v.numpy().tobytes() for v in made] == before
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.npz"]


def test_nothing_is_assigned_where_there_is_no_file(tmp_path):
    assert checkpoint.restore(tmp_path / "none.npz", [object()]) == {}
