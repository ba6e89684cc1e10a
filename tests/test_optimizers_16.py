"""Each optimizer in 16 bits: Keras' at 32 bits, float64's steps, nothing wide."""

import functools
import math

import keras
import numpy as np
import pytest

from keras16 import catalog, losses, measure, optimizers, precision, schedules
from keras16.audit import audit
from keras16.backend import own_floats
from keras16.errors import UserError
from keras16.optimizers import _settings
from tests.close import host
from tests.reference import optimizers_16 as twins
from tests.traced import constant, with_signature

both = pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
NAMES = [name for name in optimizers.__all__ if name != "get"]
ROUNDINGS = ("nearest", "kahan", "stochastic")
VARIANTS = {
    **{name: (name, {}) for name in NAMES},
    "SGD momentum": ("SGD", {"momentum": 0.9}),
    "SGD nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "RMSprop centered": ("RMSprop", {"momentum": 0.9, "centered": True}),
    "Adam amsgrad": ("Adam", {"amsgrad": True}),
}
every = pytest.mark.parametrize("variant", VARIANTS)
WEIGHTS = np.linspace(-1, 1, 48).reshape(6, 8)
STEPS = 50


def made(variant, library=optimizers, rate=None, **more):
    name, settings = VARIANTS[variant]
    return getattr(library, name)(rate or rate_of(name), **settings, **more)


def rate_of(name, size=1.0):
    return {"SGD": 1e-3 / size, "Adadelta": 1.0, "Adagrad": 0.1}.get(name, 1e-3)


def gradients(size, steps=STEPS, seed=0):
    random = np.random.default_rng(seed)
    drawn = random.normal(0, size, (steps, *WEIGHTS.shape)) + size / 2
    return drawn.astype("float16")


def trained(optimizer, gradients, dtype="float16", compiled=True, start=WEIGHTS):
    """The weights after one step for each gradient, what Kahan holds included."""
    weights = keras.Variable(start, dtype=dtype)
    optimizer.build([weights])

    def apply(gradient):
        optimizer.apply([gradient], [weights])

    step = with_signature(apply, compiled)
    for gradient in gradients:
        step(constant(gradient.astype(dtype)))
    if getattr(optimizer, "rounding", "") == "kahan":
        return with_compensation(weights, optimizer)
    return host(weights).astype("float64")


def with_compensation(weights, optimizer):
    """The weights with what Kahan holds for them."""
    found = host(weights).astype("float64")
    held = host(optimizer.compensations[0])
    exponent = np.maximum(np.frexp(np.abs(found))[1] - 1, -14)
    return found + held * np.ldexp(1.0, exponent - 26)


@functools.cache
def kit(variant):
    """An optimizer with Kahan, its step as a graph, and how to start it anew.

    Compiling a step is what takes time: one for all streams of gradients.
    """
    optimizer = made(variant, rate=1.0, rounding="kahan")
    weights = keras.Variable(WEIGHTS, dtype="float16")
    optimizer.build([weights])
    first = [host(v) for v in optimizer.variables]
    step = with_signature(lambda g: optimizer.apply([g], [weights]), False)

    def run(gradients, rate):
        weights.assign(WEIGHTS)
        for variable, value in zip(optimizer.variables, first, strict=True):
            variable.assign(value)
        optimizer.learning_rate = rate
        for gradient in gradients:
            step(constant(gradient))
        return with_compensation(weights, optimizer)

    return run


def wanted(variant, gradients, rate):
    name, settings = VARIANTS[variant]
    twin = getattr(twins, name)(**settings)
    weights = WEIGHTS.astype("float16").astype("float64")
    for gradient in gradients:
        weights = twin.step(weights, gradient.astype("float64"), rate)
    return weights


def error(found, exact):
    """Mean error of the way that the weights went, as a share of it."""
    start = WEIGHTS.astype("float16").astype("float64")
    return np.abs(found - exact).mean() / np.abs(exact - start).mean()


# Keras' own kit


@every
def test_config_goes_round(variant):
    optimizer = made(
        variant, rate=schedules.CosineDecay(0.01, 9), rounding="kahan", seed=7
    )
    config = optimizer.get_config()
    again = type(optimizer).from_config(optimizer.get_config())
    assert again.get_config() == config
    assert (again.rounding, again.seed) == ("kahan", 7)
    stored = keras.optimizers.serialize(optimizer)
    assert keras.optimizers.deserialize(stored).get_config() == config


