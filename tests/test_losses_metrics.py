"""The loss and the metrics against float64, and Keras' own under plain `fit`."""

import math

import keras
import numpy as np
import pytest

from keras16 import losses, metrics
from keras16.metrics.mean import on_host
from keras16.precision import use
from tests.close import assert_close, host, rounded, wide
from tests.reference import softmax as reference
from tests.traced import both, constant, formats, traced, value_and_gradients

SAMPLES = 60_000


@pytest.fixture
def stock_float16():
    """Keras under `floatx="float16"`, as it comes; conftest undoes `use` alone."""
    keras.config.set_floatx("float16")
    keras.config.set_dtype_policy("float16")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def loss_of(dtype="float16", **settings):
    return losses.SparseCategoricalCrossentropy(True, dtype=dtype, **settings)


def entropy_of(dtype="float16", **settings):
    return metrics.SparseCategoricalCrossentropy(
        from_logits=True, dtype=dtype, **settings
    )


def logits_of(dtype, classes=10, seed=0):
    """Logits from nearly equal to far apart, labels likely and unlikely."""
    random = np.random.default_rng(seed)
    spreads = np.repeat([1e-3, 0.1, 1.0, 5.0, 20.0, 300.0, 1e4], 100)
    logits = random.normal(size=(len(spreads), classes)) * spreads[:, None]
    labels = random.integers(0, classes, len(spreads))
    sure = np.arange(len(spreads)) % 3 == 0
    labels[sure] = logits[sure].argmax(axis=-1)
    return rounded(logits, dtype), labels


def loss_and_gradient(labels, logits):
    dtype = keras.backend.standardize_dtype(logits.dtype)
    loss = loss_of(dtype, reduction="none")
    step = value_and_gradients(lambda logits: loss(labels, logits))
    return step(keras.ops.ones(keras.ops.shape(logits)[:1], dtype), logits)


@both
@formats
@pytest.mark.parametrize("classes", [2, 1000])
def test_cross_entropy_and_its_gradient(classes, dtype, compiled):
    logits, labels = logits_of(dtype, classes)
    found = traced(loss_and_gradient, compiled)(labels, constant(logits))
    loss, gradient = reference.cross_entropy(labels, wide(logits))
    for value, expected in zip(found, (loss, gradient), strict=True):
        floor = np.maximum(np.abs(expected), 2.0**-100)  # exp flushes what is less
        assert_close(value, expected, dtype, units=4, scale=floor)


@both
def test_small_losses_and_gradients_are_kept(compiled):
    """Below 2**-12, log(1 + rest) and p - 1 are 0 in float16."""
    ahead = np.linspace(4, 15, 200)
    logits = rounded(np.stack([ahead, np.zeros(200), -ahead], axis=1), "float16")
    labels = np.zeros(200, "int32")
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    naive = np.log(exponentials.sum(axis=-1, dtype="float16"))
    assert np.mean(naive == 0) > 0.5
    loss, gradient = traced(loss_and_gradient, compiled)(labels, constant(logits))
    expected = reference.cross_entropy(labels, wide(logits))
    assert_close(loss, expected[0], "float16", units=4)
    assert_close(gradient, expected[1], "float16", units=4)


@both
def test_many_samples_do_not_overflow_the_mean(compiled):
    """40,000 x 2.3: Keras' own sums them in float16."""
    labels, logits = np.zeros(40_000, "int32"), np.zeros((40_000, 10), "float16")
    stock = keras.losses.SparseCategoricalCrossentropy(True, dtype="float16")
    assert np.isinf(float(traced(stock, compiled)(labels, logits)))
    assert_close(traced(loss_of(), compiled)(labels, logits), math.log(10), "float16")


@both
def test_the_mean_of_more_samples_than_float16_counts(compiled):
    count = 70_000
    logits = np.random.default_rng(0).normal(size=(count, 3)).astype("float16")
    labels = np.arange(count) % 3
    stock = keras.losses.SparseCategoricalCrossentropy(True, dtype="float16")
    expected = reference.cross_entropy(labels, logits)[0].mean()
    assert not abs(float(traced(stock, compiled)(labels, logits)) - expected) < 0.1
    assert_close(traced(loss_of(), compiled)(labels, logits), expected, "float16")


