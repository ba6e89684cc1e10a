"""Depthwise convolutions and means of windows: values and gradients beside float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras16 import audit, backend, hardware, layers, losses
from keras16.numerics import average_pooling, depthwise
from keras16.numerics.depthwise import Window
from tests.close import TOLERANCES, numpy_dtype, wide
from tests.traced import formats, traced

# Each of the two ways as it is run: sums over places under XLA, kernels in a graph.
ways = pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
# Halves of a unit in the last place of the sum of the products' magnitudes. oneDNN
# accumulates in float32; where it has no kernel for float16, TensorFlow does not.
UNITS = 4.0
WINDOWS = {
    "3x3": Window((3, 3), (1, 1), (1, 1), (8, 9), "same"),
    "3x3 valid": Window((3, 3), (1, 1), (1, 1), (8, 9), "valid"),
    "every other": Window((3, 3), (2, 2), (1, 1), (8, 9), "same"),
    "every other, valid": Window((3, 3), (2, 2), (1, 1), (9, 8), "valid"),
    "even": Window((4, 2), (2, 2), (1, 1), (9, 9), "same"),
    "apart": Window((3, 3), (3, 3), (1, 1), (8, 10), "same"),
    "with gaps": Window((2, 2), (3, 3), (1, 1), (10, 8), "valid"),
    "dilated": Window((3, 2), (1, 1), (2, 2), (9, 8), "same"),
    "a row": Window((1, 3), (1, 2), (1, 1), (1, 9), "same"),
    "a dilated row": Window((1, 3), (1, 1), (1, 2), (1, 9), "valid"),
    "beyond the image": Window((7, 7), (1, 1), (1, 1), (4, 4), "same"),
}


def drawn(shape, dtype, seed, scale=1.0):
    values = np.random.default_rng(seed).normal(size=shape) * scale
    return tf.constant(values.astype(numpy_dtype(dtype)))


def step_of(function, compiled):
    """(value, gradients of both) of a function of two tensors, given an upstream."""

    def step(upstream, *tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = function(*tensors)
        return [value, *tape.gradient(value, tensors, upstream)]

    return traced(step, compiled)


def exact_convolution(window):
    def convolve(x, kernel):
        return keras.ops.depthwise_conv(
            x,
            kernel,
            strides=max(window.strides),
            padding=window.padding,
            dilation_rate=window.dilation,
        )

    return convolve


def errors(own, exact, tensors, scales, compiled):
    """In halves of a unit of the sum of magnitudes, of the value and each gradient."""
    *inputs, upstream = tensors
    got = step_of(own, compiled)(upstream, *inputs)
    doubles = [tf.cast(each, "float64") for each in (upstream, *inputs)]
    want = step_of(exact, False)(*doubles)
    size = step_of(exact, False)(*(tf.abs(each) for each in doubles))
    dtype = upstream.dtype.name
    half = 2.0 ** -(TOLERANCES[dtype].mantissa + 1)
    floor = 2.0 ** (TOLERANCES[dtype].lowest - 1)
    for each in got:
        assert each.dtype.name == dtype
    return [
        float(np.max(np.abs(wide(g) - w) / np.maximum(s, floor))) / half / scales
        for g, w, s in zip(got, want, size, strict=True)
    ]


# Every window in a graph, some of them in both formats; under XLA one takes seconds.
IN_A_GRAPH = [
    *[(name, "float16") for name in WINDOWS],
    *[(name, "bfloat16") for name in ("3x3", "every other", "apart")],
]
COMPILED = [("even", "float16", True), ("dilated", "bfloat16", True)]


@pytest.mark.parametrize(
    ("name", "dtype", "compiled"), [*((*one, False) for one in IN_A_GRAPH), *COMPILED]
)
def test_depthwise_convolution_by_places(name, dtype, compiled):
    assert_convolves(name, dtype, by_places=True, compiled=compiled)


@pytest.mark.parametrize(("name", "dtype"), IN_A_GRAPH)
def test_depthwise_convolution_by_kernels(name, dtype):
    assert_convolves(name, dtype, by_places=False, compiled=False)


def assert_convolves(name, dtype, by_places, compiled):
    window, multiplier = WINDOWS[name], 2 if name in ("even", "dilated") else 1
    found = errors(
        lambda x, kernel: depthwise.convolved(x, kernel, window, by_places),
        exact_convolution(window),
        [
            drawn((3, *window.given, 4), dtype, 0),
            drawn((*window.size, 4, multiplier), dtype, 1),
            drawn((3, *window.results, 4 * multiplier), dtype, 2),
        ],
        1,
        compiled,
    )
    assert max(found) <= UNITS, found


MEANS = [name for name in WINDOWS if "dilated" not in name]


@pytest.mark.parametrize(
    ("name", "by_places"),
    [*((name, True) for name in MEANS), ("even", False), ("3x3 valid", False)],
)
def test_means_of_windows(name, by_places):
    dtype = "float16"
    window = WINDOWS[name]
    pools = window.size, window.strides, window.padding

    def exact(x):
        return tf.nn.avg_pool2d(x, *pools[:2], pools[2].upper())

    found = errors(
        lambda x: average_pooling.average_pool(x, window, by_places),
        exact,
        [
            drawn((3, *window.given, 4), dtype, 0),
            drawn((3, *window.results, 4), dtype, 1),
        ],
        1,
        False,
    )
    assert max(found) <= UNITS, found


# What float16 is not made for


def convolution_of(x, kernel, upstream, window, compiled):
    own = step_of(lambda x, k: depthwise.convolved(x, k, window, True), compiled)
    return own(upstream, x, kernel)


def ones_counted(dtype, by_rows):
    """The kernel's gradient of ones, [16, 64, 64, 2] of them, and what it must be."""
    window = Window((3, 3), (1, 1), (1, 1), (64, 64), "valid")
    ones = tf.ones((16, 64, 64, 2), dtype)
    sums = depthwise._by_rows if by_rows else depthwise._by_images
    part, exponent = sums(ones, ones[:, :62, :62] / 8, (3, 3, 2, 1), window)
    return wide(part) * 2.0 ** int(exponent), 16 * 62 * 62 / 8