@every
def test_at_float32_it_is_keras_own(variant):
    stream = gradients(0.1, steps=20)
    ours = trained(made(variant), stream, "float32", compiled=False)
    stock = trained(made(variant, keras.optimizers), stream, "float32", compiled=False)
    assert np.abs(ours - stock).max() < 1e-6


SIZES = (1e-6, 3e-2, 2e4)  # subnormal, usual, half of what there is


@every
@pytest.mark.parametrize("size", SIZES)
def test_one_step_by_hand(variant, size):
    name, _ = VARIANTS[variant]
    rate = rate_of(name, size)
    gradient = (np.sign(WEIGHTS) * size).astype("float16")
    found = kit(variant)([gradient], rate)
    start = WEIGHTS.astype("float16").astype("float64")
    step = start - wanted(variant, [gradient], rate)
    off = np.abs(start - found - step)
    # 3 last places: 1 by chance, the others by products, roots and quotients.
    # Kahan keeps 27 bits of the weight: no step is seen to less than 2**-26.
    assert (off <= np.abs(step) * 3 * 2.0**-10 + 2.0**-26).all(), off.max()


# Against float64


@pytest.mark.parametrize("size", [1e-6, 3e4])
def test_many_steps_of_one_gradient_are_those_of_float64(size):
    """Where nothing varies, chance has nothing to round: no step drifts."""
    stream = np.tile((np.sign(WEIGHTS) * size).astype("float16"), (150, 1, 1))
    found = kit("Adam")(stream, 1e-3)
    assert error(found, wanted("Adam", stream, 1e-3)) < 2.0**-10


# The mean error of the way gone in 50 steps. Gradients of 1e-6 are subnormal: one
# has 17 levels, and averages of them no more.
BOUNDS = {1e-6: 0.05, 1e-2: 0.005, 3e3: 0.005}


@every
@pytest.mark.parametrize("size", BOUNDS)
def test_fifty_steps_are_those_of_float64(variant, size):
    name, _ = VARIANTS[variant]
    stream, rate = gradients(size), rate_of(name, size)
    found = kit(variant)(stream, rate)
    assert error(found, wanted(variant, stream, rate)) < BOUNDS[size]


@pytest.mark.parametrize(
    "variant", ["SGD nesterov", "RMSprop centered", "Adam amsgrad"]
)
def test_the_compiled_step_is_the_same(variant):
    stream = gradients(1e-2, steps=20)
    graph, compiled = (
        trained(made(variant, rounding="kahan"), stream, compiled=each)
        for each in (False, True)
    )
    exact = wanted(variant, stream, rate_of(VARIANTS[variant][0]))
    assert error(graph, exact) < 0.005 and error(compiled, exact) < 0.005


FAILURES = (
    ("Adam", 1e-6), ("Adam", 3e3), ("RMSprop", 1e-6), ("Nadam", 1e-6),
    ("Nadam", 1e-2), ("Adamax", 1e-6), ("Adagrad", 3e3), ("AdamW", 3e3),
    ("Adadelta", 3e3), ("SGD", 3e3),
)  # fmt: skip


@pytest.mark.parametrize("variant, size", FAILURES)
def test_stock_keras_fails_where_ours_does_not(variant, size):
    rate = 1e-8 if variant == "SGD" else rate_of(variant)
    stream = gradients(size)
    exact = wanted(variant, stream, rate)
    stock = made(variant, keras.optimizers, rate=rate)
    assert not error(trained(stock, stream, compiled=False), exact) < 0.15
    assert error(kit(variant)(stream, rate), exact) < 0.05


@every
def test_a_gradient_that_is_not_finite_shows_in_the_weight(variant):
    """Two steps of it: what cancels in a slot must not look like a number."""
    gradient = np.full(WEIGHTS.shape, 0.01, "float16")
    gradient[0, :3] = [np.inf, -np.inf, np.nan]
    found = kit(variant)([gradient, gradient], 1e-3)
    assert np.isnan(found[0, :3]).all()
    if variant != "Lamb":  # whose step is scaled by the norm of them all
        assert np.isfinite(found[0, 3:]).all() and np.isfinite(found[1:]).all()


