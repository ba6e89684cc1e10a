"""Rounding of updated weights: exact sums, unbiased chance, losses that fall."""

import functools

import keras
import numpy as np
import pytest

from keras16 import losses, measure, optimizers, precision, schedules
from keras16.backend import optimizer as private
from keras16.errors import UserError
from keras16.numerics import noise, softfloat, tables
from keras16.optimizers._rounding import ROUNDINGS
from pipelines._options import ROUNDINGS as OFFERED
from tests.close import host
from tests.traced import both, constant, of_tensorflow
from tests.traced import with_signature as traced

DRAWS = 100_000


def unit(x):
    """The last place of a float16, in float64."""
    exponent = np.frexp(np.abs(np.asarray(x, "float64")))[1] - 1
    exponent = np.where(np.asarray(x) == 0, -14, np.maximum(exponent, -14))
    return np.ldexp(1.0, exponent - 10)


def every_kind_of_float16(count, seed):
    raw = np.random.default_rng(seed).integers(0, 2**16, 2 * count).astype("uint16")
    values = raw.view("float16")
    return values[np.isfinite(values)][:count]


# Sums in integers


@both
def test_kahans_sum_has_27_bits_whatever_is_added(compiled):
    random = np.random.default_rng(0)
    weight, step = (every_kind_of_float16(20_000, seed) for seed in (1, 2))
    exponent = random.integers(-30, 4, len(weight)).astype("int32")
    fraction = random.integers(-32767, 32768, len(weight)).astype("int16")

    def add(weight, fraction, step, exponent):
        addend = softfloat.of(step).times_power_of_two(exponent)
        sum_ = softfloat.of(weight, fraction) + addend
        return sum_.rounded_with_fraction("float16")

    found, left = (
        host(x).astype("float64")
        for x in traced(add, compiled)(weight, fraction, step, exponent)
    )
    addend = step.astype("float64") * 2.0**exponent
    exact = weight.astype("float64") + fraction * unit(weight) * 2.0**-16 + addend
    finite = np.isfinite(found)
    assert (np.abs(exact[~finite]) >= 65519.9).all()
    largest = np.maximum(np.abs(exact), np.maximum(np.abs(weight), np.abs(addend)))
    off = np.abs(found + left * unit(found) * 2.0**-16 - exact) / unit(largest)
    assert off[finite].max() <= 1.5 * 2.0**-16
    assert (np.abs(found - exact) / unit(found))[finite].max() <= 0.5001


@both
def test_a_product_made_in_the_same_cluster_is_added_as_it_was_rounded(compiled):
    """XLA keeps such products wider: `two_sum` of them is wrong in half the cases."""
    random = np.random.default_rng(3)
    a, k, q = (random.normal(0, 1, 20_000).astype("float16") for _ in range(3))

    def add(a, k, q):
        sum_ = softfloat.of(a) + softfloat.of(k * q)
        return sum_.rounded_with_fraction("float16")

    found, left = (host(x) for x in traced(add, compiled)(a, k, q))
    exact = a.astype("float64") + (k * q).astype("float64")
    whole = found.astype("float64") + left * unit(found) * 2.0**-16
    largest = np.max(np.abs([a, k * q, found]), axis=0)
    assert (np.abs(whole - exact) <= 1.5 * 2.0**-16 * unit(largest)).all()


CASES = (  # weight, step: from half a last place to 2**-20 of one
    (1.0, 2.0**-11),
    (1.0, -0.73 * 2.0**-13),
    (-0.3, 0.9 * 2.0**-17),
    (2047 / 1024, 0.7 * 2.0**-10),  # across a power of two
    (1.0, -0.6 * 2.0**-11),  # and down
    (3e-6, 0.77 * 2.0**-26),  # subnormal
    (0.0, -0.6 * 2.0**-27),
    (1000.0, 0.9 * 2.0**-8),
    (6e4, 3.3),
)


