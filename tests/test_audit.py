"""The audit: what it counts, what it names, and that it changes nothing."""

from __future__ import annotations

import importlib
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras16.audit import AuditReport, WideTensor, audit, report
from keras16.backend.tensor import Tensor
from keras16.errors import UserError

ROOT = pathlib.Path(__file__).parents[1]
FILE = pathlib.Path(__file__).name
CLASSES = 3

STOCK = """
import keras, numpy as np
keras.config.set_floatx("float16")
keras.config.set_dtype_policy("float16")
from keras16.audit import audit
layers = keras.layers
model = keras.Sequential([
    keras.Input((28, 28, 1)),
    layers.Conv2D(8, 3), layers.BatchNormalization(), layers.ReLU(),
    layers.GlobalAveragePooling2D(), layers.Dense(10),
])
x, y = np.zeros((4, 28, 28, 1)), np.zeros(4, "int64")
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
reports = []
for jit_compile in (False, True):
    model.compile("adam", loss, metrics=["accuracy"], jit_compile=jit_compile)
    reports += [audit(model, x, y)]
assert reports[0] == reports[1], "another answer for a compiled step"
print(reports[0].to_json())
print(reports[0])
"""


def identity(tensor):
    return tensor


class Bend(keras.layers.Layer):
    """Applies any function, under a layer's name."""

    def __init__(self, function):
        super().__init__(dtype="float16", name="bend")
        self.function = function

    def call(self, inputs):
        return self.function(inputs)


class PureStep(keras.Model):
    """A step written in float16 alone, with places to put something wider in."""

    def __init__(
        self, *, layer=identity, forward=identity, update=identity, metric=identity
    ):
        super().__init__(dtype="float16")
        self.dense = keras.layers.Dense(CLASSES, dtype="float16")
        self.bend = Bend(layer)
        self.forward, self.update, self.metric = forward, update, metric

    def call(self, x):
        return self.forward(self.bend(self.dense(x)))

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            error = self(x, training=True) - tf.one_hot(y, CLASSES, dtype="float16")
            loss = tf.reduce_sum(tf.square(error))
        weights = self.trainable_variables
        for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
            weight.value.assign_sub(self.update(gradient * 0.01))
        return {"loss": self.metric(loss)}


def through(dtype):
    """One cast to `dtype`, and back."""

    def widen(tensor):
        return tf.cast(tf.cast(tensor, dtype), "float16")

    return widen


def in_while_body(dtype):
    widen = through(dtype)

    def loop(tensor):
        def body(step, value):
            return step + 1, widen(value)

        return tf.while_loop(lambda step, _: step < 2, body, [0, tensor])[1]

    return loop


def in_branch(dtype):
    widen = through(dtype)
    return lambda tensor: tf.cond(
        tf.reduce_any(tensor > 0), lambda: tensor, lambda: widen(tensor)
    )


def in_switch(dtype):
    widen = through(dtype)
    branches = [identity, identity, widen]
    return lambda tensor: tf.switch_case(
        tf.size(tensor), [lambda f=branch: f(tensor) for branch in branches]
    )


def in_compiled_function(dtype):
    return tf.function(through(dtype), jit_compile=True)


def in_function_of_loop(dtype):
    return tf.function(in_while_body(dtype))


def in_custom_gradient(dtype):
    widen = through(dtype)

    @tf.custom_gradient
    def straight(tensor):
        return tf.identity(tensor), lambda gradient: widen(gradient)

    return straight


NESTS = (
    through,
    in_while_body,
    in_branch,
    in_switch,
    in_compiled_function,
    in_function_of_loop,
)


