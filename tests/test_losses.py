"""Losses: values and gradients in float16 against float64, at every reduction."""

import functools

import keras
import numpy as np
import pytest
from keras.src.backend import set_keras_mask

import keras16
from keras16 import losses
from keras16.audit import audit
from keras16.errors import UserError
from keras16.losses import lookup
from tests.close import wide
from tests.reference import losses as reference
from tests.traced import (
    both,
    constant,
    traced,
    value_and_gradients,
    wide_tensors,
    with_signature,
)

ROWS, CLASSES = 64, 7


def random(seed=0):
    return np.random.default_rng(seed)


def real(scale=1.0, shape=(ROWS, CLASSES)):
    r = random()
    return tuple((scale * r.normal(size=shape)).astype("float16") for _ in range(2))


def positive(scale=1.0):
    return tuple(np.abs(x) + np.float16(1e-3) for x in real(scale))


def yes_or_no(predictions):
    return random(1).integers(0, 2, predictions.shape).astype("float16"), predictions


def logits(scale=3.0):
    return real(scale)[1]


def probabilities():
    p = reference.softmax(logits(2.0).astype("float64"))
    return p.astype("float16")


def classes(predictions):
    ids = random(2).integers(0, CLASSES, ROWS)
    return reference.one_hot(ids, CLASSES).astype("float16"), predictions


def ids(predictions):
    return random(2).integers(0, CLASSES, ROWS).astype("int32"), predictions


def regions():
    return yes_or_no(random(3).uniform(0, 1, (ROWS, CLASSES)).astype("float16"))


# name of the class, its arguments, labels and predictions
CASES = {
    "mse": ("MeanSquaredError", {}, real()),
    "mse of 300": ("MeanSquaredError", {}, real(150.0)),
    "mse of 1e-4": ("MeanSquaredError", {}, real(1e-4)),
    "mae": ("MeanAbsoluteError", {}, real()),
    "mape": ("MeanAbsolutePercentageError", {}, real()),
    "msle": ("MeanSquaredLogarithmicError", {}, positive(3.0)),
    "huber": ("Huber", {}, real(2.0)),
    "huber .1": ("Huber", {"delta": 0.1}, real()),
    "log cosh": ("LogCosh", {}, real()),
    "log cosh of .01": ("LogCosh", {}, real(0.01)),
    "log cosh of 300": ("LogCosh", {}, real(300.0)),
    "poisson": ("Poisson", {}, positive()),
    "hinge": ("Hinge", {}, yes_or_no(logits())),
    "squared hinge": ("SquaredHinge", {}, yes_or_no(logits(300.0))),
    "categorical hinge": ("CategoricalHinge", {}, classes(logits())),
    "kl": ("KLDivergence", {}, (probabilities()[::-1].copy(), probabilities())),
    "binary logits": (
        "BinaryCrossentropy",
        {"from_logits": True},
        yes_or_no(logits(5.0)),
    ),
    "binary logits smoothed": (
        "BinaryCrossentropy",
        {"from_logits": True, "label_smoothing": 0.1},
        yes_or_no(logits(5.0)),
    ),
    "binary probabilities": ("BinaryCrossentropy", {}, yes_or_no(probabilities())),
    "binary focal logits": (
        "BinaryFocalCrossentropy",
        {"from_logits": True, "apply_class_balancing": True},
        yes_or_no(logits()),
    ),
    "binary focal probabilities": (
        "BinaryFocalCrossentropy",
        {"gamma": 2.5},
        yes_or_no(probabilities()),
    ),
    "categorical logits": (
        "CategoricalCrossentropy",
        {"from_logits": True},
        classes(logits()),
    ),
    "categorical logits smoothed": (
        "CategoricalCrossentropy",
        {"from_logits": True, "label_smoothing": 0.1},
        classes(logits()),
    ),
    "categorical probabilities": (
        "CategoricalCrossentropy",
        {},
        classes(probabilities()),
    ),
    "categorical probabilities smoothed": (
        "CategoricalCrossentropy",
        {"label_smoothing": 0.1},
        classes(probabilities()),
    ),
    "categorical focal logits": (
        "CategoricalFocalCrossentropy",
        {"from_logits": True},
        classes(logits()),
    ),
    "categorical focal probabilities": (
        "CategoricalFocalCrossentropy",
        {"gamma": 1.5, "alpha": 0.4},
        classes(probabilities()),
    ),
    "sparse logits": (
        "SparseCategoricalCrossentropy",
        {"from_logits": True},
        ids(logits()),
    ),
    "sparse probabilities": (
        "SparseCategoricalCrossentropy",
        {},
        ids(probabilities()),
    ),
    "generalized": (
        "CategoricalGeneralizedCrossEntropy",
        {"q": 0.7},
        ids(probabilities()),
    ),
    "cosine": ("CosineSimilarity", {}, real()),
    "dice": ("Dice", {}, regions()),
    "tversky": ("Tversky", {"alpha": 0.3, "beta": 0.7}, regions()),
}
# Derivatives that are differences of two numbers of about 1: their error is
# 4 units in the last place of those, not of what is left.
DIFFERENCES = {
    "categorical logits smoothed": 1.0,
    "categorical probabilities smoothed": 8.0,
    "binary logits smoothed": 1.0,
    "cosine": 0.5,
}
CASE = pytest.mark.parametrize("case", CASES)
# One of each arithmetic: tracing and compiling all of them would take a minute.
KINDS = (
    "mse of 300",
    "msle",
    "huber .1",
    "log cosh",
    "poisson",
    "squared hinge",
    "categorical hinge",
    "kl",
    "binary logits smoothed",
    "binary focal probabilities",
    "categorical logits smoothed",
    "categorical focal probabilities",
    "sparse logits",
    "sparse probabilities",
    "generalized",
    "cosine",
    "tversky",
)