@both
def test_chance_is_unbiased(compiled):
    """The mean of 100,000 roundings is the exact sum, to four standard errors."""

    def add(weight, step, exponent, count):
        addend = softfloat.of(step).times_power_of_two(exponent)
        random = noise.drawn((DRAWS,), noise.key(0, 0), count)
        sum_ = softfloat.of(weight).plus(addend, noise.again(random))
        return sum_.rounded("float16", random)

    rounded = traced(add, compiled)
    for place, (weight, step) in enumerate(CASES):
        value, exponent = np.frexp(step)
        found = host(
            rounded(
                np.full(DRAWS, weight, "float16"),
                np.full(DRAWS, value, "float16"),
                np.full(DRAWS, exponent, "int32"),
                constant(place),
            )
        )
        start, step = (
            float(np.float16(weight)),
            float(np.float16(value)) * 2.0**exponent,
        )
        moved = found.astype("float64") - start
        assert len(np.unique(found.view("uint16"))) == 2
        error = moved.std() / np.sqrt(DRAWS)
        assert abs(moved.mean() - step) < 4 * error, (weight, step)


def words(seed, place, step):
    return host(noise.drawn((DRAWS,), noise.key(seed, place), constant(step)))


def test_noise_is_uniform_and_different_everywhere():
    found = words(1, 2, 3)
    assert (found == words(1, 2, 3)).all()
    assert len(np.unique(found)) > 0.9999 * DRAWS
    for shift in range(32):
        share = ((found >> shift) & 1).mean()
        assert abs(share - 0.5) < 4 * 0.5 / np.sqrt(DRAWS), shift
    for other in (words(1, 3, 3), words(2, 2, 3), np.roll(found, 1)):
        agreement = (np.sign(found) * np.sign(other)).mean()
        assert abs(agreement) < 4 / np.sqrt(DRAWS)


def test_noise_is_spread_evenly_over_the_steps():
    """Over 1,000 steps a chance of p comes 1,000 p times, to 5 times, everywhere."""
    starts = host(noise.drawn((50,), noise.key(0, 0), constant(0)))
    steps = np.arange(1000)[:, None] * noise._GOLDEN
    found = (starts.astype("int64") + steps) % 2**32 / 2**32
    for chance in (0.003, 0.1, 0.37, 0.9):
        counts = (found < chance).sum(0)
        assert np.abs(counts - 1000 * chance).max() < 5


# Rates and functions of the step


def test_a_word_holds_a_rate_that_float16_does_not():
    for rate in (1e-8, 3.3e-5, 0.001, 0.999999, 1.0, 70_000.0):
        found = softfloat.of_word(constant(softfloat.word(rate)))
        value = int(found.units) * 2.0 ** int(found.exponent)
        assert value == np.float32(rate)
    assert int(softfloat.of_word(constant(softfloat.word(0.0))).units) == 0


@both
def test_tables_follow_a_function_for_two_thousand_million_steps(compiled):
    table = tables.tabulated(lambda step: 1 / (1 + step * 1e-3))
    at = traced(table.at, compiled)
    for step in (0, 1, 1023, 1024, 1027, 5000, 123_456, 10**9, 2**31 - 1):
        found = softfloat.host_number(host(at(constant(np.int64(step)))))
        assert abs(found * (1 + step * 1e-3) - 1) < 4e-5, step


# In the optimizer's own step


def moved_by(rounding, start, rate, steps, compiled, optimizer=optimizers.SGD):
    weights = keras.Variable(np.full(64, start), dtype="float16")
    made = optimizer(rate, rounding=rounding)
    made.build([weights])
    gradient = constant(np.ones(64, "float16"))
    apply = traced(lambda g: made.apply([g], [weights]), compiled)
    for _ in range(steps):
        apply(gradient)
    return host(weights).astype("float64") - float(np.float16(start)), made


def left_of(optimizer, weights):
    held = host(optimizer.compensations[0]).astype("float64")
    return held * unit(weights) * 2.0**-16


