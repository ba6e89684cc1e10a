"""Penalties and bounds on weights in float16, against float64."""

import keras
import numpy as np
import pytest

import keras16
from keras16 import constraints, initializers, regularizers
from keras16.audit import audit
from keras16.errors import UserError
from tests.close import host
from tests.traced import constant, value_and_gradients, with_signature

EPSILON = 1e-7
SCALES = pytest.mark.parametrize("scale", [1e-4, 1.0, 300.0, 1e4])
BOTH = pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])


def weights(scale=1.0, shape=(6, 5)):
    return (scale * np.random.default_rng(0).normal(size=shape)).astype("float16")


def unit(x):
    exponent = np.floor(np.log2(np.maximum(np.abs(x), 2.0**-14)))
    return 2.0 ** (exponent - 10)


def assert_units(found, expected, units):
    error = np.abs(np.asarray(found, "float64") - expected) / unit(expected)
    assert np.max(error) <= units, np.max(error)


def run(regularizer, w, compiled):
    step = with_signature(value_and_gradients(regularizer), compiled)
    value, gradient = step(constant(1.0, "float16"), constant(w))
    for each in (value, gradient):
        assert keras.backend.standardize_dtype(each.dtype) == "float16"
    return host(value), host(gradient)


@SCALES
@BOTH
def test_l1_and_l2_agree_with_float64(scale, compiled):
    w = weights(scale)
    exact = w.astype("float64")
    one, two = 0.01, 1e-5
    value, gradient = run(regularizers.L1L2(one, two), w, compiled)
    assert_units(value, one * np.abs(exact).sum() + two * (exact**2).sum(), 3)
    assert_units(gradient, one * np.sign(exact) + 2 * two * exact, 4)


def test_stock_l2_is_infinite_and_ours_is_right():
    w = np.full((100, 100), 3.0, "float16")
    assert np.isinf(float(keras.regularizers.L2(1e-4)(constant(w))))
    assert_units(float(regularizers.L2(1e-4)(constant(w))), 9.0, 1)
    assert_units(float(regularizers.L1(1e-4)(constant(w))), 3.0, 1)


def orthogonal(rows, factor):
    """The penalty, its gradient, and the size of the terms that this is made of."""
    length = np.sqrt((rows**2).sum(1, keepdims=True))
    units, share = rows / length, factor / (len(rows) * (len(rows) - 1))
    cosines = units @ units.T * (1 - np.eye(len(rows)))
    pull = np.sign(cosines) @ units
    along = (pull * units).sum(1, keepdims=True)
    scale = 2 * share / length
    terms = scale * (np.abs(np.sign(cosines)) @ np.abs(units) + np.abs(along * units))
    return share * np.abs(cosines).sum(), scale * (pull - along * units), terms


@pytest.mark.parametrize("mode", ["rows", "columns"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_orthogonal_agrees_with_float64(mode, scale):
    w = weights(scale)
    value, gradient = run(regularizers.OrthogonalRegularizer(0.5, mode), w, False)
    turn = np.transpose if mode == "columns" else np.asarray
    truth, slopes, terms = orthogonal(turn(w.astype("float64")), 0.5)
    stock = keras.regularizers.OrthogonalRegularizer(0.5, mode)
    assert float(stock(constant(w.astype("float32")))) == pytest.approx(truth)
    assert_units(value, truth, 4)
    # The gradient is a difference: 4 units in the last place of what is subtracted.
    error = np.abs(turn(gradient).astype("float64") - slopes)
    assert np.max(error / unit(terms)) <= 4


@pytest.mark.parametrize("name", ["L1", "L2", "L1L2", "OrthogonalRegularizer"])
def test_regularizer_round_trip_and_float32(name):
    ours = getattr(regularizers, name)(0.25)
    twin = regularizers.get(keras.saving.serialize_keras_object(ours))
    assert type(twin) is type(ours) and twin.get_config() == ours.get_config()
    stock = getattr(keras.regularizers, name)(0.25)
    assert type(regularizers.get(stock)) is type(ours)
    assert regularizers.get(stock).get_config() == stock.get_config()
    w = weights().astype("float32")
    np.testing.assert_allclose(ours(constant(w)), stock(constant(w)), rtol=1e-6)


def bounded(name, w):
    norms = np.sqrt((w**2).sum(0, keepdims=True))
    if name == "MaxNorm":
        return w * np.minimum(norms, 2) / (EPSILON + norms)
    if name == "UnitNorm":
        return w / (EPSILON + norms)
    return w * np.clip(norms, 0.5, 1.5) / (EPSILON + norms)


CONSTRAINTS = {
    "MaxNorm": {},
    "UnitNorm": {},
    "MinMaxNorm": {"min_value": 0.5, "max_value": 1.5},
}


@SCALES
@pytest.mark.parametrize("name", CONSTRAINTS)
def test_norms_agree_with_float64(name, scale):
    w = weights(scale)
    ours = getattr(constraints, name)(**CONSTRAINTS[name])
    assert_units(host(ours(constant(w))), bounded(name, w.astype("float64")), 3)


def test_stock_max_norm_is_zero_and_ours_is_right():
    w = weights(300.0)
    assert np.all(host(keras.constraints.MaxNorm(1)(constant(w))) != w)
    stock = host(keras.constraints.MaxNorm(1)(constant(w)))
    assert not np.all(np.isfinite(stock) & (stock != 0))
    ours = host(constraints.MaxNorm(1)(constant(w))).astype("float64")
    np.testing.assert_allclose(np.sqrt((ours**2).sum(0)), 1, rtol=2.0**-10)


def test_weights_within_the_bound_stay_bit_by_bit():
    w = weights(0.1)
    for bound in (constraints.MaxNorm(2), constraints.MinMaxNorm(0.0, 2.0)):
        np.testing.assert_array_equal(host(bound(constant(w))), w)


@pytest.mark.parametrize("name", [*CONSTRAINTS, "NonNeg"])
def test_constraint_round_trip_and_float32(name):
    ours = getattr(constraints, name)(**CONSTRAINTS.get(name, {}))
    twin = constraints.get(keras.saving.serialize_keras_object(ours))
    assert type(twin) is type(ours) and twin.get_config() == ours.get_config()
    stock = getattr(keras.constraints, name)(**CONSTRAINTS.get(name, {}))
    assert type(constraints.get(stock)) is type(ours)
    w = weights().astype("float32")
    np.testing.assert_allclose(ours(constant(w)), stock(constant(w)), rtol=1e-6)


def test_unknown_names_are_told_in_one_line():
    for get in (regularizers.get, constraints.get):
        assert get(None) is None
        with pytest.raises(UserError, match="'nothing'"):
            get("nothing")


def test_step_is_pure_and_saves(tmp_path):
    keras16.use("16")
    layer = keras.layers.Dense(
        4,
        kernel_regularizer=regularizers.L1L2(0.1, 0.1),
        kernel_constraint=constraints.MaxNorm(1),
        kernel_initializer=initializers.HeNormal(),
    )
    model = keras.Sequential([keras.Input((6,)), layer])
    model.compile(
        keras16.optimizers.SGD(), keras16.losses.MeanSquaredError(), jit_compile=False
    )
    x, y = weights(shape=(8, 6)), weights(shape=(8, 4))
    assert audit(model, x, y).pure
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras").layers[0]
    assert type(loaded.kernel_regularizer) is regularizers.L1L2
    assert type(loaded.kernel_constraint) is constraints.MaxNorm
