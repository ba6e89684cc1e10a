"""The layers against float64, and against Keras' own at 32 bits."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras16 import layers, losses, optimizers
from keras16.audit import audit
from keras16.convert import convert
from keras16.errors import UserError
from tests.close import assert_close, host, wide
from tests.reference import batch_normalization as reference
from tests.reference import sums
from tests.traced import (
    ON_JAX,
    both,
    constant,
    of_tensorflow,
    traced,
    value_and_gradients,
)

# What a channel holds: (spread, mean).
CHANNELS = {
    "subnormal": (1e-6, 0.0),
    "tiny": (1e-4, 0.0),
    "small mean": (1e-3, 0.01),
    "unit": (1.0, 0.0),
    "off centre": (1.0, 30.0),
    "far off centre": (0.1, 100.0),
    "few steps of float16": (16.0, 1e4),
    "large": (1e4, 0.0),
    "nearly all of float16": (2e4, 1e4),
    "constant": (0.0, 3.7),
    "large constant": (0.0, 6e4),
    "zero": (0.0, 0.0),
}
ROWS = 128 * 49 + 3


def draw(rows=ROWS, seed=0):
    """[rows, channels] of float16, one channel of each kind."""
    random = np.random.default_rng(seed)
    spread, mean = np.array(list(CHANNELS.values())).T
    x = random.normal(size=(rows, len(CHANNELS))) * spread + mean
    return np.clip(x, -65504, 65504).astype("float16")


def gradient_for(x, epsilon, seed=1):
    """Upstream gradients, as large as the spread of a channel, up to 1.

    Those of a channel that is large are small, and would be subnormal.
    """
    spread = np.sqrt(wide(x).var(axis=0) + epsilon)
    size = np.clip(spread, 1e-3, 1.0)
    gradient = np.random.default_rng(seed).normal(size=x.shape) * size
    return gradient.astype("float16")


def normalization(channels, dtype="float16", seed=2, **settings):
    """A built layer with gamma about 1 and beta about 0."""
    layer = layers.BatchNormalization(dtype=dtype, **settings)
    layer.build((None, channels))
    random = np.random.default_rng(seed)
    if layer.gamma is not None:
        layer.gamma.assign(random.uniform(0.5, 1.5, channels).astype(dtype))
    if layer.beta is not None:
        layer.beta.assign(random.normal(size=channels).astype(dtype))
    return layer


@functools.cache
def step_of(layer, compiled):
    """(inputs, upstream) -> (outputs, gradients of the inputs and parameters)."""

    def step(x, upstream):
        called = functools.partial(layer, training=True)
        return value_and_gradients(called, layer.trainable_variables)(upstream, x)

    return traced(step, compiled)


def assert_step(layer, x, upstream, compiled):
    """Outputs and gradients against float64, to 3 units of a channel's largest."""
    assert_right(layer, x, upstream, step_of(layer, compiled))


def assert_right(layer, x, upstream, step):
    gamma = np.ones(x.shape[1]) if layer.gamma is None else wide(layer.gamma)
    beta = np.zeros(x.shape[1]) if layer.beta is None else wide(layer.beta)
    expected = reference.train(x, gamma, beta, upstream, layer.epsilon)
    found = step(constant(x), constant(upstream))
    names = ["outputs", "x", *(v.name for v in layer.trainable_variables)]
    largest = {name: np.abs(expected[name]).max(axis=0) for name in names}
    for name in set(names) & {"gamma", "beta"}:  # sums of upstream, which cancel
        largest[name] = np.abs(wide(upstream)).sum(axis=0) / 8
    for name, value in zip(names, found, strict=True):
        value = ops.reshape(value, expected[name].shape)
        assert_close(value, expected[name], "float16", units=3, scale=largest[name])


def test_keras_batch_normalization_in_float16_computes_in_float32():
    model = keras.Sequential(
        [keras.Input((4,), dtype="float16")]
        + [keras.layers.BatchNormalization(dtype="float16")]
    )
    model.compile("sgd", keras.losses.MeanSquaredError(dtype="float16"))
    x = np.zeros((8, 4), "float16")
    report = audit(model, x, x)
    assert any("BatchNormalization" in tensor.source for tensor in report.wide)


def test_keras_moving_variance_in_float16_overflows_and_stalls():
    layer = keras.layers.BatchNormalization(dtype="float16", momentum=0.5)
    x = np.array([[-1000], [1000]], "float16")
    layer(x, training=True)
    assert np.isinf(host(layer.moving_variance)[0])
    layer = keras.layers.BatchNormalization(dtype="float16", momentum=0.99)
    x = np.array([[-2], [2]], "float16")  # of variance 4
    step = traced(lambda x: layer(x, training=True), False)
    for _ in range(1500):
        step(x)
    assert host(layer.moving_variance)[0] < 4 * 0.98


