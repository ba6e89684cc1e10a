"""PrecisionMonitor: right counts, right words, and no trace left in the training."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
from runs import few, fresh, trained, uncompiled, weights

import keras16
from keras16 import layers, losses, metrics, optimizers, tracking, training
from keras16.callbacks import (
    PrecisionMonitor,
    _counts,
    _findings,
    precision_monitor,
)
from keras16.numerics import softfloat
from keras16.optimizers import _observed
from keras16.study import Run

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(96, 12)).astype("float32")
Y = RANDOM.integers(0, 3, 96)


def step_of(optimizer, weight, gradient, dtype="float16"):
    """One observed step of one variable."""
    variable = keras.Variable(weight, dtype=dtype, name="kernel")
    optimizer.build([variable])
    tensor = keras.ops.convert_to_tensor(np.asarray(gradient, dtype))
    (found,) = _observed.observe(optimizer, [tensor], [variable])
    return found


def layer_of(*given, **more):
    """The numerics of that step."""
    return _counts.observation(1, [step_of(*given, **more)]).model


def net():
    """Everything that a step may change: seeds, statistics, slots."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(8, activation="relu"),
            layers.Dropout(0.2),
            layers.BatchNormalization(),
            layers.Dense(3),
        ]
    )


def compiled(optimizer):
    """A model of `net`, its variables all there."""
    model = net()
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    accuracy = metrics.SparseCategoricalAccuracy()
    model.compile(optimizer, loss, metrics=[accuracy], jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return model


def fit(model, *callbacks):
    """Two epochs, and every variable of the training after them."""
    settings = {"batch_size": 32, "epochs": 2, "verbose": 0, "shuffle": False}
    model.fit(X, Y, callbacks=list(callbacks), **settings)
    return values(model)


def values(model):
    """Every variable of a training as numbers."""
    return weights(model) + [v.numpy() for v in model.optimizer.variables]


# One step


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_an_update_below_half_a_last_place_is_lost_and_kahan_keeps_it(dtype):
    given = np.ones(64), np.full(64, 0.01), dtype
    nearest = layer_of(optimizers.SGD(0.01), *given)
    kahan = layer_of(optimizers.SGD(0.01, rounding="kahan"), *given)
    assert (nearest.lost_updates, nearest.descent_quality) == (1.0, 0.0)
    assert kahan.lost_updates == 0
    assert kahan.descent_quality == pytest.approx(1, abs=1e-3)


def test_keras_own_optimizer_is_seen_beside_float64():
    found = step_of(keras.optimizers.SGD(0.01), np.ones(64), np.full(64, 0.01))
    # The twin's rate is the one that float16 gives the optimizer.
    assert found.intended == pytest.approx(-1e-4, rel=1e-3)
    assert np.all(found.applied == 0)


@pytest.mark.parametrize("name", ["Adam", "RMSprop", "SGD", "Lion", "Adagrad"])
def test_what_was_meant_is_the_step_of_float64(name):
    weight = RANDOM.normal(size=50).astype("float16")
    gradient = RANDOM.normal(size=50).astype("float16")
    ours = step_of(getattr(optimizers, name)(0.01), weight, gradient)
    wide = step_of(getattr(keras.optimizers, name)(0.01), weight, gradient, "float32")
    np.testing.assert_allclose(ours.intended, wide.applied, rtol=4e-3, atol=1e-7)


def test_weight_decay_is_part_of_what_was_meant():
    found = step_of(optimizers.SGD(0.5, weight_decay=0.5), np.ones(4), np.zeros(4))
    np.testing.assert_allclose(found.intended, -0.25)
    np.testing.assert_array_equal(found.applied, found.intended)


def test_gradients_are_counted():
    gradient = np.array([0, 0, 0, 6e-8, 3e-5, 1, np.inf, np.nan])
    layer = layer_of(optimizers.SGD(0.01), np.ones(8), gradient)
    assert layer.zero_gradients == 3 / 8
    assert layer.subnormal_gradients == 2 / 8
    assert layer.overflows == 2 / 8
    assert layer.descent_quality is not None  # of the others


def test_nothing_meant_is_no_number():
    layer = layer_of(optimizers.SGD(0.01), np.ones(4), np.zeros(4))
    assert (layer.lost_updates, layer.descent_quality) == (None, None)
    assert layer.zero_second_moments is None


def test_second_moments_that_float16_loses():
    gradient = np.append(np.full(9, 1e-3), 0.0)
    stock = layer_of(keras.optimizers.Adam(1e-3, epsilon=1e-4), np.ones(10), gradient)
    ours = layer_of(optimizers.Adam(1e-3), np.ones(10), gradient)
    assert (stock.zero_second_moments, ours.zero_second_moments) == (1.0, 0.0)


def test_software_floats_on_the_host():
    x = np.array([0, 1, -2.5, 6e-8, 65504, np.inf, np.nan], "float16")
    host = softfloat.on_host(softfloat.of(keras.ops.convert_to_tensor(x)))
    finite = np.isfinite(x)
    np.testing.assert_array_equal(host[finite], x[finite].astype("float64"))
    assert np.isnan(host[~finite]).all()


# A training


@functools.cache
def watched(make, precision="16"):
    """(monitor, model, variables without a monitor, variables with it) of a fit.

    Both fits start from the same variables and run the same compiled step.

    Args:
        make: Gives the optimizer.
        precision: In use meanwhile.
    """
    with fresh():
        keras16.use(precision)
        model = compiled(make())
        with precision_monitor.undone(model):
            without = fit(model)
        monitor = PrecisionMonitor(X, Y, batch_size=32, batches=2, verbose=0)
        return monitor, model, without, fit(model, monitor)


def stochastic():
    return optimizers.SGD(1e-2, momentum=0.9, rounding="stochastic", seed=5)


def test_training_is_bit_for_bit_the_one_without_a_monitor():
    _, _, without, with_monitor = watched(stochastic)
    assert len(without) > 20
    for one, other in zip(without, with_monitor, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_optimizer_is_left_as_it_was():
    """Nothing of the observed step can get into the step that is trained."""
    monitor, model, *_ = watched(stochastic)
    assert len(monitor.history) == 2
    assert "apply" not in vars(model.optimizer)


def test_every_layer_has_its_numbers_each_epoch():
    monitor, *_ = watched(stochastic)
    for number, seen in enumerate(monitor.history, 1):
        assert seen.epoch == number
        names = [layer.name for layer in seen.layers]
        kinds = [name.rstrip("_0123456789") for name in names]
        assert kinds == ["dense", "batch_normalization", "dense"]
        assert [layer.weights for layer in seen.layers] == [12 * 8 + 8, 16, 8 * 3 + 3]
        assert seen.model.weights == 147
        assert f"monitor/{names[-1]}/lost_updates" in seen.metrics()
        assert "monitor/descent_quality" in seen.metrics()


# Float32, too, loses updates below half a last place: of a rate of 1e-4 one in sixty,
# or none, as dropout has it.
RATE = 1e-2


def stock():
    return keras.optimizers.SGD(RATE)


@pytest.mark.parametrize("precision", ["32", "mixed"])
def test_wide_weights_lose_nothing(precision):
    make = stock if precision == "mixed" else lambda: optimizers.SGD(RATE)
    monitor, *_ = watched(make, precision)
    model = monitor.history[-1].model
    assert model.lost_updates < 0.01
    assert model.descent_quality == pytest.approx(1, abs=1e-3)
    assert monitor.findings == []


def test_gradients_are_those_of_the_step():
    """With SGD at rate 1 the weights move by the gradient itself."""
    keras16.use("32")
    model = net()
    model.pop()
    model.pop()
    model.pop()  # no dropout: the one step left draws nothing
    model.add(layers.Dense(3))
    model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=False)
    wanted = RANDOM.normal(size=(32, 3)).astype("float32")
    monitor = PrecisionMonitor(X[:32], wanted)
    monitor.set_model(model)
    model.optimizer.build(model.trainable_variables)
    before = weights(model)
    with monitor_steps(monitor) as steps:
        monitor.observe(1)
    for old, new in zip(before, weights(model), strict=True):
        np.testing.assert_array_equal(old, new)
    model.train_on_batch(X[:32], wanted)
    for step, old, new in zip(steps, before, weights(model), strict=True):
        np.testing.assert_allclose(step.gradient, old - new, rtol=1e-3, atol=1e-6)


def kernel_gradient(**weights):
    """Of a linear model at weights of 0: minus the weighted mean of x."""
    model = keras.Sequential(
        [keras.Input((12,)), layers.Dense(1, kernel_initializer="zeros")]
    )
    model.compile(optimizers.SGD(1.0), losses.MeanSquaredError(), jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    monitor = PrecisionMonitor(X, Y, **weights)
    monitor.set_model(model)
    with monitor_steps(monitor) as steps:
        monitor.observe(1)
    return steps[0].gradient[:, 0]


@pytest.mark.parametrize("kind", ["sample_weight", "class_weight"])
def test_weights_of_examples_are_those_of_fit(kind):
    keras16.use("16")
    given = {0: 0.25, 2: 4.0}  # Keras counts the others as 1
    each = np.array([given.get(label, 1.0) for label in Y])
    weights = {kind: given if kind == "class_weight" else each}
    wanted = -2 * np.mean(each * Y * X.T.astype("float16"), axis=1)
    np.testing.assert_allclose(kernel_gradient(**weights), wanted, atol=2e-3)
    assert np.abs(kernel_gradient() - wanted).max() > 0.1


def test_weights_of_classes_are_found_in_one_hot_labels():
    one_hot = keras.utils.to_categorical(Y)
    for labels in (Y, Y[:, None], one_hot):
        monitor = PrecisionMonitor(X, labels, class_weight={1: 3.0})
        np.testing.assert_array_equal(monitor.batches[0][2], np.where(Y == 1, 3, 1))


def test_both_kinds_of_weights_are_refused():
    with pytest.raises(ValueError, match="not both"):
        PrecisionMonitor(X, Y, sample_weight=X[:, 0], class_weight={0: 1.0})


def monitor_steps(monitor):
    """A block that keeps what the monitor saw of each variable."""
    import contextlib

    @contextlib.contextmanager
    def kept():
        seen, original = [], monitor._steps
        monitor._steps = lambda *batch: seen.extend(original(*batch)) or seen
        yield seen

    return kept()


def test_a_batch_size_of_nothing_is_refused():
    for given in {"batches": 0}, {"batch_size": 0}:
        with pytest.raises(ValueError, match="1 or more"):
            PrecisionMonitor(X, Y, **given)


def test_runs_of_keras16_are_the_same_with_a_monitor():
    fields = few(precision="16-plain", optimizer="sgd", learning_rate=1e-5)
    without = trained(**fields)
    with fresh(), uncompiled():
        result = training.fit(Run(**fields), audit=False, monitor=True)
    for one, other in zip(values(result.model), values(without.model), strict=True):
        np.testing.assert_array_equal(one, other)
    (one,) = result.observations
    assert one.epoch == 1
    assert "lost to rounding" in result.findings[0]
    assert without.observations == () and without.findings == ()


# Words


def seen(**shares):
    """Observations of one layer, one for each value given."""
    whole = {
        "zero_gradients": 0.0,
        "subnormal_gradients": 0.0,
        "overflows": 0.0,
        "lost_updates": 0.0,
        "zero_second_moments": None,
        "descent_quality": 1.0,
    }
    layer = _counts.Layer(name="conv2d_3", weights=10, **{**whole, **shares})
    return [_counts.Observation(1, (layer,), layer)]


@pytest.mark.parametrize(
    ("shares", "rounding", "words"),
    [
        (
            {"lost_updates": 0.41},
            "nearest",
            "41 % of the updates of conv2d_3 are lost to rounding: use --rounding "
            'kahan (in a script: rounding="kahan"), or a larger learning rate.',
        ),
        ({"lost_updates": 0.41}, "kahan", "rounding: use a larger learning rate."),
        ({"lost_updates": 0.41}, None, "use keras16's optimizer of that name"),
        ({"descent_quality": 0.83}, "nearest", "come to 83 % of what was meant"),
        ({"descent_quality": 1.2}, "nearest", "come to 120 % of what was meant"),
        ({"zero_gradients": 0.3, "subnormal_gradients": 0.05}, "nearest", "bf16"),
        ({"zero_gradients": 0.3}, "nearest", "not rounding"),
        ({"subnormal_gradients": 0.2}, "nearest", "20 % of the gradients of conv2d_3"),
        (
            {"overflows": 1e-4},
            "nearest",
            "below 0.1 % of the gradients",
        ),
        ({"zero_second_moments": 0.5}, None, "larger epsilon"),
        ({"zero_second_moments": 0.5}, "nearest", "smaller batch"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(shares, rounding, words):
    (line,) = _findings.findings(seen(**shares), rounding)
    assert words in line


@pytest.mark.parametrize(
    ("shares", "rounding"),
    [
        ({}, "nearest"),
        ({"lost_updates": None, "descent_quality": None}, "nearest"),
        ({"lost_updates": 0.09, "descent_quality": 0.95}, "nearest"),
        ({"lost_updates": 0.9, "descent_quality": 0.5}, "stochastic"),
        ({"zero_gradients": 0.29, "subnormal_gradients": 0.09}, "nearest"),
    ],
)
def test_what_is_well_is_not_told(shares, rounding):
    assert _findings.findings(seen(**shares), rounding) == []


def test_before_the_first_epoch_there_is_nothing_to_tell():
    assert _findings.findings([], "nearest") == []


def test_one_layer_stands_for_many_and_epochs_are_averaged():
    layer = _counts.Layer("a", 1, 0.0, 0.0, 0.0, 0.2, None, 1.0)
    other = _counts.Layer("b", 1, 0.0, 0.0, 0.0, 0.4, None, 1.0)
    later = _counts.Layer("b", 1, 0.0, 0.0, 0.0, 0.8, None, 1.0)
    epochs = [
        _counts.Observation(1, (layer, other), layer),
        _counts.Observation(2, (layer, later), layer),
    ]
    (line,) = _findings.findings(epochs, "kahan")
    assert line.startswith("60 % of the updates of b are lost")
    assert "(and in 1 other layer)" in line


def test_the_end_of_a_training_prints_the_findings(capsys):
    monitor = PrecisionMonitor(X, Y)
    monitor.history = seen(lost_updates=0.5)
    monitor.on_train_end()
    assert "50 % of the updates of conv2d_3" in capsys.readouterr().out
    monitor.verbose = 0
    monitor.on_train_end()
    assert capsys.readouterr().out == ""


# The record


class Client:
    """Takes what MLflow's own takes."""

    def __init__(self):
        self.batches = []

    def log_batch(self, run_id, metrics):
        assert len(metrics) <= 1000
        self.batches.append([(each.key, each.value, each.step) for each in metrics])


def test_layers_of_a_deep_net_are_recorded_in_batches():
    layer = seen(lost_updates=0.5)[0].model
    deep = [dataclasses.replace(layer, name=f"dense_{i}") for i in range(250)]
    tracked = tracking.Tracked(Run(), "sqlite:///no.db", "experiment", "name")
    tracked.run_id, tracked._client = "1", Client()
    tracked.monitored(_counts.Observation(3, tuple(deep), layer))
    assert tracked.problem == ""
    first, second = tracked._client.batches
    assert len(first) == 1000
    assert ("monitor/dense_0/lost_updates", 0.5, 3) in first
    assert ("monitor/dense_249/descent_quality", 1.0, 3) in second
    assert not any("second_moments" in name for name, *_ in first)  # it has none
