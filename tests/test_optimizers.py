"""Keras' own kit for each optimizer, and steps in float16 against float64."""

import dataclasses

import keras
import numpy as np
import pytest

from keras16 import optimizers
from keras16.errors import UserError
from keras16.optimizers import adam, rmsprop, sgd
from tests.close import assert_close, host, units_off, wide
from tests.reference import optimizers as reference
from tests.traced import both, constant, formats, with_signature

STEPS = 20


@dataclasses.dataclass(frozen=True)
class Case:
    """An optimizer and its settings; rate 1e-3 for those that adapt, else 1e-2."""

    name: str
    settings: dict

    def __str__(self):
        return "-".join([self.name, *map(str, self.settings)])

    @property
    def rate(self):
        return 1e-2 if self.name == "SGD" else 1e-3

    def ours(self, **more):
        return self._made(optimizers, **more)

    def stock(self, **more):
        return self._made(keras.optimizers, **more)

    def in_float64(self, weight, gradients):
        settings = dict(self.settings)
        settings["decay"] = settings.pop("weight_decay", 0.0)
        twin = getattr(reference, self.name.lower())
        return twin(weight, wide(gradients), self.rate, **settings)

    def _made(self, package, **more):
        return getattr(package, self.name)(self.rate, **self.settings, **more)