# Keras' class -> its twin under tests/reference.
TWINS = {name: function for function, name in lookup.OF_FUNCTION.items()}


def twin(case):
    name, arguments, _ = CASES[case]
    return functools.partial(getattr(reference, TWINS[name]), **arguments)


def loss_of(case):
    name, arguments, _ = CASES[case]
    return getattr(losses, name)(dtype="float16", **arguments)


def value_and_gradient(loss, y, p, weight=None):
    def of_predictions(p):
        return loss(y, p, weight)

    return value_and_gradients(of_predictions)(None, p)


def run(loss, y, p, weight=None, step=value_and_gradient):
    """The loss and its gradient by the predictions, eagerly unless told."""
    tensors = [None if x is None else constant(x) for x in (y, p, weight)]
    found = step(loss, *tensors)
    assert {keras.backend.standardize_dtype(x.dtype) for x in found} == {"float16"}
    return [wide(x) for x in found]


def as_fit_does(case, compiled):
    """The step of a case, traced for any batch; compiled for the one it has."""
    batch = CASES[case][2]
    step = with_signature(
        functools.partial(value_and_gradient, loss_of(case)),
        compiled,
        *(([None, *x.shape[1:]], x.dtype) for x in batch),
    )
    assert wide_tensors(step, *batch) == 0
    return lambda _, y, p, weight: step(y, p)


def unit(x):
    """The unit in the last place of float16 at x."""
    exponent = np.floor(np.log2(np.maximum(np.abs(x), 2.0**-14)))
    return 2.0 ** (exponent - 10)


def assert_units(found, expected, units, floor=0.0):
    """FLOOR: the size of the numbers whose difference is expected."""
    error = np.abs(found - expected) / unit(np.maximum(np.abs(expected), floor))
    assert np.all(np.isfinite(found))
    assert np.max(error) <= units, (np.max(error), np.argmax(error))