@both
@pytest.mark.parametrize("epsilon", [1e-3, 1e-7, 4.0])
def test_training_steps_at_every_magnitude(epsilon, compiled):
    x = draw()
    layer = normalization(x.shape[1], epsilon=epsilon)
    assert_step(layer, x, gradient_for(x, epsilon), compiled)


@both
def test_places_of_an_image_seen_as_one_row(monkeypatch, compiled):
    """As in a step that is a plain graph: 8 images of 16 x 49 places."""
    monkeypatch.setattr("keras16.layers._compiled.is_compiled", lambda layer: False)
    x = draw(8 * 16 * 49)
    layer = normalization(x.shape[1])

    def step(x, upstream):
        images = ops.reshape(x, (8, 16, 49, x.shape[1]))
        return value_and_gradients(
            functools.partial(layer, training=True), layer.trainable_variables
        )(ops.reshape(upstream, images.shape), images)

    layer.input_spec = None  # built for rows
    assert_right(layer, x, gradient_for(x, 1e-3), traced(step, compiled))


@both
@pytest.mark.parametrize("settings", [{"scale": False}, {"center": False}])
def test_without_scale_or_center(settings, compiled):
    x = draw(64)
    assert_step(
        normalization(x.shape[1], **settings), x, gradient_for(x, 1e-3), compiled
    )


@both
def test_one_row_is_normalized_to_beta(compiled):
    x = draw(1)
    layer = normalization(x.shape[1])
    assert_step(layer, x, gradient_for(x, 1e-3), compiled)


@both
@pytest.mark.parametrize("momentum", [0.9, 0.999])
def test_moving_statistics_and_inference_do_not_stall(momentum, compiled):
    """Inference after 400 steps, from the statistics that float64 arrives at."""
    x, steps = draw(257), 400
    layer = normalization(x.shape[1], momentum=momentum)
    train = traced(lambda x: layer(x, training=True), compiled)
    for _ in range(steps):
        train(constant(x))
    values = wide(x)
    mean = reference.moved(0.0, [values.mean(axis=0)] * steps, momentum)
    variance = reference.moved(1.0, [values.var(axis=0)] * steps, momentum)
    assert_close(layer.moving_mean, mean, "float16", scale=np.abs(values).mean(axis=0))
    assert_close(layer.moving_deviation, np.sqrt(variance), "float16", units=3)

    infer = traced(lambda x: layer(x, training=False), compiled)
    gamma, beta = wide(layer.gamma), wide(layer.beta)
    expected = reference.infer(x, gamma, beta, mean, variance, layer.epsilon)
    # The mean is kept to 2**-26 of itself, which is this much of the output.
    spread = np.sqrt(variance + layer.epsilon)
    kept = 8 * 2.0**-26 * np.abs(mean) / spread * 2.0**10
    scale = np.abs(expected).max(axis=0) + np.abs(beta) + kept
    assert_close(infer(constant(x)), expected, "float16", units=3, scale=scale)


@both
def test_inference_far_from_the_mean_is_large_and_not_nan(compiled):
    layer = normalization(3, center=False, scale=False)
    layer.moving_deviation.assign([0.0, 1e-4, 1.0])
    layer.moving_mean.assign([6e4, 5e3, -3e4])
    x = np.array([[6e4, 5e3, 3e4], [5.9968e4, 5004, -3e4]], "float16")
    mean, deviation = wide(layer.moving_mean), wide(layer.moving_deviation)
    expected = reference.infer(x, 1.0, 0.0, mean, deviation**2, layer.epsilon)
    infer = traced(lambda x: layer(x, training=False), compiled)
    assert_close(infer(x), expected, "float16")


@both
@pytest.mark.parametrize(
    "axis, shape", [(1, (6, 5, 4, 3)), (-1, (6, 4, 3, 5)), (2, (7, 3, 5))]
)
def test_any_axis(axis, shape, compiled):
    random = np.random.default_rng(0)
    x = random.normal(3, 2, shape).astype("float16")
    upstream = random.normal(size=shape).astype("float16")
    layer = layers.BatchNormalization(axis=axis, dtype="float16")
    layer.build(shape)
    outputs, of_x, *_ = step_of(layer, compiled)(x, upstream)
    rows, upstream_rows = (np.moveaxis(a, axis, -1) for a in (x, upstream))
    expected = reference.train(
        rows.reshape(-1, 5), 1.0, 0.0, upstream_rows.reshape(-1, 5), 1e-3
    )
    for found, name in ((outputs, "outputs"), (of_x, "x")):
        values = np.moveaxis(expected[name].reshape(rows.shape), -1, axis)
        assert_close(found, values, "float16", scale=np.abs(values).max())