@both
@pytest.mark.parametrize("rate", [1e-4, 1e-8])
def test_kahan_keeps_steps_that_nearest_loses(rate, compiled):
    lost, _ = moved_by("nearest", 1.0, rate, 50, compiled)
    assert (lost == 0).all()
    moved, optimizer = moved_by("kahan", 1.0, rate, 50, compiled)
    whole = moved + left_of(optimizer, 1.0 + moved)
    assert abs(whole.mean() / (-50 * rate) - 1) < (0.1 if rate < 1e-7 else 1e-3)


@both
def test_chance_keeps_them_on_average(compiled):
    moved, _ = moved_by("stochastic", 1.0, 1e-5, 200, compiled)
    # 64 weights, each moves by one of its last places with chance 200 x 1e-5 x 2048
    assert abs(moved.mean() + 2e-3) < 4 * np.sqrt(200 * 1e-5 / 2048 / 64)


def test_a_seed_reproduces_the_chance_and_another_does_not():
    def run(seed):
        weights = keras.Variable(np.linspace(-1, 1, 512), dtype="float16")
        adam = optimizers.Adam(1e-4, rounding="stochastic", seed=seed)
        adam.build([weights])
        for _ in range(5):
            adam.apply([constant(np.full(512, 0.1, "float16"))], [weights])
        return host(weights)

    assert (run(1) == run(1)).all()
    assert (run(1) != run(2)).any()


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_infinity_and_nan_are_not_hidden(rounding):
    weights = keras.Variable(np.ones(3), dtype="float16")
    sgd = optimizers.SGD(0.1, rounding=rounding)
    sgd.build([weights])
    sgd.apply([constant(np.array([np.inf, np.nan, 1], "float16"))], [weights])
    found = host(weights)
    assert np.isnan(found[:2]).all() and abs(float(found[2]) - 0.9) < 2.0**-11


def test_kahan_adds_one_16_bit_slot_and_chance_none():
    slots = {}
    for rounding in ROUNDINGS:
        weights = keras.Variable(np.ones((5, 7)), dtype="float16")
        adam = optimizers.Adam(rounding=rounding)
        adam.build([weights])
        slots[rounding] = measure.variables_bytes(adam.variables[2:])
    assert slots == {"nearest": 140, "kahan": 210, "stochastic": 140}


def test_the_command_line_offers_every_rounding():
    assert set(OFFERED) == set(ROUNDINGS)
    with pytest.raises(UserError, match="no rounding 'up'"):
        optimizers.Adam(rounding="up")


# Trajectories

EXAMPLES, FEATURES, CLASSES, HIDDEN, STEPS = 256, 40, 4, 24, 1000
NETS = {"logistic regression": (FEATURES, CLASSES), "net": (FEATURES, HIDDEN, CLASSES)}


@functools.cache
def data():
    random = np.random.default_rng(0)
    x = random.normal(0, 1, (EXAMPLES, FEATURES)).astype("float16")
    logits = x.astype("float64") @ random.normal(0, 1, (FEATURES, CLASSES))
    return x, (logits + random.normal(0, 0.5, logits.shape)).argmax(1)


def first_weights(sizes):
    random = np.random.default_rng(1)
    weights = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        kernel = random.normal(0, 0.8, (inputs, outputs)).astype("float16")
        weights += [kernel.astype("float64"), np.zeros(outputs)]
    return weights


def activations(weights):
    found = [data()[0].astype("float64")]
    for place in range(0, len(weights), 2):
        outputs = found[-1] @ weights[place] + weights[place + 1]
        last = place + 2 == len(weights)
        found.append(outputs if last else np.maximum(outputs, 0))
    return found