def test_the_second_moment_follows_at_a_beta_of_0_9999():
    """Stock float16 rounds this beta_2 to 1: the step is 0 or infinite."""
    adam = optimizers.Adam(1e-3, beta_2=0.9999)
    stream = [np.full(WEIGHTS.shape, g, "float16") for g in [1.0] * 20 + [0.01] * 400]
    trained(adam, stream, compiled=False)
    seen = 1 - 0.9999 ** len(stream)
    squares = np.array([float(g[0, 0]) ** 2 for g in stream])
    share = 1e-4 * 0.9999 ** np.arange(len(stream))[::-1]
    exact = np.sqrt((share * squares).sum() / seen)
    root = host(adam._velocities[0]).astype("float64")
    assert abs(root.mean() / exact - 1) < 1e-3
    assert np.abs(root / exact - 1).max() < 1e-2


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_epsilon_means_what_it_means_in_float64(rounding):
    for epsilon in (1e-3, 1e-7, 1e-10):
        adam = optimizers.Adam(0.1, epsilon=epsilon, rounding=rounding)
        gradient = np.full(WEIGHTS.shape, 2.0**-20, "float16")
        found = trained(adam, [gradient], compiled=False, start=np.zeros(WEIGHTS.shape))
        twin = twins.Adam(epsilon=epsilon)
        exact = twin.step(0.0, 2.0**-20, 0.1)
        # A weight of 1e-6 itself is a multiple of 2**-24, but for what Kahan holds.
        held = 0 if rounding == "kahan" else 2.0**-24
        assert np.allclose(found, exact, rtol=3e-3, atol=held)


# What every optimizer takes


@pytest.mark.parametrize("limit", [0.5, 1e4])
@pytest.mark.parametrize("option", ["clipnorm", "global_clipnorm"])
@pytest.mark.parametrize("size", [1e-6, 1.0, 3e4])
def test_norms_beyond_float16_are_clipped(option, limit, size):
    gradient = np.full(WEIGHTS.shape, size, "float16")
    rate = 0.5 / min(limit, size)
    sgd = optimizers.SGD(rate, **{option: limit}, rounding="kahan")
    found = trained(sgd, [gradient], compiled=False)
    exact = gradient.astype("float64")
    exact = exact * min(1, limit / np.linalg.norm(exact))
    start = WEIGHTS.astype("float16").astype("float64")
    assert np.allclose(start - found, rate * exact, rtol=4 * 2.0**-11, atol=1e-7)


def test_stock_clipping_fails_where_ours_does_not():
    stream = [np.full(WEIGHTS.shape, 300, "float16")]
    stock = trained(keras.optimizers.SGD(0.1, global_clipnorm=1.0), stream)
    assert np.isnan(stock).all() or (stock == WEIGHTS.astype("float16")).all()


@pytest.mark.parametrize("rounding", ["kahan", "stochastic"])
def test_weight_decay_is_not_lost(rounding):
    """Taken alone it is below half a last place of every weight."""
    stream = [np.zeros((100, 100), "float16")] * 50
    adamw = optimizers.AdamW(1e-3, weight_decay=0.01, rounding=rounding)
    found = trained(adamw, stream, start=np.ones((100, 100)))
    assert abs((1 - found.mean()) / (1 - (1 - 1e-5) ** 50) - 1) < 0.1
    stock = keras.optimizers.AdamW(1e-3, 0.01)
    stock = trained(stock, stream, start=np.ones((100, 100)))
    assert (stock == 1).all()


@both
def test_weight_averages_do_not_stall(compiled):
    def run(library):
        weights = keras.Variable(np.full(8, 0.75), dtype="float16")
        sgd = library.SGD(0.05, use_ema=True, ema_momentum=0.999)
        sgd.build([weights])
        ones = constant(np.ones(8, "float16"))
        step = with_signature(lambda: sgd.apply([ones], [weights]), compiled)
        step()
        weights.assign(np.full(8, 0.05))
        sgd.learning_rate = 0.0
        for _ in range(999):
            step()
        return host(sgd._model_variables_moving_average[0]).astype("float64")

    target = float(np.float16(0.05))
    exact = target + (0.7 - target) * 0.999**999
    assert np.abs(run(optimizers) / exact - 1).max() < 2e-3
    if compiled:
        assert np.abs(run(keras.optimizers) / exact - 1).max() > 0.01