def test_bfloat16_trains_too_and_without_a_graph():
    random = np.random.default_rng(0)
    x = keras.ops.cast(random.normal(5, 2, (512, 4)), "bfloat16")
    layer = layers.BatchNormalization(dtype="bfloat16", momentum=0.5)
    outputs = layer(x, training=True)
    expected = reference.train(wide(x), 1.0, 0.0, wide(x), 1e-3)
    assert_close(
        outputs,
        expected["outputs"],
        "bfloat16",
        scale=np.abs(expected["outputs"]).max(),
    )
    assert_close(layer.moving_mean, expected["mean"] / 2, "bfloat16")


@pytest.mark.parametrize("settings", [{}, {"axis": 1, "momentum": 0.8, "scale": False}])
def test_at_32_bits_it_is_the_layer_of_keras(settings):
    x = np.random.default_rng(0).normal(3, 2, (16, 6, 4)).astype("float32")
    ours = layers.BatchNormalization(dtype="float32", **settings)
    keras_own = keras.layers.BatchNormalization(dtype="float32", **settings)
    for training in (True, True, False):
        expected = wide(keras_own(x, training=training))
        assert_close(ours(x, training=training), expected, "float32")
    pairs = zip(ours.variables, keras_own.variables, strict=True)
    for variable, expected in pairs:
        assert variable.name == expected.name
        assert_close(variable, wide(expected), "float32")


def test_a_frozen_layer_uses_its_moving_statistics():
    x = draw(32)[:, 3:5]
    layer = normalization(2)
    layer.trainable = False
    before = host(layer.moving_mean).copy()
    trained, inferred = layer(x, training=True), layer(x, training=False)
    np.testing.assert_array_equal(host(trained), host(inferred))
    np.testing.assert_array_equal(host(layer.moving_mean), before)


# On JAX Keras itself refuses to synchronize.
REFUSED = [{"renorm": True}, *([] if ON_JAX else [{"synchronized": True}])]


@pytest.mark.parametrize("settings", REFUSED)
def test_what_16_bits_do_not_have_is_refused(settings):
    with pytest.raises(UserError, match="float32"):
        layers.BatchNormalization(dtype="float16", **settings)


LAYERS = [
    layers.BatchNormalization(momentum=0.7, epsilon=1e-5, axis=1, dtype="float16"),
    layers.GlobalAveragePooling1D(keepdims=True, dtype="float16"),
    layers.GlobalAveragePooling2D(data_format="channels_first", dtype="float16"),
    layers.GlobalAveragePooling3D(dtype="float16"),
    layers.Rescaling([0.5, 2.0], offset=-1.0, dtype="float16"),
]
NAMES = [type(layer).__name__ for layer in LAYERS]


@pytest.mark.parametrize("layer", LAYERS, ids=NAMES)
def test_configurations_go_round(layer):
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()


def test_a_saved_model_predicts_the_same(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2), dtype="float16"),
            layers.Rescaling([1 / 255, 2.0], dtype="float16"),
            layers.BatchNormalization(momentum=0.9, dtype="float16"),
            layers.GlobalAveragePooling2D(dtype="float16"),
        ]
    )
    x = np.random.default_rng(0).uniform(0, 255, (32, 6, 6, 2)).astype("float16")
    for _ in range(3):
        model(x, training=True)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(host(again(x)), host(model(x)))
    assert host(again.layers[1].moving_mean_fraction).any()


@both
@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_global_averages(rank, size, compiled):
    layer = getattr(layers, f"GlobalAveragePooling{rank}D")(dtype="float16")
    shape = (3, *[size] * rank, 4)
    x = np.random.default_rng(0).uniform(-1e4, 6e4, shape).astype("float16")
    expected, size = sums.mean(x, axis=tuple(range(1, rank + 1)))
    assert_close(traced(layer, compiled)(x), expected, "float16", scale=size)


