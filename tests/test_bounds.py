"""Bounds on rounding: never below the true error, and small enough to be of use."""

import os

import keras
import ml_dtypes
import numpy as np
import pytest
from keras import layers
from runs import fresh

import keras16
from keras16 import bounds, training
from keras16 import layers as own
from keras16.bounds import _accumulation, _activations, _linear
from keras16.errors import UserError
from keras16.numerics import averages
from keras16.study import Run

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="JAX has no float64 by default"
)


def dense(depth, activation):
    def build(dtype):
        kept = {"dtype": dtype, "activation": activation}
        hidden = [own.Dense(12, **kept) for _ in range(depth - 1)]
        return keras.Sequential(
            [keras.Input((8,), dtype=dtype), *hidden, own.Dense(4, dtype=dtype)]
        )

    return build


def residual(dtype):
    """Sixteen layers deep: normalization, branches and all."""
    inputs = x = keras.Input((8,), dtype=dtype)
    for _ in range(4):
        y = own.BatchNormalization(dtype=dtype)(x)
        y = own.Dense(8, activation="silu", dtype=dtype)(y)
        y = own.LayerNormalization(dtype=dtype)(y)
        x = layers.Add(dtype=dtype)([x, own.Dense(8, dtype=dtype)(y)])
    x = layers.Concatenate(dtype=dtype)([x, inputs])
    return keras.Model(inputs, own.Dense(4, dtype=dtype)(x))


def convolutional(dtype):
    kept = {"dtype": dtype}
    return keras.Sequential(
        [
            keras.Input((6, 6, 2), dtype=dtype),
            own.Conv2D(6, 3, padding="same", use_bias=False, **kept),
            own.BatchNormalization(**kept),
            layers.ReLU(**kept),
            own.MaxPooling2D(2, **kept),
            layers.ZeroPadding2D(1, **kept),
            own.DepthwiseConv2D(3, depth_multiplier=2, activation="relu6", **kept),
            layers.AveragePooling2D(2, strides=1, padding="same", **kept),
            own.Conv2D(4, 2, strides=2, activation="softplus", **kept),
            own.GlobalAveragePooling2D(**kept),
            own.Dense(4, **kept),
        ]
    )


def gated(dtype):
    """A softmax in the middle, whose probabilities weigh a branch."""
    inputs = keras.Input((8,), dtype=dtype)
    gates = own.Dense(6, activation="softmax", dtype=dtype)(inputs)
    values = own.Dense(6, activation="elu", dtype=dtype)(inputs)
    x = layers.Multiply(dtype=dtype)([gates, values])
    return keras.Model(inputs, own.Dense(4, dtype=dtype)(x))


NETS = {
    "gated by a softmax": (gated, (8,)),
    "one layer": (dense(1, None), (8,)),
    "relu": (dense(3, "relu"), (8,)),
    "twelve of leaky_relu": (dense(12, "leaky_relu"), (8,)),
    "tanh": (dense(6, "tanh"), (8,)),
    "gelu": (dense(8, "gelu"), (8,)),
    "residual": (residual, (8,)),
    "convolutional": (convolutional, (6, 6, 2)),
}


def twins(build):
    """The same net in float16 and in float64."""
    return build("float16"), build("float64")


def draw_weights(net, draws, kind):
    """Random weights: of about 1, subnormal, large, or such that they cancel."""
    for layer in net.layers:
        for weight in layer.weights:
            if "int" in weight.dtype:
                continue
            shape = tuple(weight.shape)
            values = draws.normal(size=shape) / np.sqrt(max(shape[-2:][0], 1))
            if weight.name in ("gamma", "moving_deviation"):
                values = np.exp(0.3 * draws.normal(size=shape))
            elif weight.name == "kernel" and kind == "cancelling":
                values = np.round(values, 1) + draws.choice([-8, 8], shape)
            elif weight.name == "kernel":
                values *= {"subnormal": 2.0**-7, "large": 3.0}.get(kind, 1.5)
            weight.assign(values.astype("float16"))