def probabilities(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def loss_of(weights):
    chosen = probabilities(activations(weights)[-1])[np.arange(EXAMPLES), data()[1]]
    return -np.log(chosen).mean()


def gradients_of(weights):
    found = activations(weights)
    error = (probabilities(found[-1]) - np.eye(CLASSES)[data()[1]]) / EXAMPLES
    gradients = []
    for place in range(len(weights) - 2, -1, -2):
        inputs = found[place // 2]
        gradients = [inputs.T @ error, error.sum(0), *gradients]
        error = error @ weights[place].T * (inputs > 0)
    return gradients


@functools.cache
def fall_in_float64(sizes, twin, rate, **settings):
    from tests.reference import optimizers_16

    weights = first_weights(sizes)
    steppers = [getattr(optimizers_16, twin)(**settings) for _ in weights]
    for step in range(STEPS):
        now = rate * (1 + np.cos(np.pi * step / STEPS)) / 2
        pairs = zip(steppers, weights, gradients_of(weights), strict=True)
        weights = [stepper.step(w, g, now) for stepper, w, g in pairs]
    return loss_of(first_weights(sizes)) - loss_of(weights)


def fall_in_float16(sizes, optimizer):
    precision.use("16")
    layers = [keras.layers.Dense(n, "relu") for n in sizes[1:-1]]
    layers = [keras.Input((sizes[0],)), *layers, keras.layers.Dense(sizes[-1])]
    model = keras.Sequential(layers)
    model.set_weights(first_weights(sizes))
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss)
    optimizer.build(model.trainable_variables)
    x, y = (constant(each) for each in data())
    step = traced(lambda: model.train_step((x, y)) and None, compiled=True)
    for _ in range(STEPS):
        step()
    weights = [w.astype("float64") for w in model.get_weights()]
    return loss_of(first_weights(sizes)) - loss_of(weights)


@of_tensorflow("train_step takes the state on JAX; see test_without_tensorflow")
@pytest.mark.parametrize(
    "name, twin", [*((name, "Adam") for name in NETS), ("logistic regression", "SGD")]
)
def test_the_loss_falls_as_in_float64_at_a_rate_of_1e_4_with_decay_to_0(name, twin):
    rate, settings = 1e-4, {"momentum": 0.9} if twin == "SGD" else {}
    wanted = fall_in_float64(NETS[name], twin, rate, **settings)
    shares = {}
    for rounding in ROUNDINGS:
        optimizer = getattr(optimizers, twin)(
            schedules.CosineDecay(rate, STEPS), rounding=rounding, **settings
        )
        shares[rounding] = fall_in_float16(NETS[name], optimizer) / wanted
    assert shares["kahan"] >= 0.99 and shares["stochastic"] >= 0.99, shares
    assert shares["nearest"] < 0.7, shares  # the stall


# One update for all variables of a shape


@of_tensorflow("JAX traces each")
@pytest.mark.parametrize(
    ("name", "rounding"),
    [("SGD", "nearest"), ("Adam", "kahan"), ("Lamb", "stochastic")],
)
def test_variables_of_a_shape_share_an_update_and_nothing_else(
    name, rounding, monkeypatch
):
    """To the bit what an update of its own for each of them gives."""
    found = {}
    monkeypatch.setattr(getattr(optimizers, name), "_has_kernel", lambda self: False)
    for shares in (True, False):
        monkeypatch.setattr(private, "shares_updates", lambda shares=shares: shares)
        found[shares], optimizer = _of_three_large_ones(name, rounding)
        assert len(optimizer._updates) == (2 if shares else 3)
    for shared, own in zip(found[True], found[False], strict=True):
        assert (shared == own).all()
    assert (found[True][0] != found[True][1]).any()


def _of_three_large_ones(name, rounding):
    """The variables after three steps, two of one shape and one of another."""
    random = np.random.default_rng(0)
    shapes = [(128, 128), (128, 128), (64, 256)]
    weights = [keras.Variable(random.normal(size=s), dtype="float16") for s in shapes]
    settings = {"momentum": 0.9} if name == "SGD" else {}
    optimizer = getattr(optimizers, name)(0.01, rounding=rounding, **settings)
    optimizer.build(weights)
    step = traced(lambda *gradients: optimizer.apply(list(gradients), weights), False)
    for _ in range(3):
        step(*(constant(random.normal(size=s).astype("float16")) for s in shapes))
    return [host(v) for v in (*weights, *optimizer.variables)], optimizer