@both
@pytest.mark.parametrize("size", [1e-6, 4e4])
def test_accumulated_gradients_neither_overflow_nor_vanish(size, compiled):
    stream = gradients(size / 4, steps=6)
    sgd = optimizers.SGD(
        1e-3 / size, gradient_accumulation_steps=6, use_ema=True, rounding="kahan"
    )
    found = trained(sgd, stream, compiled=compiled)
    start = WEIGHTS.astype("float16").astype("float64")
    mean = stream.astype("float64").mean(0)
    # A mean of subnormal numbers is rounded to one.
    off = np.abs((start - found) / (1e-3 / size) - mean)
    assert (off <= 3 * 2.0**-11 * np.abs(mean) + 2.0**-24).all()
    assert (host(sgd._accumulated_gradients[0]) == 0).all()


# Schedules and rates

STOCK = (
    keras.optimizers.schedules.CosineDecay(0.01, 700, 0.1),
    keras.optimizers.schedules.CosineDecay(
        1e-8, 300, warmup_target=1e-5, warmup_steps=9
    ),
    keras.optimizers.schedules.CosineDecayRestarts(0.01, 50, 2.0, 0.9, 0.1),
    keras.optimizers.schedules.CosineDecayRestarts(0.01, 50, 1.0),
    keras.optimizers.schedules.ExponentialDecay(0.01, 100, 0.9),
    keras.optimizers.schedules.ExponentialDecay(0.01, 100, 0.9, staircase=True),
    keras.optimizers.schedules.InverseTimeDecay(0.01, 100, 0.5),
    keras.optimizers.schedules.PiecewiseConstantDecay([3, 90], [1.0, 1e-3, 1e-8]),
    keras.optimizers.schedules.PolynomialDecay(0.01, 200, 1e-7, power=2.0),
    keras.optimizers.schedules.PolynomialDecay(0.01, 20, 1e-4, cycle=True),
)


@pytest.mark.parametrize("stock", STOCK, ids=lambda each: type(each).__name__)
def test_schedules_are_keras_own_to_11_bits(stock):
    ours = schedules.get(stock)
    assert type(ours).from_config(ours.get_config()).get_config() == stock.get_config()
    assert schedules.get(ours) is ours
    adam = optimizers.Adam(stock)
    for step in (0, 1, 2, 3, 4, 8, 9, 10, 89, 91, 149, 333, 901, 5000):
        adam.iterations.assign(step)
        exact = float(stock(step))
        assert np.isclose(float(adam.learning_rate), exact, rtol=2e-5, atol=1e-9), step
        assert np.isclose(ours.rate(step), exact, rtol=2e-5, atol=1e-9), step


def test_long_schedules_end_where_they_should():
    ours = schedules.CosineDecay(0.01, 1_000_000)
    adam = optimizers.Adam(ours)
    for step in (20_000, 123_457, 500_001, 999_000, 1_000_000, 2_000_000):
        adam.iterations.assign(step)
        assert np.isclose(float(adam.learning_rate), ours.rate(step), rtol=1e-3)


@pytest.mark.parametrize("warmup", [0, 9, 250.5])
def test_a_triangle_is_two_lines(warmup):
    """In float64, in what a step uses, and in float32: Keras has no such schedule."""
    first, peak, falling, last = 0.01, 0.3, 700, 1e-3
    ours = schedules.Triangular(first, falling, peak, warmup, last)
    again = schedules.Triangular.from_config(ours.get_config())
    assert again.get_config() == ours.get_config()
    sgd = optimizers.SGD(again)
    end = math.ceil(warmup + falling)
    for step in (0, 1, 5, 8, 9, 10, 250, 251, 600, 708, end, end + 1, 5000):
        exact = first + (peak - first) * step / max(warmup, 1)
        if step >= warmup:
            share = min((step - warmup) / falling, 1)
            exact = peak + (last - peak) * share
        assert ours.rate(step) == pytest.approx(exact, rel=1e-12), step
        sgd.iterations.assign(step)
        assert np.isclose(float(sgd.learning_rate), exact, rtol=2e-5), step
        assert np.isclose(float(ours(step)), exact, rtol=1e-5), step
    assert ours.peak == pytest.approx(peak, rel=2e-3)