def copy_weights(narrow, wide):
    """Float64 weights that are those of the float16 net to the bit."""
    for one, other in zip(narrow.layers, wide.layers, strict=True):
        kept = {w.name: np.asarray(w) for w in one.weights}
        if "moving_mean_fraction" in kept:
            mean = averages.joined(kept["moving_mean"], kept["moving_mean_fraction"])
            square = kept["moving_deviation"].astype("float64") ** 2
            kept |= {"moving_mean": mean, "moving_variance": square}
        for weight in other.weights:
            weight.assign(kept[weight.name].astype("float64"))


INPUTS = {"usual": 1.0, "subnormal": 1e-6, "large": 300.0, "cancelling": 1.0}


@pytest.mark.parametrize("name", NETS)
def test_the_true_error_never_exceeds_the_bound(name):
    """16,384 pairs of a net and an input each, 131,072 in all; five nets are deep."""
    build, shape = NETS[name]
    narrow, wide = twins(build)
    draws = np.random.default_rng(len(name))
    finite = proven = 0
    for kind, magnitude in INPUTS.items():
        for _ in range(2):
            draw_weights(narrow, draws, kind)
            copy_weights(narrow, wide)
            x = draws.normal(size=(2048, *shape)) * magnitude
            x = x.astype("float16")
            found = bounds.error_bound(narrow, x, batch_size=2048)
            np.testing.assert_array_equal(found.outputs, np.asarray(narrow(x)))
            exact = np.asarray(wide(x.astype("float64")))
            finite += check(found, exact)
            proven += found.proven.sum()
    assert finite > 0.4 * len(INPUTS) * 2 * 2048, finite
    assert proven > 0


def check(found, exact):
    """Compares bounds with the true errors; gives how many examples had any."""
    known = np.isfinite(found.bound).all(axis=1)
    assert not found.proven[~known].any()
    outputs, bound, margin_bound = (one[known] for one in found)
    exact = exact[known]
    noise = 1e-12 * np.abs(exact).max(initial=0)  # of float64 itself
    assert np.all(np.abs(outputs - exact) <= bound + noise)
    top = np.argmax(outputs, axis=1)[:, None]
    leads = [np.take_along_axis(one, top, 1) - one for one in (outputs, exact)]
    assert np.all(np.abs(leads[0] - leads[1]) <= margin_bound + 2 * noise)
    same = np.argmax(exact, axis=1) == top[:, 0]
    assert np.all(same[found.proven[known]])
    return known.sum()


def test_a_bound_is_seldom_ten_times_too_large_where_there_is_one_layer():
    build, shape = NETS["one layer"]
    narrow, wide = twins(build)
    draws = np.random.default_rng(0)
    draw_weights(narrow, draws, "usual")
    copy_weights(narrow, wide)
    x = draws.normal(size=(512, *shape)).astype("float16")
    found = bounds.error_bound(narrow, x)
    error = np.abs(found.outputs - np.asarray(wide(x.astype("float64"))))
    assert np.median(error / found.bound) > 0.1
    assert found.proven.mean() > 0.95


def test_inputs_that_float16_rounds_are_part_of_the_error():
    net = keras.Sequential([keras.Input((1,)), own.Dense(2, use_bias=False)])
    net = keras16.convert(net, "16")
    net.layers[0].kernel.assign([[1.0, 0.5]])
    x = np.array([[1 + 2.0**-12]])
    found = keras16.error_bound(net, x)
    np.testing.assert_array_equal(found.outputs, [[1, 0.5]])
    assert found.bound[0, 0] >= 2.0**-12
    assert found.proven.all()