def test_class_ids_above_2048():
    classes, label = 3000, 2049  # float16 has 2,048 and 2,050
    logits = np.zeros((1, classes), "float16")
    logits[0, label] = 12
    stock = keras.losses.SparseCategoricalCrossentropy(True, dtype="float16")
    assert not float(stock(np.array([label]), logits)) < 10
    expected = reference.cross_entropy(np.array([label]), logits)[0][0]
    assert_close(loss_of()(np.array([label]), logits), expected, "float16", units=4)
    metric = metrics.SparseCategoricalAccuracy(dtype="float16")
    metric.update_state(np.array([label]), logits)
    assert on_host(metric) == 1


WEIGHTS = [0.5, 0.0, 2.0, 1.0]


REDUCTIONS = ("sum", "sum_over_batch_size", "mean_with_sample_weight", "none", None)


@both
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["", "weighted"])
def test_reductions_and_weights(weights, compiled):
    logits = np.random.default_rng(1).normal(size=(4, 3)).astype("float16")
    labels = np.array([[0], [2], [1], [1]])
    column = None if weights is None else np.array(weights)[:, None]

    def every(y, x):
        return [loss_of(reduction=each)(y, x, column) for each in REDUCTIONS]

    found = traced(every, compiled)(labels, logits)
    for reduction, value in zip(REDUCTIONS, found, strict=True):
        assert_reduced(value, labels, logits, reduction, weights)


def assert_reduced(found, labels, logits, reduction, weights):
    factors = np.ones(4) if weights is None else np.array(weights)
    each = reference.cross_entropy(labels[:, 0], logits)[0] * factors
    expected = {
        "sum": each.sum(),
        "sum_over_batch_size": each.mean(),
        "mean_with_sample_weight": each.sum() / factors.sum(),
    }.get(reduction, each)
    assert_close(found, expected, "float16", units=4)


def test_no_weight_at_all_gives_no_loss():
    loss = loss_of(reduction="mean_with_sample_weight")
    found = loss([0, 1], np.ones((2, 3), "float16"), np.zeros(2))
    assert_close(found, 0.0, "float16")


@both
def test_one_loss_for_each_pixel(compiled):
    logits = np.random.default_rng(1).normal(size=(2, 4, 4, 3)).astype("float16")
    labels = np.random.default_rng(2).integers(0, 3, (2, 4, 4))
    flat = reference.cross_entropy(labels.ravel(), logits.reshape(-1, 3))[0]
    found = traced(loss_of(), compiled)(labels, logits)
    assert_close(found, flat.mean(), "float16")


@both
def test_a_label_that_is_no_class_is_no_number(compiled):
    """As Keras has it on a GPU; on a CPU it stops. Neither hides the mistake."""
    logits = np.array([[1, 2, 3], [1, 2, 3]], "float16")
    found = traced(loss_and_gradient, compiled)(np.array([7, 1]), constant(logits))
    for each in found:
        assert np.isnan(wide(each)[0]).all() and np.isfinite(wide(each)[1]).all()


@pytest.mark.parametrize("reduction", ["sum", "sum_over_batch_size", None])
def test_at_32_bits_the_loss_is_that_of_keras(reduction):
    logits = np.random.default_rng(1).normal(size=(8, 3)).astype("float32")
    labels, weights = np.arange(8) % 3, np.linspace(0, 1, 8)
    stock = keras.losses.SparseCategoricalCrossentropy(True, reduction=reduction)
    found = loss_of("float32", reduction=reduction)(labels, logits, weights)
    assert_close(found, wide(stock(labels, logits, weights)), "float32")


def test_configurations_go_round():
    for loss in (loss_of(), loss_of("float32", reduction="sum", name="mine")):
        again = keras.losses.deserialize(keras.losses.serialize(loss))
        assert type(again) is losses.SparseCategoricalCrossentropy
        assert again.get_config() == loss.get_config()
    for metric in (
        metrics.Mean(name="mine", dtype="float16"),
        entropy_of(name="mine"),
        metrics.SparseCategoricalAccuracy(name="mine", dtype="float16"),
    ):
        again = keras.metrics.deserialize(keras.metrics.serialize(metric))
        assert type(again) is type(metric)
        assert again.get_config() == metric.get_config()