@both
def test_the_gradient_of_a_global_average(compiled):
    layer = layers.GlobalAveragePooling2D(dtype="float16")

    def gradient(x, upstream):
        return value_and_gradients(layer)(upstream, x)[1]

    random = np.random.default_rng(0)
    x = random.normal(size=(5, 7, 7, 3)).astype("float16")
    upstream = random.normal(size=(5, 3)).astype("float16")
    expected = np.broadcast_to(wide(upstream)[:, None, None] / 49, x.shape)
    assert_close(traced(gradient, compiled)(x, upstream), expected, "float16")


def test_global_averages_know_their_axes_and_keep_them():
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 5)).astype("float16")
    for settings in ({"data_format": "channels_first"}, {"keepdims": True}):
        ours = layers.GlobalAveragePooling2D(dtype="float16", **settings)
        keras_own = keras.layers.GlobalAveragePooling2D(dtype="float32", **settings)
        expected = wide(keras_own(x.astype("float32")))
        assert_close(ours(x), expected, "float16", scale=1.0)


def test_a_masked_average_at_32_bits_is_that_of_keras():
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    mask = np.array([[True, True, False], [True, False, False]])
    ours = layers.GlobalAveragePooling1D(dtype="float32")
    expected = keras.layers.GlobalAveragePooling1D(dtype="float32")(x, mask=mask)
    assert_close(ours(x, mask=mask), wide(expected), "float32")


@both
@pytest.mark.parametrize(
    "scale, offset", [(1 / 255, 0.0), (2.0, -1.0), ([0.1, 2.0, 3.0], [1.0, 0.0, -5.0])]
)
def test_rescaling(scale, offset, compiled):
    layer = layers.Rescaling(scale, offset, dtype="float16")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3)).astype("uint8")
    found = traced(layer, compiled)(pixels)
    product = wide(pixels) * np.array(scale)
    size = np.abs(product) + np.abs(np.array(offset))
    assert_close(found, product + np.array(offset), "float16", scale=size)


@of_tensorflow("reads its graph")
def test_keras_rescaling_by_a_list_makes_float32():
    layer = keras.layers.Rescaling([0.1, 2.0], dtype="float16")
    assert "float32" in floats_in(layer)
    assert floats_in(layers.Rescaling([0.1, 2.0], dtype="float16")) == {"float16"}


def floats_in(layer):
    """The floating dtypes in the graph of a layer of two float16 features."""
    import tensorflow as tf

    function = traced(layer, False)
    graph = function.get_concrete_function(tf.TensorSpec([None, 2], "float16")).graph
    outputs = [t for operation in graph.get_operations() for t in operation.outputs]
    return {t.dtype.name for t in outputs if t.dtype.is_floating}


def test_rescaling_at_32_bits_is_that_of_keras():
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    expected = keras.layers.Rescaling([1.0, 2.0, 3.0], 0.5, dtype="float32")(x)
    ours = layers.Rescaling([1.0, 2.0, 3.0], 0.5, dtype="float32")(x)
    assert_close(ours, wide(expected), "float32")


# Recurrent layers without `use`


@pytest.fixture
def of_keras(monkeypatch):
    """Keras' orthogonal weights as they are before keras16 is used."""
    initializer = keras.initializers.Orthogonal
    own = getattr(initializer.__call__, "of_keras", initializer.__call__)
    monkeypatch.setattr(initializer, "__call__", own)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["LSTM", "GRU", "SimpleRNN", "GRUCell"])
def test_recurrent_weights_of_16_bits_are_orthogonal(name, dtype, of_keras):
    layer = getattr(layers, name)(6, dtype=dtype)
    layer.build((2, 4) if name.endswith("Cell") else (2, 5, 4))
    kernel = getattr(layer, "cell", layer).recurrent_kernel
    assert keras.backend.standardize_dtype(kernel.dtype) == dtype
    rows = wide(host(kernel))
    unit = {"float16": 2.0**-11, "bfloat16": 2.0**-8}[dtype]
    np.testing.assert_allclose(rows @ rows.T, np.eye(6), atol=2 * unit)


def test_a_recurrent_net_has_a_twin_in_bfloat16(of_keras):
    keras.utils.set_random_seed(0)
    stock = keras.Sequential([keras.Input((3, 4)), keras.layers.LSTM(2)])
    twin = convert(stock, "bf16")
    twin.compile(optimizers.SGD(0.1), losses.MeanSquaredError(), jit_compile=ON_JAX)
    x, y = np.ones((4, 3, 4), "float32"), np.ones((4, 2), "float32")
    errors = [float(twin.train_on_batch(x, y)) for _ in range(3)]
    assert errors[2] < errors[1] < errors[0]
    assert {variable.dtype for variable in twin.trainable_variables} == {"bfloat16"}