CASES = [
    Case("SGD", {}),
    Case("SGD", {"momentum": 0.9}),
    Case("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    Case("RMSprop", {}),
    Case("RMSprop", {"momentum": 0.9, "centered": True, "weight_decay": 0.1}),
    Case("Adam", {}),
    Case("Adam", {"amsgrad": True, "weight_decay": 0.1}),
    Case("Adam", {"beta_2": 0.9999, "epsilon": 1e-7}),
]
cases = pytest.mark.parametrize("case", CASES, ids=str)
named = pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam"])


def trained(optimizer, start, gradients, dtype, compiled=False):
    """The variable after each of some steps, as one array."""
    variable = keras.Variable(np.asarray(start), dtype=dtype)
    optimizer.build([variable])
    apply = with_signature(
        lambda gradient: optimizer.apply([gradient], [variable]), compiled
    )
    path = []
    for gradient in gradients:
        apply(keras.ops.cast(gradient, dtype))
        path.append(host(variable).copy())
    return np.stack(path)


def gradients_of(size, seed=0, steps=STEPS, weights=16):
    """Gradients of about one size and either sign, more of them positive."""
    random = np.random.default_rng(seed)
    return (random.uniform(-0.4, 1, (steps, weights)) * size).astype("float16")


@cases
def test_configurations_go_round(case):
    optimizer = case.ours()
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is getattr(optimizers, case.name)
    assert again.get_config() == optimizer.get_config()


@pytest.mark.parametrize(
    "name, settings, expected",
    [
        ("SGD", {}, 1 - 0.1 * 0.5),
        ("SGD", {"momentum": 0.9}, 1 - 0.1 * 0.5),
        ("SGD", {"momentum": 0.9, "nesterov": True}, 1 - 0.1 * 0.5 * 1.9),
        ("RMSprop", {}, 1 - 0.1 * 0.5 / (0.1 * 0.25) ** 0.5),
        ("Adam", {}, 1 - 0.1),
        ("Adam", {"epsilon": 1.0}, 1 - 0.1 * 0.5 / (0.5 + 1 / 0.001**0.5)),
    ],
)
@formats
def test_one_step_by_hand(name, settings, expected, dtype):
    optimizer = getattr(optimizers, name)(0.1, **settings)
    path = trained(optimizer, [1.0], np.array([[0.5]]), dtype)
    assert_close(path[0], [expected], dtype, units=1)


@cases
def test_at_32_bits_the_steps_are_those_of_keras(case):
    gradients = np.random.default_rng(0).normal(size=(STEPS, 16)).astype("float32")
    start = np.linspace(-2, 2, 16).astype("float32")
    found = trained(case.ours(), start, gradients, "float32")
    stock = trained(case.stock(), start, gradients, "float32")
    assert_close(found, wide(stock), "float32", units=8)
    golden = case.in_float64(start, gradients)
    assert_close(found, golden, "float32", units=64, scale=np.abs(golden) + 0.1)


@both
@cases
def test_steps_in_float16(case, compiled):
    """Gradients of 1e-4, 1 and 3e4, side by side."""
    sizes = np.repeat([1e-4, 1.0, 3e4], 16)
    if case.settings.get("momentum") and case.name == "SGD":
        sizes = np.minimum(sizes, 5e3)  # the velocity comes to ten times the gradient
    gradients = gradients_of(sizes, weights=48)
    found = trained(case.ours(), np.zeros(48), gradients, "float16", compiled)
    expected = case.in_float64(np.zeros(48), gradients)
    # A mean of 3e-5 is kept to 0.2 %, twenty times over; larger ones far better.
    units = np.where(sizes < 1e-3, 40 if case.name == "Adam" else 8, 8)
    reach = np.abs(expected).max(axis=0)
    off = units_off(found, expected, "float16", scale=reach)
    assert np.all(off <= units), off.max(axis=0)


@both
@pytest.mark.parametrize(
    "name, limit", [("SGD", 0.4), ("RMSprop", 0.03), ("Adam", 0.2)]
)
def test_gradients_of_a_millionth_are_not_lost(name, limit, compiled):
    """They have 4 bits in float16: so do what the slots make of them."""
    case = Case(name, {"momentum": 0.9} if name == "SGD" else {})
    gradients = gradients_of(1e-6)
    # Steps of 1e-8 on a weight of 0 are lost by rounding to nearest, and no others.
    rounding = "kahan" if name == "SGD" else "nearest"
    optimizer = case.ours(rounding=rounding)
    found = trained(optimizer, np.zeros(16), gradients, "float16", compiled)
    expected = case.in_float64(np.zeros(16), gradients)
    off = np.abs(wide(found[-1]).mean() / expected[-1].mean() - 1)
    assert off < limit


def test_adam_of_keras_jumps_at_its_own_epsilon():
    gradients = np.full((1, 4), 1e-3)
    stock = trained(keras.optimizers.Adam(1e-3), np.zeros(4), gradients, "float16")
    assert np.all(np.abs(wide(stock)) > 0.4)
    ours = trained(optimizers.Adam(1e-3), np.zeros(4), gradients, "float16")
    expected = reference.adam(np.zeros(4), gradients, 1e-3)
    assert_close(ours, expected, "float16")


def test_adam_of_keras_is_nan_where_ours_is_not():
    gradients = np.full((2, 4), 3e4)
    stock = trained(keras.optimizers.Adam(1e-3), np.ones(4), gradients, "float16")
    assert np.all(np.isnan(stock[-1]))
    ours = trained(optimizers.Adam(1e-3), np.ones(4), gradients, "float16")
    assert_close(ours[-1], np.full(4, 1 - 2e-3), "float16", units=1)


@named
def test_weight_decay_is_not_lost_beside_the_step(name):
    """2e-4 of a weight is below half its unit: alone it is a no-op for ever."""
    rate, steps, weights = 1e-2, 1000, 2048
    gradients = np.random.default_rng(0).normal(size=(steps, weights)) * 0.2
    gradients = gradients.astype("float16")
    more = {} if name == "SGD" else {"epsilon": 1.0}
    optimizer = getattr(optimizers, name)(rate, weight_decay=0.02, **more)
    found = trained_in_one_call(optimizer, np.ones(weights), gradients)
    twin = getattr(reference, name.lower())
    expected = twin(np.ones(weights), wide(gradients), rate, decay=0.02, **more)[-1]
    assert expected.mean() < 0.85
    assert found.mean() == pytest.approx(expected.mean(), rel=0.02)
    stock = getattr(keras.optimizers, name)(rate, weight_decay=0.02)
    assert trained_in_one_call(stock, [1.0], 0 * gradients[:, :1]) == 1


def trained_in_one_call(optimizer, start, gradients):
    """The weights after many steps."""
    variable = keras.Variable(np.asarray(start), dtype="float16")
    optimizer.build([variable])
    rows = constant(gradients)

    apply = with_signature(
        lambda step: optimizer.apply([rows[step]], [variable]), compiled=False
    )
    for step in range(len(gradients)):
        apply(constant(step))
    return wide(variable)


@named
def test_excluded_variables_do_not_decay(name):
    optimizer = getattr(optimizers, name)(0.1, weight_decay=0.5)
    kernel = keras.Variable(np.ones(2), dtype="float16", name="kernel")
    bias = keras.Variable(np.ones(2), dtype="float16", name="bias")
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build([kernel, bias])
    zeros = keras.ops.zeros(2, "float16")
    optimizer.apply([zeros, zeros], [kernel, bias])
    assert_close(kernel, [0.95, 0.95], "float16", units=1)
    assert_close(bias, [1.0, 1.0], "float16", units=0)


@cases
def test_slots_are_float16_and_half_the_bytes(case):
    def slots(optimizer, dtype):
        variable = keras.Variable(np.ones((3, 5)), dtype=dtype, name="kernel")
        optimizer.build([variable])
        return [v for v in optimizer.variables if v.shape == (3, 5)]

    half = slots(case.ours(name="same"), "float16")
    full = slots(case.stock(name="same"), "float32")
    assert all(v.dtype == "float16" for v in half)
    assert 2 * sum(host(v).nbytes for v in half) == sum(host(v).nbytes for v in full)
    assert [v.path for v in half] == [v.path for v in full]


def test_adam_keeps_its_second_moment_over_3000_steps():
    random = np.random.default_rng(0)
    gradients = (random.normal(size=(3000, 64)) * 0.1).astype("float16")
    optimizer = optimizers.Adam(1e-3)
    trained_in_one_call(optimizer, np.zeros(64), gradients)
    squares = reference.adam_velocity(wide(gradients), 0.999)
    found = wide(optimizer._velocities[0])
    np.testing.assert_allclose(found.mean(), np.sqrt(squares).mean(), rtol=0.03)


@pytest.mark.parametrize("part", [adam, rmsprop, sgd])
def test_building_from_the_options_of_a_run(part):
    optimizer = part.build(lambda rate: rate * 2, learning_rate=0.25, weight_decay=None)
    assert float(optimizer.learning_rate) == 0.5
    assert optimizer.weight_decay is None
    assert part.build(lambda rate: rate, weight_decay=0.5).weight_decay == 0.5


def test_an_option_that_an_optimizer_has_not_is_refused():
    with pytest.raises(UserError, match="sgd has no epsilon"):
        sgd.build(lambda rate: rate, epsilon=1e-7)
    with pytest.raises(UserError, match="adam has no momentum"):
        adam.build(lambda rate: rate, momentum=0.9)