@formats
def test_the_gradient_of_the_kernel_counts_every_place(dtype):
    found, exact = ones_counted(dtype, by_rows=True)
    np.testing.assert_allclose(found, exact, rtol=2.0 ** -TOLERANCES[dtype].mantissa)


def test_so_does_it_in_a_plain_graph_where_the_format_is_native():
    native = hardware.native_float16(), hardware.native_bfloat16()
    if not any(native):
        pytest.skip("oneDNN has no 16-bit kernel here")
    dtype = ("float16", "bfloat16")[native.index(True)]
    found, exact = ones_counted(dtype, by_rows=False)
    np.testing.assert_allclose(found, exact, rtol=2.0 ** -TOLERANCES[dtype].mantissa)


def test_stock_ends_at_2048():
    if hardware.native_float16():
        pytest.skip("oneDNN may have a kernel for it")
    ones = tf.ones((1, 64, 64, 2), "float16")
    stock = tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
        input=ones,
        filter_sizes=(3, 3, 2, 1),
        out_backprop=ones[:, :62, :62],
        strides=(1, 1, 1, 1),
        padding="VALID",
    )
    assert (stock.numpy() == 2048).all()


@formats
def test_it_counts_131072_places(dtype):
    window = Window((1, 1), (1, 1), (1, 1), (256, 512), "valid")
    x = tf.ones((1, 256, 512, 1), dtype)
    found = depthwise.kernel_gradient(x, x / 16, (1, 1, 1, 1), window, True)
    assert wide(found).item() == 2.0**13


@pytest.mark.parametrize(
    ("of_x", "of_gradient", "compiled"),
    [
        (1e-5, 1.0, False),
        (1.0, 2e-7, True),
        (1.0, 2e-7, False),
        (1.2e4, 2e-7, False),
        (1.2e4, 1e-3, False),
    ],
)
def test_gradients_of_any_magnitude(of_x, of_gradient, compiled):
    window = WINDOWS["every other"]
    x = drawn((4, 8, 9, 4), "float16", 0, of_x)
    kernel = drawn((3, 3, 4, 1), "float16", 1)
    upstream = drawn((4, *window.results, 4), "float16", 2, of_gradient)
    found = convolution_of(x, kernel, upstream, window, compiled)
    doubles = [tf.cast(each, "float64") for each in (upstream, x, kernel)]
    exact = step_of(exact_convolution(window), False)(*doubles)
    size = step_of(exact_convolution(window), False)(*map(tf.abs, doubles))
    for got, want, magnitude in zip(found, exact, size, strict=True):
        bound = 2.0**-9 * wide(magnitude) + 2.0**-24
        fits = np.abs(wide(want)) < 65504
        assert np.all(np.abs(wide(got) - wide(want))[fits] <= bound[fits])


def test_sums_of_large_products_do_not_overflow_on_the_way():
    window = WINDOWS["3x3 valid"]
    signs = np.resize([1.0, -1.0], (1, 8, 9, 2)) * np.ones((1, 8, 9, 2))
    x = tf.constant(np.abs(signs) * 6e4, "float16")
    kernel = np.array([6.0, -6.0, 0.5] * 3).reshape(3, 3, 1, 1) * np.ones((3, 3, 2, 1))
    kernel = tf.constant(kernel, "float16")
    upstream = tf.ones((1, *window.results, 2), "float16")
    found = convolution_of(x, kernel, upstream, window, False)[0]
    exact = np.float16(6e4).astype("float64") * 1.5  # beyond the format
    assert exact > 65504 and np.isinf(wide(found)).all()
    half = kernel * tf.constant(0.5, "float16")
    found = convolution_of(x, half, upstream, window, False)[0]
    np.testing.assert_allclose(wide(found), exact / 2, rtol=2.0**-9)