@pytest.fixture
def floatx16():
    """Optimizers and metrics take their dtype from floatx, whatever the policies."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float16")
    keras.config.set_dtype_policy("float16")
    yield
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)


@pytest.fixture
def batch():
    return np.ones((4, 5), "float16"), np.zeros(4, "int32")


@pytest.fixture
def audited(floatx16, batch):
    """Audits a `PureStep` with the given parts."""

    def run(**parts):
        model = PureStep(**parts)
        model.compile(keras.optimizers.SGD(), jit_compile=False)
        return audit(model, *batch)

    return run


def value_of(variable):
    return variable.value.numpy()


def small_model(**options):
    model = keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(4, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(CLASSES),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], **options)
    return model


def test_stock_keras_under_float16_is_caught():
    done = subprocess.run(
        [sys.executable, "-c", STOCK],
        cwd=ROOT,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    line, *printed = done.stdout.splitlines()
    found = json.loads(line)
    assert found["precision"] == "float16"
    assert 60 <= found["wide_tensors"] <= 120
    assert found["wide_tensors"] == len(found["wide"]) < found["tensors"]
    sources = {wide["source"] for wide in found["wide"]}
    assert sources == {
        "batch_normalization (keras BatchNormalization)",
        "global_average_pooling2d (keras GlobalAveragePooling2D)",
        "loss (keras sparse_categorical_crossentropy)",
        "metrics (keras sparse_categorical_accuracy)",
    }
    assert printed[0].startswith("not pure: ")
    assert printed[1].startswith("  batch_normalization (keras BatchNormalization): ")


def test_stock_float32_is_wide_throughout(batch):
    keras.utils.clear_session()  # else tests before this one number the layers
    found = audit(small_model(), *batch)
    assert found.tensors == found.wide_tensors > 100
    assert not found.pure
    assert found.precision == "float32"
    assert {"input x", "dense (keras Dense)"} < {wide.source for wide in found.wide}
    assert "optimizer (keras Adam.update_step)" in str(found)


def test_pure_step_is_pure(audited):
    found = audited()
    assert found.wide == ()
    assert found.pure
    assert found.tensors > 20
    assert str(found) == (
        f"pure: 0 of {found.tensors} floating tensors in the training step "
        "are wider than 16 bits"
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("nest", NESTS, ids=lambda nest: nest.__name__)
def test_one_cast_in_a_layer_is_caught(audited, nest, dtype):
    found = audited(layer=nest(dtype))
    assert not found.pure
    assert {wide.dtype for wide in found.wide} == {dtype}
    for wide in found.wide:
        assert wide.source.startswith("bend (Bend")
    assert any(f"{FILE}:" in wide.source for wide in found.wide)


@pytest.mark.parametrize("place", ["forward", "update", "metric"])
@pytest.mark.parametrize("nest", NESTS, ids=lambda nest: nest.__name__)
def test_one_cast_outside_of_layers_is_caught(audited, nest, place):
    found = audited(**{place: nest("float32")})
    assert not found.pure
    for wide in found.wide:
        assert wide.source.startswith(f"{FILE}:")
    assert any(wide.source.endswith(" in widen") for wide in found.wide)


@pytest.mark.parametrize("place", ["layer", "forward"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradient_written_by_the_user_is_named_by_its_line(audited, place, dtype):
    found = audited(**{place: in_custom_gradient(dtype)})
    (wide,) = found.wide
    assert (wide.operation, wide.dtype) == ("Cast", dtype)
    assert wide.source.startswith(f"{FILE}:") and wide.source.endswith(" in widen")


def test_one_cast_counts_once_forward_and_once_backward(audited):
    found = audited(layer=through("float32"))
    assert [wide.operation for wide in found.wide] == ["Cast", "Cast"]
    assert [wide.shape for wide in found.wide] == [(None, CLASSES)] * 2


def test_function_called_twice_is_looked_at_once(audited):
    function = in_compiled_function("float32")
    once = audited(metric=function)
    twice = audited(metric=lambda tensor: function(function(tensor)))
    assert once.wide_tensors == twice.wide_tensors == 1


def test_constants_and_empty_tensors(audited):
    def with_constant(shape):
        def add(tensor):
            constant = tf.constant(1.0, "float32", shape)
            with tf.control_dependencies([constant]):
                return tf.identity(tensor)

        return add

    assert audited(forward=with_constant(())).pure
    assert audited(forward=with_constant((0, 3))).pure
    found = audited(forward=with_constant((1,)))
    assert [wide.operation for wide in found.wide] == ["Const"]
    assert found.wide[0].source.endswith(" in add")


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_scalar_that_is_no_constant_counts(audited, dtype):
    found = audited(metric=through(dtype))
    assert found.wide[0].dtype == dtype
    assert [(wide.operation, wide.shape) for wide in found.wide] == [("Cast", ())]


def test_variable_that_the_step_never_reads_counts(floatx16, batch):
    model = PureStep()
    model.idle = keras.Variable(
        np.ones(2), dtype="float32", trainable=False, name="idle"
    )
    model.compile(keras.optimizers.SGD())
    found = audit(model, *batch)
    assert [wide.operation for wide in found.wide] == ["Variable"]
    assert found.wide[0].source.endswith("idle")


def test_optimizer_of_wider_variables_is_caught(batch):
    model = PureStep()
    model.compile(keras.optimizers.SGD())
    x, y = tf.constant(batch[0]), tf.constant(batch[1])
    found = audit(model, x, y)
    assert {wide.operation for wide in found.wide} == {"Variable"}
    assert any(wide.source.endswith("/learning_rate") for wide in found.wide)


def test_arrays_are_cast_as_fit_casts_them_and_tensors_are_not(floatx16, batch):
    model = PureStep()
    model.compile(keras.optimizers.SGD())
    x, y = batch[0].astype("float64"), batch[1]
    assert audit(model, x, y).pure
    found = audit(model, tf.constant(x), tf.constant(y))
    assert found.wide[0] == WideTensor("Placeholder", "float64", (4, 5), "input x")


def test_user_loss_is_named_by_its_line(floatx16, batch):
    def focal(y_true, y_pred):
        return keras.ops.square(tf.cast(y_pred, "float32"))

    model = keras.Sequential([keras.layers.Dense(CLASSES, dtype="float16")])
    model.compile(keras.optimizers.SGD(), loss=focal)
    wide = audit(model, *batch).wide
    own = [tensor for tensor in wide if tensor.source.endswith(" in focal")]
    assert len(own) >= 4  # the cast, the square and their gradients
    assert own[0].source.startswith(f"{FILE}:")


def test_shared_and_numbered_layers_are_told_apart(batch):
    shared = keras.layers.Dense(5, dtype="float16", name="dense")
    wide = keras.layers.Dense(5, dtype="float32", name="dense_1")
    model = keras.Sequential([shared, keras.layers.Activation("relu", dtype="float16")])
    inputs = keras.Input((5,), dtype="float16")
    inner = keras.Model(inputs, wide(shared(shared(inputs))), name="inner")
    model = keras.Sequential([inner], name="outer")
    loss = keras.losses.SparseCategoricalCrossentropy(dtype="float16")
    model.compile("sgd", loss)
    layers = {w.source for w in audit(model, *batch).wide if "Dense" in w.source}
    assert layers == {"inner/dense_1 (keras Dense)"}


@pytest.mark.parametrize(
    "options", [{}, {"jit_compile": True}, {"steps_per_execution": 3}], ids=str
)
def test_nothing_changes_and_fit_goes_on(batch, options):
    x, y = np.random.default_rng(0).normal(size=(4, 5)), batch[1]
    model = small_model(**options)
    fresh = audit(model, x, y)  # a model that never ran
    model.fit(x, y, epochs=2, verbose=0)
    states = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    before = [value_of(state) for state in states]
    assert audit(model, x, y) == fresh
    assert all(map(np.array_equal, before, map(value_of, states)))
    model.fit(x, y, verbose=0)
    assert not np.array_equal(before[0], value_of(states[0]))
    assert audit(model, x, y) == fresh


def test_audit_of_a_fresh_model_leaves_its_training_as_it_was(batch):
    def trained(with_audit):
        keras.utils.set_random_seed(1)
        model = small_model()
        if with_audit:
            audit(model, *batch)
        model.fit(*batch, epochs=2, verbose=0)
        return model.get_weights()

    for audited, untouched in zip(trained(True), trained(False), strict=True):
        np.testing.assert_array_equal(audited, untouched)


def test_inputs_and_weights_in_any_structure():
    left, right = keras.Input((2,), name="left"), keras.Input((3,), name="right")
    joined = keras.layers.Concatenate()([left, right])
    model = keras.Model({"left": left, "right": right}, keras.layers.Dense(1)(joined))
    model.compile("sgd", "mse", weighted_metrics=["mae"])
    x = {"left": np.ones((4, 2)), "right": np.ones((4, 3))}
    found = audit(model, x, np.ones((4, 1)), sample_weight=np.ones(4))
    sources = [wide.source for wide in found.wide if wide.operation == "Placeholder"]
    assert sources == ["input x", "input x", "input y", "input sample_weight"]


def test_sources_hold_no_absolute_path(audited, batch):
    reports = [audit(small_model(), *batch)]
    reports += [
        audited(forward=nest("float32")) for nest in (*NESTS, in_custom_gradient)
    ]
    sources = [wide.source for found in reports for wide in found.wide]
    assert all(sources)
    assert not any(
        os.sep + "home" in s or str(ROOT) in s or s[0] == os.sep for s in sources
    )
    assert "training step" not in sources


def test_what_cannot_be_audited_is_told_in_one_line(batch):
    x, y = batch
    model = small_model()
    refused = {
        "takes a Keras model": lambda: audit(object(), x, y),
        "not compiled": lambda: audit(keras.Sequential([keras.layers.Dense(1)]), x, y),
        "3 and 4 examples": lambda: audit(model, x, y[:3]),
        "x holds a float": lambda: audit(model, 1.0, y),
        "x is empty": lambda: audit(model, None),
        "can't be traced": lambda: audit(model, np.ones((4, 6)), y),
    }
    for words, call in refused.items():
        with pytest.raises(UserError, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_an_optimizer_that_cannot_make_its_slots_is_told_in_one_line(batch):
    class Slotless(keras.optimizers.SGD):
        def build(self, variables):
            raise RuntimeError("no room for slots")

    model = small_model()
    model.compile(Slotless(), "mse")
    with pytest.raises(UserError, match="no room for slots") as caught:
        audit(model, *batch)
    assert "\n" not in str(caught.value)


def test_report_judges_tensors_of_any_origin():
    tensors = [
        Tensor("dot", "bfloat16", (2,)),
        Tensor("dot", "float8_e4m3fn", (2,)),
        Tensor("dot", "int64", (2,)),
        Tensor("dot", "string", ()),
        Tensor("constant", "float64", (), constant=True),
        Tensor("constant", "float64", (2,), constant=True, source="a"),
        Tensor("dot", "float32", (3, 0)),
        Tensor("dot", "float32", None, source="b"),
        Tensor("fft", "complex64", (None,), source="b"),
    ]
    found = report(tensors, "16")
    assert found.tensors == 5
    assert [wide.dtype for wide in found.wide] == ["float64", "float32", "complex64"]


def test_json_has_the_published_keys():
    wide = WideTensor("Cast", "float32", (None, 3), "dense (keras Dense)")
    found = json.loads(AuditReport("16", 7, (wide,)).to_json())
    assert found == {
        "precision": "16",
        "tensors": 7,
        "wide_tensors": 1,
        "wide": [
            {
                "operation": "Cast",
                "dtype": "float32",
                "shape": [None, 3],
                "source": "dense (keras Dense)",
            }
        ],
    }


def test_print_groups_by_source_and_counts_the_rest():
    wide = [WideTensor("Cast", "float32", (), f"layer{index}") for index in range(12)]
    wide += [WideTensor("Mul", "float64", (), "layer3")] * 2
    wide += [WideTensor("Variable", "float32", (2,), "layer3/kernel")]
    lines = str(AuditReport("16", 99, tuple(wide))).splitlines()
    assert lines[0] == (
        "not pure: 15 of 99 floating tensors in the training step "
        "are wider than 16 bits"
    )
    assert lines[1] == "  layer3: 1 float32 and 2 float64 tensors, first at Cast"
    assert lines[-1] == "  and 3 more, from 3 other sources"
    assert len(lines) == 12


def test_print_names_what_keras16_has_instead(monkeypatch):
    layers = importlib.import_module("keras16.layers")
    monkeypatch.setattr(layers, "BatchNormalization", object(), raising=False)
    losses = importlib.import_module("keras16.losses")
    monkeypatch.setattr(losses, "MeanSquaredError", object(), raising=False)
    sources = (
        "norm (keras BatchNormalization)",
        "loss (keras mean_squared_error)",
        "gone (keras NoSuchLayer)",
        "other (keras BatchNormalization)",
    )
    wide = tuple(WideTensor("Cast", "float32", (), source) for source in sources)
    assert str(AuditReport("16", 9, wide)).splitlines()[-1] == (
        "  in 16 bits: keras16.layers.BatchNormalization, "
        "keras16.losses.MeanSquaredError"
    )


def test_module_imports_no_framework():
    code = (
        "import sys, keras16.audit; assert not {'keras', 'tensorflow'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