def expected(case, weight, share):
    """Losses, and the gradient of weight x share x loss."""
    _, _, (y, p) = CASES[case]
    y, p = (x if x.dtype.kind == "i" else x.astype("float64") for x in (y, p))
    function = twin(case)
    rows = function(y, p).shape != ()
    with np.errstate(all="ignore"):
        slopes = reference.gradient(function, y, p, weight * share, rows or False)
        return function(y, p), slopes


@CASE
def test_mean_and_gradient_agree_with_float64(case):
    assert_right(case, value_and_gradient)


@pytest.mark.parametrize("case", KINDS)
@both
def test_a_pure_step_agrees_with_float64(case, compiled):
    assert_right(case, as_fit_does(case, compiled))


def assert_right(case, step):
    _, _, (y, p) = CASES[case]
    value, gradient = run(loss_of(case), y, p, step=step)
    share = 1 if twin(case)(*map(np.float64, (y, p))).shape == () else 1 / ROWS
    each, slopes = expected(case, 1.0, share)
    assert_units(value, each.mean(), 4, floor=np.abs(each).mean())
    assert_units(gradient, slopes, 4, floor=DIFFERENCES.get(case, 0.0) * share)


@pytest.mark.parametrize("case", ["mse of 300", "sparse logits", "binary logits"])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean_with_sample_weight"])
def test_reductions_and_weights_agree_with_float64(case, reduction):
    name, arguments, (y, p) = CASES[case]
    weight = random(5).uniform(0.1, 3, ROWS).astype("float16")
    loss = getattr(losses, name)(dtype="float16", reduction=reduction, **arguments)
    value, gradient = run(loss, y, p, weight)
    w = weight.astype("float64")
    share = 1 / w.sum() if reduction == "mean_with_sample_weight" else 1
    each, slopes = expected(case, w, share)
    if reduction == "none":
        finite = np.where(each * w > 65504, np.inf, each * w)
        np.testing.assert_array_equal(np.isinf(value), np.isinf(finite))
        value, finite = value[np.isfinite(finite)], finite[np.isfinite(finite)]
        assert_units(value, finite, 4)
    elif np.sum(each * w) * share < 65504:
        assert_units(value, np.sum(each * w) * share, 4)
    assert_units(gradient, slopes, 4)


def test_the_divergence_of_close_numbers_keeps_its_digits():
    """log(y / p) of a rounded quotient would be 0 or twice what it is."""
    p = random(8).uniform(0.05, 0.99, (200, 1)).astype("float16")
    y = np.clip(p * (1 + unit(1.0) * random(9).integers(-40, 41, p.shape)), 0, 1)
    y = y.astype("float16")
    loss = losses.KLDivergence(dtype="float16", reduction="none")
    value, _ = run(loss, y, p)
    exact = reference.kl_divergence(y.astype("float64"), p.astype("float64"))
    assert np.sum(exact != 0) > 150
    assert_units(value, exact, 4)


def test_mask_means_over_what_counts():
    y, p = CASES["mse"][2]
    mask = random(6).integers(0, 2, ROWS).astype(bool)
    p = constant(p)
    set_keras_mask(p, constant(mask))
    value = losses.MeanSquaredError(dtype="float16")(y, p)
    each, _ = expected("mse", 1.0, 1.0)
    assert_units(float(value), each[mask].mean(), 4)
    set_keras_mask(p, constant(np.zeros_like(mask)))
    assert float(losses.MeanSquaredError(dtype="float16")(y, p)) == 0.0


def test_ignored_class_and_time_steps():
    z = real(shape=(4, 5, CLASSES))[0]
    labels = random(7).integers(-1, CLASSES, (4, 5)).astype("int32")
    loss = losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=-1, dtype="float16"
    )
    value, gradient = run(loss, labels, z)
    valid = labels >= 0
    each = reference.sparse_categorical_crossentropy(
        labels, z.astype("float64"), from_logits=True
    )
    assert_units(value, each[valid].mean(), 4)
    assert np.all(gradient[~valid] == 0) and np.all(gradient[valid] != 0)