def test_metrics_saved_before_the_losses_of_probabilities_are_of_logits():
    """Their configuration did not say so: they were of logits always."""
    config = {"name": "cross_entropy", "dtype": "float16"}
    old = metrics.SparseCategoricalCrossentropy.from_config(config)
    assert (
        old.from_logits and old.get_config() == entropy_of(name=old.name).get_config()
    )


@both
def test_metrics_of_class_ids(compiled):
    logits, labels = logits_of("float16")
    accuracy = metrics.SparseCategoricalAccuracy(dtype="float16")
    entropy = entropy_of()

    def update(labels, logits):
        accuracy.update_state(labels, logits)
        entropy.update_state(labels, logits)

    for _ in range(3):
        traced(update, compiled)(labels, constant(logits))
    hits = wide(logits).argmax(axis=-1) == labels
    assert on_host(accuracy) == hits.mean()
    each = reference.cross_entropy(labels, wide(logits))[0]
    assert on_host(entropy) == pytest.approx(each.mean(), rel=1e-3)


@pytest.mark.parametrize("name", ["Accuracy", "Crossentropy"])
def test_at_32_bits_the_metrics_are_those_of_keras(name):
    logits, labels = logits_of("float32")
    settings = {"from_logits": True} if name == "Crossentropy" else {}
    ours = getattr(metrics, f"SparseCategorical{name}")(dtype="float32", **settings)
    stock = getattr(keras.metrics, f"SparseCategorical{name}")(**settings)
    for metric in (ours, stock):
        metric.update_state(labels, logits)
    assert_close(ours.result(), wide(stock.result()), "float32")


@both
@formats
def test_a_mean_of_many_batches(dtype, compiled):
    metric = metrics.Mean(dtype=dtype)
    update = traced(lambda values: metric.update_state(values), compiled)
    values = rounded(np.random.default_rng(0).uniform(0, 50, (300, 100)), dtype)
    for batch in values:
        update(constant(batch))
    assert on_host(metric) == wide(values).mean()
    assert_close(metric.result(), wide(values).mean(), dtype, units=1)
    metric.reset_state()
    assert on_host(metric) == 0
    assert_close(metric.result(), 0.0, dtype)


@both
def test_a_weighted_mean(compiled):
    metric = metrics.Mean(dtype="float16")
    random = np.random.default_rng(0)
    values = random.uniform(0, 1, (20, 50)).astype("float16")
    weights = random.choice([0, 0.25, 1, 2], (20, 50)).astype("float16")
    update = traced(metric.update_state, compiled)
    for batch, weight in zip(values, weights, strict=True):
        update(constant(batch), constant(weight))
    expected = np.average(wide(values), weights=wide(weights))
    assert on_host(metric) == pytest.approx(expected, rel=1e-4)


@both
def test_the_weights_of_a_matrix_of_values(compiled):
    """As Keras has them: one weight a sample, and one with an axis of length 1."""
    values = np.random.default_rng(0).uniform(0, 1, (6, 4)).astype("float16")
    weights = np.array([1, 0, 2, 1, 0.5, 1], "float16")
    expected = np.average(wide(values).mean(axis=1), weights=wide(weights))
    for weight in (weights, weights[:, None]):
        metric = metrics.Mean(dtype="float16")
        traced(metric.update_state, compiled)(constant(values), constant(weight))
        assert on_host(metric) == pytest.approx(expected, rel=2e-3)


def test_a_mean_of_what_is_not_finite_is_nan():
    metric = metrics.Mean(dtype="float16")
    metric.update_state(np.array([1, np.inf], "float16"))
    assert math.isnan(on_host(metric)) and math.isnan(float(metric.result()))


def test_a_mean_at_32_bits_is_that_of_keras():
    ours, stock = metrics.Mean(dtype="float32"), keras.metrics.Mean(dtype="float32")
    for metric in (ours, stock):
        metric.update_state([1.0, 2.0, 4.0], sample_weight=[1, 0, 3])
    assert_close(ours.result(), wide(stock.result()), "float32", units=0)
    assert on_host(ours) == on_host(stock) == 3.25


def test_the_mean_of_keras_in_float16_stalls_and_overflows(stock_float16):
    counter, large = keras.metrics.Mean(), keras.metrics.Mean()
    for _ in range(3000):
        counter.update_state(1.0)
    assert float(counter.count) == 2048
    for _ in range(3):
        large.update_state(4e4)
    assert np.isinf(float(large.result()))