def test_inputs_that_the_first_layer_casts_are_known():
    inputs = keras.Input((1,), dtype="float32")
    x = own.Dense(2, use_bias=False, dtype="float16")(inputs)
    y = own.Dense(2, use_bias=False, dtype="float16")(inputs)
    net = keras.Model(inputs, layers.Subtract(dtype="float16")([x, y]))
    net.layers[1].kernel.assign([[1.0, 2.0]])
    net.layers[2].kernel.assign([[0.5, 0.5]])
    found = keras16.error_bound(net, np.array([[1 + 2.0**-12]]))
    np.testing.assert_array_equal(found.outputs, [[0.5, 1.5]])
    assert np.all(np.abs([[0.5, 1.5]]) * 2.0**-12 <= found.bound)
    assert np.all(found.bound < 0.01)


def test_a_net_of_words_has_bounds():
    def build(dtype):
        kept = {"dtype": dtype}
        return keras.Sequential(
            [
                keras.Input((7,), dtype="int32"),
                own.Embedding(20, 6, **kept),
                own.Conv1D(5, 3, padding="causal", activation="tanh", **kept),
                own.GlobalAveragePooling1D(**kept),
                own.Dense(3, **kept),
            ]
        )

    narrow, wide = twins(build)
    draws = np.random.default_rng(0)
    draw_weights(narrow, draws, "usual")
    copy_weights(narrow, wide)
    ids = draws.integers(0, 20, (256, 7))
    found = bounds.error_bound(narrow, ids)
    assert check(found, np.asarray(wide(ids))) == 256
    assert found.proven.mean() > 0.9


def test_an_infinity_or_a_nan_leaves_its_own_example_open():
    build, shape = NETS["relu"]
    narrow, _ = twins(build)
    draw_weights(narrow, np.random.default_rng(0), "usual")
    x = np.random.default_rng(1).normal(size=(4, *shape))
    x[1], x[2, 0] = 6e4, np.nan
    found = bounds.error_bound(narrow, x)
    assert np.isfinite(found.bound[[0, 3]]).all()
    assert np.isinf(found.bound[[1, 2]]).all()
    assert not found.proven[[1, 2]].any()


def test_a_tie_is_open():
    net = keras.Sequential([keras.Input((2,)), layers.Flatten()])
    net = keras16.convert(net, "16")
    found = bounds.error_bound(net, np.array([[1.0, 1.0], [1.0, 2.0]]))
    np.testing.assert_array_equal(found.bound, 0)  # nothing is rounded
    np.testing.assert_array_equal(found.proven, [False, True])


def test_a_softmax_at_the_end_is_left_out():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    hidden = layers.Dense(5, activation="relu")(inputs)
    ends = [
        layers.Dense(3, activation="softmax")(hidden),
        layers.Softmax()(layers.Dense(3)(hidden)),
    ]
    x = np.random.default_rng(0).normal(size=(5, 6))
    for end in ends:
        twin = keras16.convert(keras.Model(inputs, end), "16")
        found = bounds.error_bound(twin, x)
        assert found.outputs.min() < 0
        assert np.isfinite(found.bound).all()


@keras.saving.register_keras_serializable(package="tests")
class Doubled(layers.Dense):
    """A Dense in name: what it computes is its own business."""

    def call(self, inputs, training=None):
        return 2 * super().call(inputs)


@pytest.mark.parametrize(
    "layer, named",
    [
        (Doubled(3, dtype="float16"), "Doubled"),
        (own.Dense(3, activation=lambda x: x * x, dtype="float16"), "activation"),
        (own.MultiHeadAttention(1, 2, dtype="float16"), "MultiHeadAttention"),
    ],
)
def test_what_is_not_known_leaves_all_answers_open(layer, named):
    inputs = keras.Input((4, 3), dtype="float16")
    x = layer(inputs, inputs) if "Attention" in named else layer(inputs)
    x = layers.Flatten(dtype="float16")(x)
    net = keras.Model(inputs, own.Dense(2, dtype="float16")(x))
    found = bounds.analyse(net, np.zeros((2, 4, 3)))
    assert any(named in one for one in found.open)
    assert np.isinf(found.found.bound).all()
    assert not found.found.proven.any()