def test_stock_mse_of_300_is_infinite_and_ours_is_right():
    y, p = np.zeros((2**17, 1), "float16"), np.zeros((2**17, 1), "float16")
    p[::2] = 300
    with floatx16():
        assert not np.isfinite(float(keras.losses.MeanSquaredError()(y, p)))
    value, gradient = run(losses.MeanSquaredError(dtype="float16"), y, p)
    assert_units(value, 45000.0, 1)
    assert_units(gradient, 2 * p.astype("float64") / 2**17, 1)


def test_stock_binary_crossentropy_of_certainty_is_nan_and_ours_is_not():
    y, p = np.ones((3, 1), "float16"), np.ones((3, 1), "float16")
    with floatx16():
        assert np.isnan(float(keras.losses.BinaryCrossentropy()(y, p)))
    value, gradient = run(losses.BinaryCrossentropy(dtype="float16"), y, p)
    assert_units(value, 1e-7, 1)
    assert np.all(gradient == 0)


def test_stock_corrupts_class_ids_above_2048_and_ours_does_not():
    z = np.zeros((1, 4099), "float16")
    z[0, 4097] = 9
    label = np.array([4097], "int32")
    options = {"from_logits": True}
    with floatx16():
        stock = keras.losses.SparseCategoricalCrossentropy(**options)(label, z)
    assert float(stock) > 8
    ours = losses.SparseCategoricalCrossentropy(dtype="float16", **options)
    truth = reference.sparse_categorical_crossentropy(
        label, z.astype("float64"), from_logits=True
    )
    assert_units(float(ours(label, z)), truth[0], 4)


@both
def test_single_losses_beyond_float16_with_a_mean_within(compiled):
    z = np.zeros((4, 3), "float16")
    z[0] = [6e4, -6e4, 0]
    labels = np.array([1, 0, 0, 0], "int32")
    ours = losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float16")
    step = traced(functools.partial(value_and_gradient, ours), compiled)
    value, gradient = step(constant(labels), constant(z))
    value, gradient = wide(value), wide(gradient)
    assert_units(value, (2 * float(z[0, 0]) + 3 * np.log(3)) / 4, 1)
    assert_units(gradient[0], np.array([0.25, -0.25, 0]), 1)


@pytest.mark.parametrize("error", [1e-7, 6e-5, 1.0, 250.0, 6e4])
@pytest.mark.parametrize("name", ["MeanAbsoluteError", "Huber", "LogCosh"])
def test_extremes(name, error):
    y, p = np.zeros((8, 2), "float16"), np.full((8, 2), error, "float16")
    value, gradient = run(getattr(losses, name)(dtype="float16"), y, p)
    function = getattr(reference, TWINS[name])
    y, p = y.astype("float64"), p.astype("float64")
    assert_units(value, function(y, p).mean(), 4)
    assert_units(gradient, reference.gradient(function, y, p, 1 / 8), 4)


@CASE
def test_nan_empty_and_one_example(case):
    _, _, (y, p) = CASES[case]
    broken = p.copy()
    broken[3] = np.nan
    loss = loss_of(case)
    assert np.isnan(run(loss, y, broken)[0])
    assert np.isfinite(run(loss, y[:1], p[:1])[0])
    assert run(loss, y[:0], p[:0])[0] <= 1  # dice and tversky of nothing are 1


@pytest.mark.parametrize("batch", [4096, 2**17])
def test_gradients_of_large_batches_are_rounded_once(batch):
    z = np.tile(np.array([[3.0, 0.1]], "float16"), (batch, 1))
    ids = np.ones(batch, "int32")
    ours = losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float16")
    _, gradient = run(ours, ids, z)
    p = reference.softmax(z.astype("float64"))
    truth = (p - reference.one_hot(ids, 2)) / batch
    assert_units(gradient, truth, 1)
    ours = losses.SparseCategoricalCrossentropy(
        from_logits=True, dtype="float16", reduction="sum"
    )
    assert_units(run(ours, ids, z)[1], truth * batch, 4)


