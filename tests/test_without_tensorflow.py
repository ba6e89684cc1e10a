"""KERAS_BACKEND=jax where TensorFlow can't be imported: library and commands.

TensorFlow is blocked by a `sitecustomize`, which every Python that is started runs:
the processes of `keras16 bench`, too.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[1]
BLOCKED = ("tensorflow", "tensorflow_datasets")

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None,
    reason="JAX is not installed: pip install 'keras16[jax]'",
)

BLOCK = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED}:
            raise ModuleNotFoundError(f"{{name}} is blocked", name=name)

sys.meta_path.insert(0, Blocker())
"""

LIBRARY = """
import sys
import warnings
warnings.simplefilter("error")
warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
import keras
import numpy as np
import keras16
from keras16 import backend

keras.utils.set_random_seed(0)
x = np.random.default_rng(0).normal(size=(96, 6)).astype("float32")
y = (x.sum(axis=1) > 0).astype("int32")

stock = keras.Sequential([
    keras.Input((6,)),
    keras.layers.Dense(16, activation="relu", kernel_regularizer="l2"),
    keras.layers.BatchNormalization(),
    keras.layers.Dropout(0.1),
    keras.layers.Dense(2),
])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
stock.compile("adam", loss, metrics=["accuracy"])
wide = keras16.audit(stock, x, y)
sources = {tensor.source for tensor in wide.wide}
assert not wide.pure and wide.tensors == wide.wide_tensors > 50, wide
assert {"input x", "dense (keras Dense)"} < sources, sources
assert any(source.endswith("(keras Adam.update_step)") for source in sources), sources

twin = keras16.convert(stock, "16")
twin.compile(keras.optimizers.Adam(0.02), loss, metrics=["accuracy"])
found = keras16.audit(twin, x, y, compiled=True)
assert found.pure and found.tensors > 200, str(found)
assert 0 <= found.compiled_wide_tensors <= found.compiled_tensors
before = [v.numpy() for v in twin.variables]
assert keras16.audit(twin, x, y).tensors == found.tensors
for variable, value in zip(twin.variables, before):
    np.testing.assert_array_equal(variable.numpy(), value)
history = twin.fit(x, y, epochs=12, batch_size=32, verbose=0).history
# Of the last epochs together: one alone is 96 samples, three batches and a dropout.
assert np.mean(history["accuracy"][-4:]) > 0.9, history
assert history["loss"][-1] < history["loss"][0] / 2, history
assert {str(v.dtype) for v in twin.trainable_variables} == {"float16"}

def batches():
    while True:
        yield x[:32], y[:32]  # float32: cast before the step

twin.fit(batches(), steps_per_epoch=2, shuffle=False, verbose=0)
assert twin.predict(x[:4], verbose=0).dtype == "float16"

recurrent = keras.Sequential([keras.Input((5, 4)), keras.layers.LSTM(3)])
outputs = keras16.convert(recurrent, "16")(np.ones((2, 5, 4), "float16"))
np.testing.assert_allclose(outputs, recurrent(np.ones((2, 5, 4))), atol=2e-3)
assert not {"tensorflow", "tensorflow_datasets"} & {*sys.modules}
"""

NET = """
import jax, keras
from keras import ops

def widen(x):
    return ops.cast(ops.cast(x, "float32"), "float16")

def in_loop(x):
    return ops.fori_loop(0, 2, lambda _, value: widen(value), x)

def in_branch(x):
    return ops.cond(ops.any(x > 0), lambda: x, lambda: widen(x))

@ops.custom_gradient
def in_gradient(x):
    return x * 1, lambda upstream: widen(upstream)

NESTS = [widen, in_loop, in_branch, jax.jit(widen), in_gradient]

class Bend(keras.layers.Layer):
    def __init__(self, function):
        super().__init__(name="bend")
        self.function = function

    def call(self, x):
        return self.function(x)
"""

PREPARED = """
import jax
from keras16 import training
from keras16.study import Run

compiled = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **about: compiled.append(event)
    if event.endswith("backend_compile_duration") else None
)
training.prepare(Run(model="dnn", dataset="mnist5k", precision="16"))
assert 0 < len(compiled) < 40, len(compiled)
"""

SOURCES = """
import keras, keras16, numpy as np
from net import NESTS, Bend
keras16.use("16")
x, y = np.ones((4, 5), "float16"), np.ones((4, 3), "float16")

def audited(function):
    model = keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(3), Bend(function)]
    )
    model.compile(keras16.optimizers.SGD(), keras16.losses.MeanSquaredError())
    return keras16.audit(model, x, y)

assert audited(lambda x: x).pure
for nest in NESTS:
    found = audited(nest)
    assert not found.pure, nest
    assert {tensor.dtype for tensor in found.wide} == {"float32"}, found.wide
    for tensor in found.wide:
        assert tensor.source.startswith("bend (Bend"), (nest, tensor)
    lines = [tensor.source for tensor in found.wide if "net.py:" in tensor.source]
    assert any(line.endswith(" in widen)") for line in lines), (nest, found.wide)
"""