def test_what_computes_in_float32_or_has_two_inputs_is_refused():
    inputs = keras.Input((3,))
    wide = keras.Model(inputs, layers.Dense(2)(inputs))
    with pytest.raises(UserError, match="computes in float32"):
        keras16.error_bound(wide, np.zeros((1, 3)))
    other = keras.Input((3,))
    both = keras.Model([inputs, other], layers.Add()([inputs, other]))
    with pytest.raises(UserError, match="one input"):
        keras16.error_bound(keras16.convert(both, "16"), np.zeros((1, 3)))


def test_the_shares_of_the_layers_are_what_the_bound_is_made_of():
    build, shape = NETS["convolutional"]
    narrow, _ = twins(build)
    draw_weights(narrow, np.random.default_rng(0), "usual")
    x = np.random.default_rng(1).normal(size=(64, *shape)).astype("float16")
    found = bounds.analyse(narrow, x)
    order = np.argsort(found.found.outputs, axis=1)
    runner_up = np.take_along_axis(found.found.margin_bound, order[:, -2:-1], 1)
    assert sum(found.shares.values()) == pytest.approx(runner_up.mean(), rel=0.2)
    assert next(iter(found.shares)).startswith("conv2d")


def test_few_slopes_at_a_time_give_the_same_bounds(monkeypatch):
    build, shape = NETS["convolutional"]
    narrow, _ = twins(build)
    draw_weights(narrow, np.random.default_rng(0), "usual")
    x = np.random.default_rng(1).normal(size=(32, *shape)).astype("float16")
    whole = bounds.analyse(narrow, x)
    monkeypatch.setattr("keras16.bounds._bound.LARGEST", 1)
    parts = bounds.analyse(narrow, x)
    np.testing.assert_allclose(parts.found.bound, whole.found.bound, rtol=1e-5)
    assert parts.shares == pytest.approx(whole.shares, rel=1e-5)


@pytest.mark.skipif(
    not os.path.isdir(os.path.join(os.environ.get("TFDS_DATA_DIR", ""), "mnist")),
    reason="TFDS_DATA_DIR is unset or holds no mnist",
)
@pytest.mark.parametrize("name, epochs, share", [("dnn", 1, 0.99), ("cnn", 2, 0.97)])
def test_most_answers_on_mnist_are_proven(name, epochs, share):
    run = Run(model=name, dataset="mnist", epochs=epochs, precision="16")
    with fresh():
        trained = training.fit(run, audit=False)
    found = bounds.error_bound(trained.model, trained.dataset.x_test[:2000])
    assert found.proven.mean() >= share


# Kernels


class Kernel:
    """A stand-in for a layer, whose product is computed as asked."""

    def __init__(self, product, shape):
        self.product, self.kernel = product, keras.Variable(np.zeros(shape, "float32"))

    def __call__(self, x):
        return self.product(np.asarray(x, "float32"), np.asarray(self.kernel))


def in_steps(dtype):
    """A product that keeps each sum in a dtype."""

    def product(x, kernel):
        total = np.zeros((len(x), kernel.shape[1]), dtype)
        for column, row in zip(x.T, kernel, strict=True):
            total = (total + (column[:, None] * row).astype(dtype)).astype(dtype)
        return total.astype("float32").astype("float16")

    return product


@pytest.mark.parametrize(
    "dtype, unit", [("float32", 2.0**-24), ("float16", 2.0**-11), ("bfloat16", None)]
)
@pytest.mark.parametrize("terms", [9, 784])
def test_how_a_kernel_accumulates_is_recognized(monkeypatch, dtype, unit, terms):
    monkeypatch.setattr(_accumulation.backend.module(), "has_gpu", lambda: False)
    monkeypatch.setattr(_accumulation.backend.module(), "own_kernels", lambda *_: None)
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    layer = Kernel(in_steps(kind), (terms, 8))
    with np.errstate(over="ignore", invalid="ignore"):
        found = _accumulation._asked(layer, keras.ops.matmul, (16, terms), terms)
    assert found == unit