def test_once_16_is_in_use_the_mean_of_keras_does_neither():
    use("16")
    counter, large = keras.metrics.Mean(), keras.metrics.Mean()
    for _ in range(100):
        counter.update_state(np.arange(50) % 2)
    assert on_host(counter) == 0.5
    assert int(host(counter.count)[1]) != 0
    for _ in range(3):
        large.update_state(4e4)
    assert on_host(large) == float(np.float16(4e4)) == float(large.result())


def test_float32_metrics_keep_the_methods_of_keras():
    use("16")
    metric = keras.metrics.Mean(dtype="float32")
    metric.update_state([1.0, 2.0, 4.0], sample_weight=[1, 0, 3])
    assert metric.total.dtype == "float32" and metric.total.shape == ()
    assert float(metric.result()) == 3.25
    metric.reset_state()
    assert float(metric.total) == float(metric.count) == 0


def digits():
    """60,000 samples of 8 features in 4 classes, the larger classes likelier."""
    random = np.random.default_rng(0)
    x = random.normal(size=(SAMPLES, 8)).astype("float16")
    y = (random.random(SAMPLES) ** 2 * 4).astype("int64")
    return x, y


def classifier(loss, compiled):
    """A linear model that does not learn, so that its outputs stay the same."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    model.compile(
        keras.optimizers.SGD(0.0), loss, metrics=["accuracy"], jit_compile=compiled
    )
    return model


def in_float64(model, x, y):
    """Loss and accuracy of the model's own outputs."""
    logits = host(model(x))
    loss = reference.cross_entropy(y, wide(logits))[0].mean()
    return loss, np.mean(wide(logits).argmax(axis=-1) == y)


@pytest.mark.parametrize("batch_size, compiled", [(1000, True), (32, False)])
def test_plain_fit_and_evaluate_tell_the_truth(batch_size, compiled):
    use("16")
    x, y = digits()
    model = classifier(loss_of(), compiled)
    history = model.fit(x, y, batch_size=batch_size, epochs=1, verbose=0).history
    loss, accuracy = in_float64(model, x, y)
    assert history["loss"][0] == pytest.approx(loss, rel=1e-3)
    assert history["accuracy"][0] == pytest.approx(accuracy, rel=1e-3)
    found = model.evaluate(x, y, batch_size=1000, verbose=0)
    assert found == pytest.approx([loss, accuracy], rel=1e-3)


def test_stock_fit_does_not(stock_float16):
    x, y = digits()
    stock = keras.losses.SparseCategoricalCrossentropy(True)
    model = classifier(stock, False)
    history = model.fit(x, y, batch_size=1000, epochs=1, verbose=0).history
    loss, accuracy = in_float64(model, x, y)
    assert history["loss"][0] != pytest.approx(loss, rel=0.1)
    assert history["accuracy"][0] != pytest.approx(accuracy, rel=1e-3)


def test_sample_weights_under_plain_fit():
    use("16")
    x, y = (part[:3000] for part in digits())
    weights = np.random.default_rng(0).choice([0.5, 1, 2], len(y))
    model = classifier(loss_of(), False)
    model.compile(keras.optimizers.SGD(0.0), loss_of(), weighted_metrics=["accuracy"])
    found = model.evaluate(x, y, sample_weight=weights, batch_size=500, verbose=0)
    logits = wide(model(x))
    each = reference.cross_entropy(y, logits)[0] * weights
    hits = logits.argmax(axis=-1) == y
    assert found[0] == pytest.approx(each.mean(), rel=1e-3)
    assert found[1] == pytest.approx(np.average(hits, weights=weights), rel=1e-3)


def test_a_huge_loss_is_tracked_up_to_the_end_of_the_format():
    use("16")
    x, y = (part[:4000] for part in digits())
    model = classifier(loss_of(), False)
    model.layers[0].set_weights([np.zeros((8, 4)), np.array([6e4, 0, 0, 0])])
    loss, _ = model.evaluate(x, np.maximum(y, 1), batch_size=500, verbose=0)
    assert loss == pytest.approx(6e4, rel=1e-3)