@pytest.mark.parametrize("name", ["3x3", "apart"])
def test_means_of_the_largest_numbers(name):
    window = WINDOWS[name]
    x = tf.fill((2, *window.given, 3), tf.constant(65504.0, "float16"))
    own = step_of(lambda x: average_pooling.average_pool(x, window, True), False)
    value, gradient = own(tf.fill((2, *window.results, 3), x[0, 0, 0, 0] / 2), x)
    np.testing.assert_allclose(wide(value), 65504, rtol=2.0**-10)
    assert np.isfinite(gradient.numpy()).all()


# Layers


LAYERS = {
    "DepthwiseConv1D": ((9, 4), {"kernel_size": 3, "strides": 2}),
    "DepthwiseConv2D": ((8, 9, 4), {"kernel_size": 3, "padding": "same"}),
    "SeparableConv1D": ((9, 4), {"filters": 5, "kernel_size": 3, "dilation_rate": 2}),
    "SeparableConv2D": ((8, 9, 4), {"filters": 5, "kernel_size": 3, "strides": 2}),
    "AveragePooling1D": ((9, 4), {"pool_size": 3, "strides": 2, "padding": "same"}),
    "AveragePooling2D": ((8, 9, 4), {"pool_size": 2}),
}


COMPILED_LAYERS = ("DepthwiseConv2D", "SeparableConv1D", "AveragePooling1D")


@pytest.mark.parametrize(
    ("name", "compiled"),
    [(name, False) for name in LAYERS] + [(name, True) for name in COMPILED_LAYERS],
)
def test_layers_are_keras(name, compiled, monkeypatch):
    monkeypatch.setattr(backend.module(), "compiles", lambda *_: compiled)
    shape, settings = LAYERS[name]
    own = getattr(layers, name)(**settings, dtype="float16")
    stock = getattr(keras.layers, name)(**settings, dtype="float64")
    x = drawn((5, *shape), "float16", 0)
    for layer in (own, stock):
        layer.build(x.shape)
    for ours, theirs in zip(own.weights, stock.weights, strict=True):
        ours.assign(drawn(ours.shape, "float16", 1))
        theirs.assign(wide(ours.value))
    upstream = drawn(own.compute_output_shape(x.shape), "float16", 2)
    got = gradients_of(own, x, upstream, compiled)
    doubles = tf.cast(x, "float64"), tf.cast(upstream, "float64")
    want = gradients_of(stock, *doubles, False)
    for mine, exact in zip(got, want, strict=True):
        assert mine.dtype == tf.float16
        level = np.sqrt(np.mean(np.square(exact)))
        np.testing.assert_allclose(wide(mine), exact, rtol=0.01, atol=0.01 * level)


def gradients_of(layer, x, upstream, compiled):
    @tf.function(jit_compile=compiled, autograph=False)
    def step(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = layer(x)
        weights = [weight.value for weight in layer.trainable_variables]
        return [value, *tape.gradient(value, [x, *weights], upstream)]

    return step(x, upstream)


def separable_net():
    """The kinds of layers that this file is about, of an unknown batch size."""
    narrow = {"dtype": "float16"}
    return keras.Sequential(
        [
            keras.Input((8, 8, 3), **narrow),
            layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, **narrow),
            layers.BatchNormalization(**narrow),
            layers.AveragePooling2D(3, strides=2, padding="same", **narrow),
            layers.SeparableConv2D(4, 3, strides=2, activation="gelu", **narrow),
            layers.AveragePooling2D(1, **narrow),
            keras.layers.Flatten(**narrow),
            layers.Dense(2, **narrow),
        ]
    )


@ways
def test_the_step_of_a_net_of_them_is_pure(compiled, monkeypatch):
    from keras16 import precision

    monkeypatch.setattr(backend.module(), "compiles", lambda *_: compiled)
    precision.use("16")
    model = separable_net()
    model.compile(loss=losses.MeanSquaredError(), optimizer="sgd", jit_compile=compiled)
    x, y = np.ones((4, 8, 8, 3), "float16"), np.ones((4, 2), "float16")
    report = audit(model, x, y)
    assert report.pure, str(report)
    if compiled:
        return  # compiling two shapes takes a minute
    model.fit(x, y, batch_size=3, verbose=0)  # the last batch is shorter
    assert all(np.isfinite(wide(each)).all() for each in model.trainable_variables)