def test_parts_of_our_own_kernels_count_each(monkeypatch):
    monkeypatch.setattr(_accumulation.backend.module(), "has_gpu", lambda: False)
    monkeypatch.setattr(_accumulation.backend.module(), "own_kernels", lambda *_: True)
    layer = Kernel(in_steps(np.dtype("float32")), (9, 8))
    found = _accumulation._asked(layer, keras.ops.matmul, (16, 9), 9)
    assert found > 4 * (1 + 2.0**-8) ** 2 * 2.0**-24


def test_inputs_cut_to_fewer_bits_are_recognized(monkeypatch):
    monkeypatch.setattr(_accumulation.backend.module(), "own_kernels", lambda *_: None)

    def product(x, kernel):
        cut = (one.astype(ml_dtypes.bfloat16).astype("float32") for one in (x, kernel))
        return np.matmul(*cut).astype("float16")

    layer = Kernel(product, (300, 8))
    assert _accumulation._asked(layer, keras.ops.matmul, (16, 300), 300) != 2.0**-24


# The rules


@pytest.mark.parametrize("name", _activations._NAMED)
def test_an_activation_bends_no_more_than_is_said(name):
    function = _activations._NAMED[name]
    x = np.linspace(-9, 9, 36_001)
    keras_values = np.asarray(getattr(keras.activations, name)(keras.ops.array(x)))
    np.testing.assert_allclose(function.value(x), keras_values, rtol=1e-6, atol=1e-6)
    draws = np.random.default_rng(0)
    a, b = draws.uniform(-9, 9, (2, 100_000))
    b = np.where(draws.random(len(a)) < 0.5, b, a + (b - a) * 1e-3)
    rise = function.value(a) - function.value(b)
    slope = function.slope(a)
    error = np.abs(a - b)
    bent = rise - slope * (a - b)
    noise = 1e-14 * (1 + np.abs(a))
    assert np.all(np.abs(rise) <= function.lipschitz * error + noise)
    assert np.all(np.abs(bent) <= _activations._bend(function, a, error) + noise)
    if function.convex:
        assert np.all(bent <= noise)


def test_terms_are_counted_as_the_kernel_adds_them():
    for layer, shape, terms in (
        (own.Dense(5), (2, 7), 7),
        (own.Conv2D(5, (3, 2)), (2, 8, 8, 4), 24),
        (own.Conv2D(4, 3, groups=2), (2, 8, 8, 4), 18),
        (own.DepthwiseConv2D(3, depth_multiplier=2), (2, 8, 8, 4), 9),
        (own.EinsumDense("abc,cde->abde", (None, 3, 5)), (2, 6, 7), 7),
        (own.EinsumDense("abde,dec->abc", (None, 5)), (2, 6, 3, 4), 12),
    ):
        layer.build(shape)
        assert _linear._terms(layer, np.asarray(layer.kernel)) == terms, layer


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size, strides", [((2, 3), (2, 2)), ((3, 3), (1, 2))])
def test_pooling_of_any_window_is_followed(padding, size, strides):
    kept = {"padding": padding, "dtype": "float16", "strides": strides}
    draws = np.random.default_rng(0)
    for pooling in (own.MaxPooling2D, layers.AveragePooling2D):
        net = keras.Sequential(
            [
                keras.Input((7, 6, 3), dtype="float16"),
                own.Conv2D(2, 1, dtype="float16"),
                pooling(size, **kept),
                layers.Flatten(dtype="float16"),
            ]
        )
        x = draws.normal(size=(64, 7, 6, 3)).astype("float16")
        kernel, bias = (np.asarray(w, "float64") for w in net.layers[0].weights)
        before = np.einsum("nhwc,co->nhwo", x.astype("float64"), kernel[0, 0]) + bias
        wide = pooling(size, **kept | {"dtype": "float64"})(before)
        exact = np.asarray(wide).reshape(64, -1)
        found = bounds.error_bound(net, x)
        assert check(found, exact) == 64
        assert found.bound.max() < 0.02