@CASE
def test_float32_is_keras_own(case):
    name, arguments, (y, p) = CASES[case]
    y, p = (x if x.dtype.kind == "i" else x.astype("float32") for x in (y, p))
    ours = getattr(losses, name)(**arguments)(y, p)
    stock = getattr(keras.losses, name)(**arguments)(y, p)
    np.testing.assert_allclose(ours, stock, rtol=1e-6)


@CASE
def test_config_round_trip(case):
    name, arguments, (y, p) = CASES[case]
    loss = getattr(losses, name)(dtype="float16", reduction="sum", **arguments)
    config = keras.saving.serialize_keras_object(loss)
    twin = keras.saving.deserialize_keras_object(config)
    assert type(twin) is type(loss) and twin.get_config() == loss.get_config()


def test_logits_behind_a_softmax_are_found():
    y, p = CASES["sparse logits"][2]
    certain = keras.activations.softmax(constant(p * np.float16(8)))
    loss = losses.SparseCategoricalCrossentropy(dtype="float16")
    each = reference.sparse_categorical_crossentropy(
        y, (p * np.float16(8)).astype("float64"), from_logits=True
    )
    assert_units(float(loss(y, certain)), each.mean(), 4)


# get


@pytest.mark.parametrize("name", sorted(keras.src.losses.ALL_OBJECTS_DICT))
def test_get_finds_every_name_of_keras(name):
    if name in ("Loss", "LossFunctionWrapper"):
        return
    if name.lower() in ("ctc", "circle"):
        with pytest.raises(UserError, match="no 16-bit form"):
            losses.get(name, "float16")
        return
    found = losses.get(name, "float16")
    assert type(found).__module__.startswith("keras16.losses")
    assert found.dtype == "float16"


def test_get_carries_arguments_over():
    smoothed = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=0.1, reduction="sum", name="mine"
    )
    ours = losses.get(smoothed, "float16")
    assert type(ours) is losses.CategoricalCrossentropy
    assert ours.get_config() == {**smoothed.get_config(), "dtype": "float16"}
    assert losses.get(keras.losses.Huber(delta=3.0), "float16").delta == 3.0
    assert losses.get(keras.losses.CosineSimilarity(axis=1), "float16").axis == 1
    assert losses.get(None) is None
    with pytest.raises(UserError, match="no loss 'nothing'"):
        losses.get("nothing", "float16")


@keras.saving.register_keras_serializable("tests")
def mine(y_true, y_pred):
    return keras.ops.abs(y_pred[:, 0])