def test_a_triangle_of_one_step_is_one():
    for steps in (0, 1, 2):
        built = catalog.load("schedules", "triangular")(0.1, steps)
        assert built.rate(0) == pytest.approx(0.02) and built.rate(steps + 1) == 0


def test_a_rate_reads_and_sets_as_a_number():
    adam = optimizers.Adam(1e-8)
    assert np.isclose(float(adam.learning_rate), 1e-8)
    adam.learning_rate = 3e-5
    assert np.isclose(keras.ops.convert_to_numpy(adam.learning_rate), 3e-5)
    assert np.isclose(adam.get_config()["learning_rate"], 3e-5)
    adam.learning_rate.assign(1e-4)
    assert np.isclose(host(adam.learning_rate), 1e-4)
    assert np.isclose(float(optimizers.Adam(lambda: 0.25).learning_rate), 0.25)
    with pytest.raises(TypeError, match="schedule"):
        optimizers.Adam(schedules.CosineDecay(0.1, 9)).learning_rate = 0.1


def test_someone_elses_schedule_is_refused():
    class Mine(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.1

    with pytest.raises(UserError, match="Mine"):
        optimizers.Adam(Mine())


# keras16.optimizers.get


@pytest.mark.parametrize("name", NAMES)
def test_get_gives_the_equal_of_names_and_of_keras_own(name):
    if hasattr(keras.optimizers, name) and name != "Lamb":
        assert type(optimizers.get(name.lower())).__module__.startswith("keras16.")
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    stock = getattr(keras.optimizers, name)(schedule, clipnorm=2.0)
    ours = optimizers.get(stock)
    assert type(ours) is getattr(optimizers, name)
    assert ours.clipnorm == 2.0
    assert isinstance(ours._learning_rate, schedules.ExponentialDecay)
    assert optimizers.get(ours) is ours


@pytest.mark.parametrize(
    ("identifier", "rate"),
    [
        ("adam", 1e-3),
        ({"class_name": "Adam", "config": {"learning_rate": 1e-8}}, 1e-8),
    ],
    ids=["name", "config"],
)
def test_get_makes_no_float16_of_the_rate(identifier, rate):
    with own_floats.used("float16"):  # as a twin's compile
        found = optimizers.get(identifier)
    assert np.isclose(host(found.learning_rate), rate, rtol=2.0**-20)


@pytest.mark.parametrize("name", optimizers.REFUSED)
def test_get_refuses_what_has_no_equal(name):
    settings = {
        "LossScaleOptimizer": lambda cls: cls(keras.optimizers.SGD()),
    }
    cls = getattr(keras.optimizers, name, None)
    if name == "MultiOptimizer" or cls is None:
        pytest.skip("this Keras has none, or none that is made without a model")
    stock = settings.get(name, lambda cls: cls())(cls)
    with pytest.raises(UserError, match=f"no 16-bit {name}"):
        optimizers.get(stock)
    with pytest.raises(UserError, match=r"no optimizer 'adamm' \(Adam"):
        optimizers.get("adamm")


# State and purity


def small_model(optimizer):
    precision.use("16")
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss)
    return model


@every
def test_slots_are_half_as_large_as_keras_own(variant):
    def slot_bytes(library, dtype):
        weights = keras.Variable(WEIGHTS, dtype=dtype)
        optimizer = made(variant, library)
        optimizer.build([weights])
        slots = [v for v in optimizer.variables if v.shape == weights.shape]
        return measure.variables_bytes(slots)

    assert 2 * slot_bytes(optimizers, "float16") == slot_bytes(
        keras.optimizers, "float32"
    )


ROUNDED = [(variant, "kahan") for variant in VARIANTS]
ROUNDED += [("Adam", "nearest"), ("Adam", "stochastic")]


@pytest.mark.parametrize("variant, rounding", ROUNDED)
def test_the_step_is_pure(variant, rounding):
    model = small_model(made(variant, rounding=rounding, weight_decay=0.01))
    report = audit(model, np.zeros((4, 5)), np.zeros(4, "int32"))
    assert report.pure, report