SMALL = """
import keras

def build(input_shape, classes):
    return keras.Sequential(
        [keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(classes)]
    )
"""

CLASSES = 3


def without_tensorflow(code, folder):
    """Runs code where importing TensorFlow fails; gives what it printed."""
    (folder / "sitecustomize.py").write_text(BLOCK)
    environment = {
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT))),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def command(*arguments):
    """Code that runs a command of keras16's."""
    return f"""
import sys
sys.argv = ["keras16", *{arguments!r}]
from keras16.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
assert not {{"tensorflow", "tensorflow_datasets"}} & {{*sys.modules}}
"""


@pytest.fixture
def npz(tmp_path):
    """A small data set of floats that a dense net learns."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(CLASSES, 8)) * 3
    labels = rng.integers(0, CLASSES, 400)
    x = (centers[labels] + rng.normal(size=(400, 8))).astype("float32")
    path = tmp_path / "clusters.npz"
    np.savez(
        path, x_train=x[:300], y_train=labels[:300], x_test=x[300:], y_test=labels[300:]
    )
    return path


def test_the_library_audits_converts_and_fits(tmp_path):
    without_tensorflow(LIBRARY, tmp_path)


def test_one_cast_is_caught_wherever_it_stands(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    without_tensorflow(SOURCES, tmp_path)


def test_train_and_audit_of_packaged_digits(tmp_path):
    fields = ("--model", "dnn", "--dataset", "mnist5k", "--precision", "16")
    trained = without_tensorflow(
        command("train", *fields, "--epochs", "2", "--json", "--quiet"), tmp_path
    )
    found = json.loads(trained)
    assert (found["status"], found["wide_tensors"]) == ("finished", 0)
    assert found["recorded"] and pathlib.Path(tmp_path, found["model_file"]).is_file()
    assert found["test_accuracy"] > 0.85
    report = json.loads(
        without_tensorflow(command("audit", *fields, "--json"), tmp_path)
    )
    assert report["wide_tensors"] == 0 < report["tensors"]
    assert report["compiled_wide_tensors"] <= report["compiled_tensors"]


def test_a_net_is_made_without_compiling_each_operation_of_its_metrics(tmp_path):
    without_tensorflow(PREPARED, tmp_path)


def test_train_on_a_file_of_arrays(npz):
    fields = ("--model", "dnn", "--dataset", str(npz), "--precision", "16")
    trained = without_tensorflow(
        command("train", *fields, "--batch-size", "30", "--epochs", "3", "--json"),
        npz.parent,
    )
    found = json.loads(trained)
    assert (found["status"], found["wide_tensors"]) == ("finished", 0)
    assert found["test_accuracy"] > 0.9


def test_bench_times_what_needs_no_tensorflow(tmp_path):
    (tmp_path / "net.py").write_text(SMALL)
    printed = without_tensorflow(
        command(
            *("bench", "--models", "net.py:build", "--shape", "4,4,1"),
            *("--batch-sizes", "4", "--optimizer", "sgd", "--rounds", "1"),
            *("--seconds", "0.02", "--contenders", "keras-32,keras-16-noremap"),
            *("--json", "--quiet"),
        ),
        tmp_path,
    )
    found = json.loads(printed)
    assert found["machine"]["backend"] == "jax"
    (net,) = found["nets"]
    assert net["backend"] == "jax" and net["ceilings"]["float16"]["median"] > 0
    *ran, unmapped = net["contenders"]
    assert [one["name"] for one in ran] == ["keras16-16", "keras-32"]
    for one in ran:
        assert one["problem"] is None and one["overhead_seconds"], one
        assert one["first_step_seconds"] > one["step_seconds"]["median"] > 0
        assert one["peak_bytes"] > 0
    sixteen, wide = (one["state_bytes"]["weights"] for one in ran)
    assert 2 * sixteen == wide > 0
    assert unmapped["problem"] == "the remapper is TensorFlow's: there is none on JAX."


def test_doctor_says_nothing_of_tensorflow(tmp_path):
    printed = without_tensorflow(command("doctor"), tmp_path)
    assert "Nothing is wrong." in printed and "compiles every step" in printed
    assert "backend          jax, sees no GPU" in printed
    assert "times as fast" in printed
    assert "TensorFlow" not in printed and "oneDNN" not in printed


def test_data_sets_of_tensorflows_say_what_is_missing(tmp_path):
    code = """
from keras16.errors import UserError
from keras16 import data
try:
    data.load("cifar10")
except UserError as error:
    print(error)
"""
    assert "tensorflow-datasets" in without_tensorflow(code, tmp_path)
