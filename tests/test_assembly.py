"""From a run to a compiled model: catalogue parts, the user's own, and refusals."""

import zipfile

import keras
import numpy as np
import pytest

from keras16 import assembly, catalog, data, training
from keras16.audit import audit
from keras16.errors import UserError
from keras16.numerics import bits, softfloat
from keras16.schedules import constant, cosine
from keras16.study import Run
from tests.runs import prepared, start_over

FILE = """
import keras
layers = keras.layers

def fixed():
    return keras.Sequential([
        keras.Input((28, 28, 1)), layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ])

def by_shape(input_shape):
    return keras.Sequential([layers.Flatten(), layers.Dense(12)])

def by_both(input_shape, classes, width=4):
    inputs = keras.Input(input_shape)
    x = layers.Conv2D(width, 3, strides=3)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))

def by_any(*given):
    return by_both(*given)

class Subclassed(keras.Model):
    def __init__(self, input_shape, classes):
        super().__init__()
        self.given = input_shape, classes
        self.flatten, self.dense = layers.Flatten(), layers.Dense(classes)

    def get_config(self):
        return dict(zip(("input_shape", "classes"), self.given))

    def call(self, x):
        return self.dense(self.flatten(x))

def own_policy(input_shape, classes):
    keras.config.set_dtype_policy("float32")
    return by_both(input_shape, classes)

class Unsaved(Subclassed):
    def get_config(self):
        raise NotImplementedError

class Broken(Subclassed):
    def call(self, x):
        return self.dense(x) @ 3

def nothing():
    return None

def greedy(a, b, c):
    return None

def raising(input_shape, classes):
    return 1 / 0

def other_inputs(input_shape, classes):
    return keras.Sequential([keras.Input((4,)), layers.Dense(classes)])

def few_classes(input_shape, classes):
    return keras.Sequential([
        keras.Input(input_shape), layers.Flatten(), layers.Dense(classes - 1),
    ])

def images_out(input_shape, classes):
    return keras.Sequential([keras.Input(input_shape), layers.Conv2D(classes, 3)])

def two_outputs(input_shape, classes):
    inputs = keras.Input(input_shape)
    x = layers.Flatten()(inputs)
    return keras.Model(inputs, [layers.Dense(classes)(x), layers.Dense(1)(x)])
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("nets") / "nets.py"
    path.write_text(FILE)
    return path


def logits(run):
    x, _ = run.batch
    return np.asarray(run.model(x, training=False), "float64")


# --- The catalogue


def test_the_parameters_of_the_catalogue():
    def count(name, shape, classes=10):
        return catalog.load("models", name)(shape, classes).count_params()

    assert count("dnn", (28, 28, 1)) == 535_818  # 784-512-256-10
    assert count("cnn", (28, 28, 1)) == 29_402
    assert count("airbench", (32, 32, 3)) == 1_973_992
    # He et al., table 6, says .27 and .85 million.
    assert count("resnet20", (32, 32, 3)) == pytest.approx(0.27e6, rel=0.03)
    assert count("resnet56", (32, 32, 3)) == pytest.approx(0.85e6, rel=0.03)


def test_a_model_returns_logits_of_any_number_of_classes():
    for name in catalog.names("models"):
        model = catalog.load("models", name)((33, 32, 1), 7)
        assert model.output_shape == (None, 7)
        assert model.layers[-1].activation is keras.activations.linear


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("cnn", (20,), "use --model dnn"),
        ("cnn", (7, 28, 1), "8 x 8 pixels or more"),
        ("resnet20", (28, 28), "use --model dnn"),
        ("resnet21", (28, 28, 1), "the depth must be 6n [+] 2"),
        ("resnet2", (28, 28, 1), "the depth must be 6n [+] 2"),
        ("airbench", (9, 32, 3), "10 x 10 pixels or more.*use --model dnn"),
        ("alexnet", (26, 32, 3), "27 x 27 pixels or more.*use --model resnet20"),
        ("vgg16", (28, 28, 1), "32 x 32 pixels or more.*--model applications.VGG16"),
        ("vgg17", (32, 32, 3), "no vgg17: there are vgg16 and vgg19"),
        ("densenet100", (32, 32, 3), "there are densenet121, densenet169, densenet201"),
        ("densenet121", (31, 32, 3), "--model applications.DenseNet121"),
        ("mobilenetv2", (32, 32), "wants images .*use --model dnn"),
        ("mobilenetv3", (32, 32, 3), "did you mean 'mobilenetv2'"),
        ("vit0", (32, 32, 3), "the depth is the number of blocks, as in vit8"),
        ("vit8", (5, 32, 3), "6 x 6 pixels or more"),
        ("xception", (7, 7, 3), "8 x 8 pixels or more"),
        ("cnn5", (28, 28, 1), "no 'cnn5': cnn has one depth, so leave out 5"),
        ("lenet", (28, 28, 1), "no model 'lenet': .* There are airbench, alexnet, cnn"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(name, shape, words):
    with pytest.raises(UserError, match=words) as refused:
        catalog.load("models", name)(shape, 10)
    assert "\n" not in str(refused.value)


def test_a_constant_schedule_is_its_rate():
    assert constant.build(0.25, 100) == 0.25
    assert isinstance(constant.build(1, 100), float)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_cosine_is_that_of_float64(dtype):
    steps, start = 500, 3e-3
    schedule = cosine.CosineDecay(start, steps)
    exact = start * (1 + np.cos(np.pi * np.arange(steps + 1) / steps)) / 2
    for step in range(0, steps + 1, 25):
        word = schedule.word(keras.ops.convert_to_tensor(step))
        rate = softfloat.of_word(word).rounded(dtype)
        assert float(rate) == float(bits.host_cast(exact[step], dtype))
    assert int(schedule.word(keras.ops.convert_to_tensor(10 * steps))) == 0
    assert schedule.rate(7) == pytest.approx(exact[7], rel=1e-12)


def test_a_cosine_round_trips_and_may_end_above_zero():
    schedule = cosine.CosineDecay(0.1, 10, alpha=0.5)
    again = cosine.CosineDecay.from_config(schedule.get_config())
    assert again.get_config() == schedule.get_config()
    assert again.rate(10) == again.rate(99) == pytest.approx(0.05)


# --- The run's settings


def test_what_a_run_leaves_open_is_filled_in():
    run = assembly.filled(Run(optimizer="sgd"))
    assert (run.learning_rate, run.momentum, run.epsilon) == (0.01, 0.9, None)
    assert assembly.filled(Run(learning_rate=0.5)).learning_rate == 0.5


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"optimizer": "adam", "momentum": 0.9}, "adam has no momentum"),
        ({"optimizer": "sgd", "epsilon": 1e-3}, "sgd has no epsilon"),
        ({"optimizer": "rmsprop", "nesterov": True}, "rmsprop has no nesterov"),
    ],
)
def test_a_setting_that_an_optimizer_has_not_is_refused(fields, words):
    with pytest.raises(UserError, match=words):
        training.prepare(Run(model="dnn", **fields))


def test_the_settings_reach_the_optimizer():
    run = prepared(
        model="dnn",
        optimizer="sgd",
        learning_rate=0.5,
        momentum=0.75,
        nesterov=True,
        weight_decay=0.125,
        schedule="constant",
    )
    optimizer = run.model.optimizer
    assert type(optimizer).__module__ == "keras16.optimizers.sgd"
    assert (optimizer.momentum, optimizer.nesterov) == (0.75, True)
    assert optimizer.weight_decay == 0.125 and float(optimizer.learning_rate) == 0.5
    assert run.net.rate_at(3) == 0.5


@pytest.mark.parametrize("precision", ["16", "32"])
def test_mixed_alone_scales_its_loss(precision):
    assert not hasattr(
        prepared(model="dnn", precision=precision).model.optimizer, "inner_optimizer"
    )
    mixed = prepared(model="dnn", precision="mixed").model.optimizer
    assert isinstance(mixed, keras.optimizers.LossScaleOptimizer)


@pytest.mark.parametrize(("precision", "tolerance"), [("16", 4e-3), ("32", 1e-6)])
def test_pixels_are_standardized_inside_the_step(precision, tolerance):
    run = prepared(model="dnn", precision=precision)
    x = run.dataset.x_train[run.training_rows].astype("float64")
    layer = run.model.get_layer("standardize")
    result = np.asarray(layer(run.dataset.x_train[:50]), "float64")
    expected = (run.dataset.x_train[:50] - x.mean()) / x.std()
    np.testing.assert_allclose(result, expected, atol=tolerance, rtol=tolerance)
    assert run.model.inputs[0].dtype == "uint8"


# --- The user's own model


@pytest.mark.parametrize(
    "name", ["fixed", "by_shape", "by_both", "by_any", "Subclassed", "own_policy"]
)
def test_a_function_of_the_users_gives_the_model(file, name):
    run = prepared(model=f"{file}:{name}")
    assert audit(run.model, *run.batch).pure
    result = logits(run)
    assert result.shape[1] >= 10
    assert not np.allclose(result.sum(axis=1), 1, atol=1e-2)  # logits, no softmax


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing", "returned NoneType: it must return a keras.Model"),
        ("greedy", "missing 1 required positional argument"),
        ("raising", "nets.py, line .* in raising.*: ZeroDivisionError"),
        (
            "other_inputs",
            r"takes inputs of shape \(4,\), but mnist5k has \(28, 28, 1\)",
        ),
        ("few_classes", r"returns shape \(9,\), but mnist5k has 10 classes"),
        ("images_out", r"returns shape \(26, 26, 10\), but mnist5k has 10 classes"),
        ("two_outputs", "1 inputs and 2 outputs"),
        ("Unsaved", "can't be saved: give every class of its own a get_config"),
        ("Broken", "Broken"),
        ("missing", "has no function 'missing'"),
    ],
)
def test_a_function_that_gives_no_usable_model_is_refused(file, name, words):
    with pytest.raises(UserError, match=words) as refused:
        training.prepare(Run(model=f"{file}:{name}"))
    assert "\n" not in str(refused.value)


@pytest.fixture
def plain(tmp_path):
    """A model of plain Keras in float32, trained a little, and where it is saved."""
    inputs = keras.Input((28, 28, 1))
    x = keras.layers.Conv2D(4, 3, strides=2)(inputs)
    x = keras.layers.BatchNormalization(momentum=0.5)(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))
    model.compile("sgd", "sparse_categorical_crossentropy")
    digits = data.load("mnist5k")
    x = digits.x_train[:256] / np.float32(255)
    model.fit(x, digits.y_train[:256], epochs=1, verbose=0)
    model.save(tmp_path / "plain.keras")
    return model, tmp_path / "plain.keras"


@pytest.mark.parametrize(("precision", "tolerance"), [("16", 2e-3), ("32", 1e-5)])
def test_a_saved_model_brings_its_weights(plain, precision, tolerance):
    model, path = plain
    moved = model.layers[2].moving_mean.numpy()
    assert np.abs(moved).max() > 1e-3  # the statistics have something to tell
    run = prepared(model=str(path), precision=precision)
    x = run.dataset.x_test[:64]
    standardized = run.model.get_layer("standardize")(x)
    expected = model(np.asarray(standardized, "float32"), training=False).numpy()
    z = np.asarray(run.model(x, training=False), "float64")
    z = np.exp(z - z.max(axis=1, keepdims=True))
    np.testing.assert_allclose(
        z / z.sum(axis=1, keepdims=True), expected, atol=tolerance
    )
    assert audit(run.model, *run.batch).pure == (precision == "16")


@pytest.mark.parametrize("content", [None, b"", b"no zip", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_model_is_refused(tmp_path, content):
    path = tmp_path / "net.keras"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match="net.keras") as refused:
        training.prepare(Run(model=str(path)))
    assert "\n" not in str(refused.value)
    told = "no file" if content is None else "is damaged or no .keras file"
    assert told in str(refused.value)


def test_an_archive_that_is_no_model_is_refused(tmp_path):
    path = tmp_path / "net.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(UserError, match=r"net\.keras can't be loaded") as refused:
        training.prepare(Run(model=str(path)))
    assert "\n" not in str(refused.value)


def test_a_model_of_raw_pixels_gets_them_raw(tmp_path):
    first = prepared(model="dnn")
    first.model.save(tmp_path / "net.keras")
    expected = logits(first)
    start_over()
    again = prepared(model=str(tmp_path / "net.keras"))
    assert [layer.name for layer in again.model.layers].count("standardize") == 1
    np.testing.assert_array_equal(logits(again), expected)


# --- The kind of batch normalization


@pytest.mark.parametrize(
    ("precision", "batch_norm", "dtype", "pure"),
    [
        ("16", "stock", "float32", False),
        ("16", "plain", "float16", True),
        ("16-plain", "keras16", "float16", True),
        ("32", "stock", "float32", False),
    ],
)
def test_batch_normalization_is_the_one_asked_for(precision, batch_norm, dtype, pure):
    ready = prepared(precision=precision, batch_norm=batch_norm)
    names = {
        "stock": "BatchNormalization",
        "plain": "PlainBatchNormalization",
        "keras16": "BatchNormalization",
    }
    (norm,) = (x for x in ready.model._flatten_layers() if x.name == "norm_1")
    assert type(norm).__name__ == names[batch_norm]
    assert type(norm).__module__.startswith("keras.") == (batch_norm == "stock")
    assert str(norm.gamma.dtype) == dtype
    others = [v for v in ready.model.variables if "norm" not in v.path]
    floats = {str(v.dtype) for v in others if "float" in str(v.dtype)}
    assert floats == {"float32" if precision == "32" else "float16"}
    assert audit(ready.model, *ready.batch).pure == pure


def test_label_smoothing_changes_the_loss_and_stays_pure():
    ready = prepared(model="dnn", label_smoothing=0.1)
    assert ready.model.loss.label_smoothing == 0.1
    assert audit(ready.model, *ready.batch).pure