@keras.saving.register_keras_serializable("tests")
class Mine(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return mine(y_true, y_pred)


@keras.saving.register_keras_serializable("tests")
class Theirs(losses.MeanSquaredError):
    """Of a user's own, derived from ours."""


class ByItself(keras.losses.Loss):
    def __call__(self, y_true, y_pred, sample_weight=None):
        return keras.ops.mean(y_pred)


def test_get_reduces_what_is_not_ours():
    p = np.full((2**17, 1), 2.0, "float16")
    for loss in (mine, Mine()):
        found = losses.get(loss, "float16")
        value, gradient = run(found, p, p)
        assert value == 2.0
        np.testing.assert_array_equal(gradient, 2.0**-17)
        again = keras.losses.deserialize(keras.losses.serialize(found))
        assert again.get_config() == found.get_config()
        assert again.dtype == "float16" and float(again(p, p)) == 2.0
    with pytest.raises(UserError, match="ByItself reduces"):
        losses.get(ByItself(), "float16")
    by_itself = ByItself()
    assert losses.get(by_itself, "float32") is by_itself


@pytest.mark.parametrize("cls", [losses.Huber, Theirs, losses.Crossentropy])
def test_get_gives_ours_back_as_it_is_or_in_another_dtype(cls):
    ours = cls(dtype="float16")
    assert losses.get(ours, "float16") is ours
    other = losses.get(ours, "bfloat16")
    assert type(other) is cls and other.dtype == "bfloat16"
    again = keras.losses.deserialize(keras.losses.serialize(ours))
    assert type(again) is cls and again.dtype == "float16"


@pytest.mark.parametrize("identifier", ["mse", mine, keras.losses.huber, Mine()])
def test_get_names_a_loss_as_keras_does(identifier):
    model = small(identifier)
    model.fit(np.zeros((2, 5)), np.zeros((2, CLASSES)), verbose=0)
    stock = model._compile_loss._flat_losses[0].loss
    assert losses.get(identifier, "float16").name == stock.name


@pytest.mark.parametrize("name", ["crossentropy", "ce"])
def test_crossentropy_is_chosen_by_shape(name):
    y, p = CASES["sparse probabilities"][2]
    found = losses.get(name, "float16")
    stock = losses.SparseCategoricalCrossentropy(dtype="float16")
    assert float(found(y, p)) == float(stock(y, p))
    y, p = CASES["categorical probabilities"][2]
    stock = losses.CategoricalCrossentropy(dtype="float16")
    assert float(found(y, p)) == float(stock(y, p))


# In a model


def floatx16():
    return Floatx16()


class Floatx16:
    def __enter__(self):
        keras.config.set_floatx("float16")

    def __exit__(self, *error):
        keras.config.set_floatx("float32")


def small(loss, outputs=CLASSES, **options):
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(outputs)])
    model.compile(keras16.optimizers.SGD(), loss, jit_compile=False, **options)
    return model


def test_step_is_pure_where_stock_is_not():
    keras16.use("16")
    name, arguments, (y, _) = CASES["sparse logits"]
    x, ones = real(shape=(ROWS, 5))[0], np.ones(ROWS, "float16")
    stock = getattr(keras.losses, name)(**arguments)
    assert not audit(small(stock), x, y, sample_weight=ones).pure
    assert audit(small(loss_of("sparse logits")), x, y, sample_weight=ones).pure


def test_fit_with_class_weights_saves_and_loads(tmp_path):
    keras16.use("16")
    x, y = real(shape=(ROWS, 5))[0], CASES["sparse logits"][2][0]
    model = small(losses.SparseCategoricalCrossentropy(from_logits=True))
    weights = {0: 2.0, 1: 0.5, **{i: 1.0 for i in range(2, CLASSES)}}
    history = model.fit(x, y, class_weight=weights, batch_size=ROWS, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.loss) is losses.SparseCategoricalCrossentropy
    assert np.isfinite(history.history["loss"][0])
    np.testing.assert_array_equal(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0)
    )


@both
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_smoothed_crossentropy_is_the_definition_for_class_ids(dtype, compiled):
    random = np.random.default_rng(0)
    logits = (random.normal(size=(64, 10)) * 8).astype(dtype)
    ids = random.integers(0, 10, 64).astype("int32")
    loss = losses.SmoothedCrossentropy(
        from_logits=True, label_smoothing=0.1, dtype=dtype
    )
    z = logits.astype("float64")
    log_p = z - np.logaddexp.reduce(z, axis=1, keepdims=True)
    targets = 0.9 * np.eye(10)[ids] + 0.01
    found = traced(loss, compiled)(constant(ids), constant(logits))
    assert keras.backend.standardize_dtype(found.dtype) == dtype
    assert float(found) == pytest.approx(-(targets * log_p).sum(1).mean(), rel=2e-3)
    again = losses.SmoothedCrossentropy.from_config(loss.get_config())
    assert float(again(ids[:, None], logits)) == pytest.approx(float(found), rel=2e-3)