@pytest.mark.parametrize(
    "settings",
    [
        {"clipnorm": 1.0, "use_ema": True, "ema_overwrite_frequency": 3},
        {"global_clipnorm": 1.0, "gradient_accumulation_steps": 3, "use_ema": True},
        {"clipvalue": 1.0, "learning_rate": STOCK[0]},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_the_step_is_pure_with_all_that_it_takes(settings):
    model = small_model(optimizers.Adam(**settings))
    report = audit(model, np.zeros((4, 5)), np.zeros(4, "int32"))
    assert report.pure, report
    model.fit(np.ones((8, 5)), np.zeros(8), batch_size=2, epochs=2, verbose=0)
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_a_saved_optimizer_goes_on_where_it_was(tmp_path):
    sgd = optimizers.SGD(3e-5, momentum=0.9, rounding="kahan")
    model = small_model(sgd)
    x, y = np.ones((8, 5)), np.zeros(8)
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again.optimizer) is optimizers.SGD
    for old, new in zip(sgd.variables, again.optimizer.variables, strict=True):
        assert old.dtype == new.dtype
        assert (host(old) == host(new)).all(), old.path
    for each in (model, again):
        each.fit(x, y, verbose=0)
    for old, new in zip(model.get_weights(), again.get_weights(), strict=True):
        assert (old == new).all()


# Precision 16-plain


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam"])
def test_plain_adds_nothing_and_is_pure(name):
    from keras16 import training
    from keras16.study import Run

    run = Run(precision="16-plain", model="cnn", optimizer=name, weight_decay=0.01)
    ready = training.prepare(run)
    assert type(ready.model.optimizer).__module__.startswith("keras.")
    used = {type(layer).__name__ for layer in ready.model._flatten_layers()}
    assert "PlainBatchNormalization" in used and "BatchNormalization" not in used
    assert audit(ready.model, *ready.batch).pure


def test_plain_refuses_what_is_not_plain():
    from keras16 import training
    from keras16.study import Run

    with pytest.raises(UserError, match="no optimizer 'lion'"):
        training.prepare(Run(precision="16-plain", optimizer="lion"))
    with pytest.raises(UserError, match="rounds to nearest"):
        training.prepare(Run(precision="16-plain", rounding="kahan"))


def test_plain_batch_normalization_is_the_textbooks():
    precision.use("16-plain")
    from keras16.layers.plain_batch_normalization import PlainBatchNormalization

    random = np.random.default_rng(0)
    x = random.normal(1, 2, (64, 7, 7, 3)).astype("float16")
    layer = PlainBatchNormalization(momentum=0.5)
    found = host(layer(x, training=True)).astype("float64")
    rows = x.astype("float64").reshape(-1, 3)
    exact = (rows - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-3)
    assert np.abs(found.reshape(-1, 3) - exact).max() < 0.02
    assert np.allclose(host(layer.moving_mean), rows.mean(0) / 2, rtol=5e-3)
    assert np.allclose(host(layer.moving_variance), rows.var(0) / 2 + 0.5, rtol=5e-3)


# The catalogue


@pytest.mark.parametrize("name", catalog.names("optimizers"))
def test_every_file_builds_what_it_says(name):
    part = catalog.part("optimizers", name)
    built = part.build(lambda rate: rate, rounding="kahan", seed=3)
    assert type(built).__name__.lower() == name
    assert (built.rounding, built.seed) == ("kahan", 3)
    found = {key: built.get_config()[key] for key in part.DEFAULTS}
    assert found == pytest.approx(part.DEFAULTS)
    with pytest.raises(UserError, match="has no warmth"):
        _settings.chosen(name, part.DEFAULTS, float, {"warmth": 1})


# Where the largest rate is, of 1,000 steps, if not at the first.
PEAKS = {"triangular": 200}


@pytest.mark.parametrize("name", catalog.names("schedules"))
def test_every_schedule_starts_at_the_rate_that_it_is_given(name):
    """Or rises to it, where it is known to."""
    built = catalog.load("schedules", name)(0.1, 1000)
    rates = [built if isinstance(built, float) else built.rate(t) for t in range(1000)]
    assert rates[PEAKS.get(name, 0)] == max(rates) == pytest.approx(0.1)
    assert min(rates) >= 0
