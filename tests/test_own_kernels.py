"""keras16's own kernels, where they are compiled and this CPU runs them."""

import functools
import math
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras16 import backend, hardware, kernels, layers, losses, metrics, optimizers
from keras16.compilation import compiles
from keras16.errors import UserError
from keras16.numerics import (
    accumulators,
    averages,
    categorical,
    depthwise,
    extremes,
    scaled,
    softfloat,
    tables,
)
from keras16.numerics.depthwise import Window
from tests.close import assert_close, unit, wide
from tests.runs import prepared
from tests.traced import (
    HAS_KERNELS,
    ON_JAX,
    constant,
    needs_kernels,
    of_tensorflow,
    run,
    wide_tensors,
    with_signature,
)

pytestmark = of_tensorflow("operations in C")
own = None
if not ON_JAX:
    from keras16.backend import tensorflow_kernels

    own = tensorflow_kernels if HAS_KERNELS else None

# Class, settings, shape of the inputs: every way that images are cut and read.
CASES = [
    ("Conv2D", {"filters": 16, "kernel_size": 3, "padding": "same"}, (3, 8, 8, 16)),
    ("Conv2D", {"filters": 5, "kernel_size": 3}, (2, 5, 7, 3)),
    ("Conv2D", {"filters": 33, "kernel_size": (5, 2)}, (1, 9, 40, 17)),
    ("Conv2D", {"filters": 70, "kernel_size": 3, "padding": "same"}, (33, 4, 4, 48)),
    ("Conv2D", {"filters": 4, "kernel_size": 1}, (1, 1, 1, 1)),
    (
        "Conv2D",
        {"filters": 24, "kernel_size": 3, "strides": 2, "padding": "same"},
        (20, 9, 8, 16),
    ),
    ("Conv2D", {"filters": 8, "kernel_size": 1, "strides": 3}, (2, 10, 11, 40)),
    ("Conv2D", {"filters": 530, "kernel_size": 1, "strides": 2}, (3, 5, 4, 600)),
    ("Conv2D", {"filters": 8, "kernel_size": (3, 2), "groups": 2}, (3, 9, 8, 6)),
    (
        "Conv2D",
        {"filters": 5, "kernel_size": 3, "dilation_rate": (2, 3), "padding": "same"},
        (2, 9, 8, 6),
    ),
    ("Conv2D", {"filters": 20, "kernel_size": 7, "padding": "same"}, (1, 70, 66, 3)),
    ("Conv2D", {"filters": 160, "kernel_size": 3, "padding": "same"}, (5, 6, 6, 200)),
    ("Dense", {"units": 600}, (40, 520)),  # a kernel that no cache holds
    ("Dense", {"units": 1030}, (1100, 300)),
    ("Conv1D", {"filters": 5, "kernel_size": 3, "padding": "causal"}, (3, 9, 6)),
    ("Conv1D", {"filters": 5, "kernel_size": 3, "strides": 2}, (3, 19, 6)),
    (
        "Conv3D",
        {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"},
        (2, 5, 6, 7, 3),
    ),
    ("Conv3D", {"filters": 4, "kernel_size": (2, 3, 1)}, (2, 5, 6, 7, 3)),
    (
        "Conv2DTranspose",
        {"filters": 5, "kernel_size": 3, "strides": 2, "padding": "same"},
        (3, 5, 4, 6),
    ),
    (
        "Conv2DTranspose",
        {"filters": 5, "kernel_size": (2, 4), "strides": (2, 3)},
        (3, 5, 4, 6),
    ),
    ("Conv1DTranspose", {"filters": 5, "kernel_size": 4, "strides": 2}, (3, 5, 6)),
    ("Dense", {"units": 5}, (130, 70)),
    ("Dense", {"units": 40}, (7, 3, 6)),
    ("SeparableConv2D", {"filters": 5, "kernel_size": 3}, (3, 9, 8, 6)),
]
# A sum is rounded once. What is rounded between the two convolutions of a separable one
# counts, too, and so do the gradients of a volume's slices, one for each that a window
# sees: to the place of what is added up.
IN_PARTS = ("SeparableConv2D", "Conv3D")
# Of the magnitude of all terms: what float32 rounds off; in gradients, the product of
# low parts.
LEFT, LEFT_OF_GRADIENTS = 2.0**-22, 2.0**-18


def twins(cls, settings, shape, scale=0.25):
    """Our layer in float16 and Keras' in float64, of the same weights."""
    random = np.random.default_rng(0)
    pair = [
        getattr(home, cls)(**settings, use_bias=False, dtype=dtype)
        for home, dtype in ((layers, "float16"), (keras.layers, "float64"))
    ]
    for layer in pair:
        layer.build(shape)
    for narrow, exact in zip(*(layer.weights for layer in pair), strict=True):
        drawn = (random.normal(size=narrow.shape) * scale).astype("float16")
        narrow.assign(drawn)
        exact.assign(drawn.astype("float64"))
    return pair


def drawn(shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype("float16")


def kinds_of(layer, shape):
    """The operations of ours in the graph of a layer."""
    step = with_signature(layer, False, ((None, *shape[1:]), "float16"))
    graph = step.get_concrete_function().graph
    return {op.type for op in graph.get_operations() if op.type.startswith("Keras16")}


@needs_kernels
@pytest.mark.parametrize(("cls", "settings", "shape"), CASES)
def test_values_and_gradients_are_those_of_float64(cls, settings, shape):
    ours, exact = twins(cls, settings, shape)
    assert kinds_of(ours, shape)
    x = drawn(shape)
    slopes = drawn(ours(x).shape, 2)
    found = run(ours, x, weights=ours.weights, upstream=slopes)
    # TensorFlow has no gradients of dilated or grouped float64 convolutions on a CPU.
    plain = settings.get("groups", 1) == 1 and "dilation_rate" not in settings
    right, size = (
        run(
            exact,
            of(x.astype("float64")),
            weights=exact.weights,
            upstream=of(slopes.astype("float64")),
            compiled=not plain,
        )
        for of in (np.asarray, with_magnitudes(exact))
    )
    left = [LEFT, *[LEFT_OF_GRADIENTS] * len(found)]
    for one, expected, terms, share in zip(found, right, size, left, strict=False):
        once = 0.5 * unit(expected, "float16") + share * terms
        most = 3 * unit(terms, "float16") if cls in IN_PARTS else once
        assert (np.abs(one - expected) <= most).all()


def with_magnitudes(layer):
    """A layer's weights without their signs, from when a number is asked for on."""

    def magnitude(x):
        for weight in layer.weights:
            weight.assign(np.abs(weight.numpy()))
        return np.abs(x)

    return magnitude


@needs_kernels
def test_the_step_of_a_layer_is_pure_and_xla_computes_it_alone():
    layer = twins("Conv2D", {"filters": 4, "kernel_size": 3}, (2, 6, 6, 3))[0]
    step = with_signature(layer, False, ((2, 6, 6, 3), "float16"))
    assert wide_tensors(step) == 0
    x = drawn((2, 6, 6, 3))
    ours, compiled = (run(layer, x, compiled=c) for c in (False, True))
    for a, b in zip(ours, compiled, strict=True):
        assert_close(a.astype("float16"), b, "float16", units=1, scale=1)
    import tensorflow as tf

    in_xla = tf.function(layer, jit_compile=True, autograph=False)
    graph = in_xla.get_concrete_function(tf.TensorSpec(x.shape, "float16")).graph
    assert not any(op.type.startswith("Keras16") for op in graph.get_operations())


@needs_kernels
def test_lengths_may_be_known_to_the_run_alone():
    layer = twins(
        "Conv2D", {"filters": 4, "kernel_size": 3, "strides": 2}, (1, 9, 9, 3)
    )[0]
    step = with_signature(layer, False, ((None, None, None, 3), "float16"))
    for shape in ((1, 9, 9, 3), (3, 4, 7, 3), (0, 9, 9, 3)):
        x = drawn(shape)
        np.testing.assert_array_equal(step(x), layer(x))


@needs_kernels
@pytest.mark.parametrize("value", [2.0**-24, 2.0**-14, 1.0, 6e4])
def test_products_at_any_magnitude(value):
    x = np.full((20, 40), value, "float16")
    kernel = np.full((40, 18), 2.0**-6, "float16")
    found = own.product(x, kernel)
    right = wide(x) @ wide(kernel)
    assert_close(np.asarray(found), right, "float16", units=0.5)


@needs_kernels
def test_a_sum_of_2_to_the_17_products_is_rounded_once():
    x = np.full((1, 1 << 17), 2.0**-4, "float16")
    weights = np.linspace(1, 2, 1 << 17).astype("float16")[:, None]
    found = own.product(x, weights)
    assert_close(np.asarray(found), wide(x) @ wide(weights), "float16", units=0.52)


@needs_kernels
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_comes_out(bad):
    x = drawn((4, 6, 6, 20))
    x[1, 2, 3, 4] = bad
    found = np.asarray(own.convolution(x, drawn((3, 3, 20, 5)), padding="same"))
    beside = [(1, y, z) for y in (1, 2, 3) for z in (2, 3, 4)]
    assert all(not np.isfinite(found[at]).any() for at in beside)
    assert np.isfinite(np.delete(found, 1, axis=0)).all()


@needs_kernels
def test_shapes_that_do_not_go_together_are_refused():
    import tensorflow as tf

    with pytest.raises(tf.errors.InvalidArgumentError, match="do not go together"):
        own.convolution(
            tf.ones((1, 4, 4, 3), "float16"), tf.ones((3, 3, 2, 5), "float16")
        )


@needs_kernels
@pytest.mark.parametrize("name", ["conv2d", "depthwise_conv2d"])
def test_gradients_have_gradients(name):
    import tensorflow as tf

    def second(convolve, *given):
        with tf.GradientTape() as outer:
            outer.watch(given)
            with tf.GradientTape() as inner:
                inner.watch(given)
                value = tf.reduce_sum(convolve(*given) ** 2) / 64
            total = sum(tf.reduce_sum(g * g) for g in inner.gradient(value, given))
        return outer.gradient(total, given)

    window = Window((3, 3), (1, 1), (1, 1), (5, 5), "valid")
    ours = {
        "conv2d": own.convolution,
        "depthwise_conv2d": lambda x, k: depthwise.convolved(x, k, window, False),
    }[name]
    channels = 4 if name == "conv2d" else 1
    x, kernel = constant(drawn((2, 5, 5, 3))), constant(drawn((3, 3, 3, channels), 2))
    found = second(ours, x, kernel)
    wide_given = tf.cast(x, "float64"), tf.cast(kernel, "float64")
    stock = getattr(tf.nn, name)
    right = second(lambda x, k: stock(x, k, [1] * 4, "VALID"), *wide_given)
    for one, exact in zip(found, right, strict=True):
        scale = np.abs(exact).max()
        assert np.abs(wide(one) - exact.numpy()).max() < 0.01 * scale


@needs_kernels
@pytest.mark.parametrize("part", ["batch normalization", "a loss"])
def test_what_has_no_second_derivative_says_so(part):
    """TensorFlow would name an operation that nobody knows."""
    import tensorflow as tf

    x = constant(drawn((8, 5)))
    normal = layers.BatchNormalization(dtype="float16")
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float16")
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            if part == "a loss":
                value = loss(np.zeros(8, "int32"), x)
            else:
                value = tf.reduce_sum(normal(x, training=True) * x)
        first = tf.reduce_sum(inner.gradient(value, x) ** 2)
    with pytest.raises(UserError, match=f"{part} has no second derivative"):
        outer.gradient(first, x)


# Sums over rows


@needs_kernels
@pytest.mark.parametrize(
    "shape", [(1 << 17, 16), (5, 3), (1, 1), (1000, 48), (70_000, 96), (333, 200)]
)
def test_sums_of_columns(shape):
    x = drawn(shape)
    size = np.abs(wide(x)).sum(axis=0)
    # Far below a last place of what was added up, beside the rounding itself.
    assert_sum(own.row_sums(x, 1), wide(x).sum(axis=0), size)
    assert_sum(own.row_sums(x, len(x)), wide(x).mean(axis=0), size / len(x))


def assert_sum(found, right, size):
    """Rounded once, after an error of at most 2**-19 of the terms' magnitude."""
    off = np.abs(wide(found) - right)
    place = np.spacing(np.abs(right).astype("float16")).astype("float64")
    assert (off <= 0.5 * place + 2.0**-19 * size).all()


@needs_kernels
@pytest.mark.parametrize("columns", [1, 15, 16, 33, 3000])
def test_sums_along_rows_and_their_gradients(columns):
    x = drawn((7, 3, columns))
    found, gradient = run(
        lambda x: own.last_axis_sum(x, 3), x, upstream=drawn((7, 3, 1), 2)
    )
    size = np.abs(wide(x)).sum(axis=-1, keepdims=True)
    assert_sum(found.astype("float16"), wide(x).sum(axis=-1, keepdims=True) / 3, size)
    third = wide(drawn((7, 3, 1), 2)) / 3
    right = np.broadcast_to(third, x.shape)
    assert_close(gradient.astype("float16"), right, "float16", units=0.51)


@needs_kernels
@pytest.mark.parametrize(
    "shape", [(3, 5, 7), (1, 9000, 33), (20, 1, 16), (2, 70_000, 1)]
)
def test_sums_of_each_matrix_and_their_gradients(shape):
    x, upstream = drawn(shape), drawn((shape[0], shape[2]), 2)
    found, gradient = run(lambda x: own.row_sums_of_each(x, 3), x, upstream=upstream)
    assert_sum(
        found.astype("float16"), wide(x).sum(axis=1) / 3, np.abs(wide(x)).sum(axis=1)
    )
    right = np.broadcast_to(wide(upstream)[:, None] / 3, shape)
    assert_close(gradient.astype("float16"), right, "float16", units=0.51)


@needs_kernels
def test_sums_of_each_of_nothing_and_of_constants():
    large = np.full((2, 1 << 17, 3), 6e4, "float16")
    np.testing.assert_array_equal(own.row_sums_of_each(large, 1 << 17), large[:, 0])
    np.testing.assert_array_equal(own.row_sums_of_each(large[:, :0], 1), [[0] * 3] * 2)
    assert own.row_sums_of_each(large[:0], 1).shape == (0, 3)


WINDOWS = [
    # Size, strides, padding, shape of the images.
    ((2, 2), (2, 2), "valid", (3, 8, 6, 16)),
    ((3, 3), (2, 2), "same", (2, 9, 8, 33)),
    ((3, 2), (1, 3), "same", (1, 5, 11, 4)),
    ((5, 5), (1, 1), "same", (2, 3, 4, 3)),  # larger than the image
    ((3, 3), (5, 4), "valid", (2, 11, 14, 20)),  # with gaps
    ((1, 1), (1, 1), "valid", (0, 4, 4, 3)),
    *(((2, 3), (2, 2), "same", (1, 5, 6, channels)) for channels in (40, 63, 65, 144)),
]


def means_and_gradient(x, upstream, window):
    """In float64, place by place. TensorFlow's gradient is wrong (2.21) where a window
    is larger than the image."""
    means, gradient = np.zeros(upstream.shape), np.zeros(x.shape)
    for at in np.ndindex(*window.results):
        seen = tuple(
            slice(max(i * stride - before, 0), max(i * stride - before + size, 0))
            for i, stride, before, size in zip(
                at, window.strides, window.before, window.size, strict=True
            )
        )
        part = x[:, *seen]
        means[:, *at] = part.mean(axis=(1, 2))
        share = upstream[:, *at] / (part.shape[1] * part.shape[2])
        gradient[:, *seen] += share[:, None, None]
    return means, gradient


@needs_kernels
@pytest.mark.parametrize(("size", "strides", "padding", "shape"), WINDOWS)
def test_means_of_windows_are_rounded_once(size, strides, padding, shape):
    window = Window(size, strides, (1, 1), shape[1:3], padding)
    x = drawn(shape)
    upstream = drawn((shape[0], *window.results, shape[3]), 2)
    found = run(lambda x: own.means(x, window), x, upstream=upstream)
    right = means_and_gradient(wide(x), wide(upstream), window)
    sizes = means_and_gradient(np.abs(wide(x)), np.abs(wide(upstream)), window)
    for one, expected, magnitude in zip(found, right, sizes, strict=True):
        bound = 0.5 * unit(expected, "float16") + 2.0**-20 * magnitude
        assert (np.abs(one - expected) <= bound).all()


@needs_kernels
def test_means_neither_overflow_nor_count_what_lies_outside():
    x = np.full((1, 4, 5, 3), 6e4, "float16")
    layer = layers.AveragePooling2D(3, 1, "same", dtype="float16")
    assert kinds_of(layer, x.shape) == {"Keras16Means"}
    means = layer(x)
    np.testing.assert_array_equal(means, x)
    x[0, 0, 0, 0] = np.nan
    means = np.asarray(layer(x))
    assert np.isnan(means[0, :2, :2, 0]).all() and np.isnan(means).sum() == 4


@needs_kernels
@pytest.mark.parametrize("rate", [1e-3, 0.1, 0.5, 0.999])
def test_dropout_drops_so_many_and_its_gradient_the_same(rate):
    x = np.ones((1 << 20,), "float16")
    key = constant(np.array([3, -7], "int32"))
    found, gradient = run(lambda x: own.dropout(x, rate, key), x)
    np.testing.assert_array_equal(found, gradient)
    kept = found != 0
    np.testing.assert_allclose(found[kept], 1 / (1 - rate), rtol=2.0**-11)
    spread = np.sqrt(rate * (1 - rate) / x.size)
    assert abs(kept.mean() - (1 - rate)) < 5 * spread
    # Neighbours are dropped as if they knew nothing of each other.
    both = (~kept[1:] & ~kept[:-1]).mean()
    assert abs(both - rate**2) < 5 * np.sqrt(rate**2 / x.size) + 5 * rate * spread


@needs_kernels
def test_dropout_draws_anew_by_either_word_of_its_key():
    x = np.ones((1 << 16,), "float16")
    masks = [
        np.asarray(own.dropout(x, 0.5, constant(np.array(key, "int32")))) != 0
        for key in ((0, 0), (1, 0), (0, 1), (-1640531527, 0), (2**31 - 1, -(2**31)))
    ]
    for i, one in enumerate(masks):
        for other in masks[:i]:
            for shift in (0, 1, 2):
                same = (one[shift:] == other[: x.size - shift]).mean()
                assert abs(same - 0.5) < 5 * 0.5 / 256
    assert own.dropout(x[:0], 0.5, constant(np.zeros(2, "int32"))).shape == (0,)


@needs_kernels
def test_a_dropout_layer_draws_by_its_seed_and_anew_each_time():
    x = np.ones((1000, 40), "float16")
    layer, same = (layers.Dropout(0.5, seed=3, dtype="float16") for _ in range(2))
    first, second = (np.asarray(layer(x, training=True)) for _ in range(2))
    np.testing.assert_array_equal(first, np.asarray(same(x, training=True)))
    assert 0.45 < (first == second).mean() < 0.55
    x[0] = np.nan
    assert np.isnan(np.asarray(layer(x, training=True))[0]).any()


@needs_kernels
@pytest.mark.parametrize("columns", [1, 15, 16, 33, 3000])
def test_extremes_along_rows(columns):
    x = drawn((7, 3, columns))
    highest, lowest = own.last_axis_extremes(x)
    np.testing.assert_array_equal(highest, x.max(axis=-1, keepdims=True))
    np.testing.assert_array_equal(lowest, x.min(axis=-1, keepdims=True))
    x[1, 2, columns // 2] = np.nan
    assert np.isnan(extremes.magnitude(x, -1, keepdims=True)[1, 2, 0])


@needs_kernels
def test_sums_neither_stall_nor_overflow_and_count_no_rows():
    ones = np.ones((1 << 17, 3), "float16")
    np.testing.assert_array_equal(own.row_sums(ones, 1 << 17), [1, 1, 1])
    large = np.full((1000, 2), 6e4, "float16")
    np.testing.assert_array_equal(own.row_sums(large, 1000), large[0])
    assert np.isposinf(own.row_sums(large, 1)).all()
    np.testing.assert_array_equal(own.row_sums(ones[:0], 1), [0, 0, 0])
    rows = np.ones((3, 5, 70_001), "float16")
    np.testing.assert_array_equal(own.last_axis_sum(rows, 70_001), rows[..., :1])
    np.testing.assert_array_equal(
        own.last_axis_sum(rows[..., :9], 1), 9 * rows[..., :1]
    )
    np.testing.assert_array_equal(
        own.last_axis_sum(rows[..., :0], 1), 0 * rows[..., :1]
    )
    least = np.full((1024, 1), 2.0**-24, "float16")
    np.testing.assert_array_equal(own.row_sums(least, 1), [2.0**-14])


@needs_kernels
def test_sums_and_products_are_the_same_to_the_bit_on_any_number_of_cores():
    program = (
        "import numpy as np, hashlib, sys\n"
        "from keras16.backend import tensorflow_kernels as own\n"
        "import tensorflow as tf\n"
        "x = np.random.default_rng(0).normal(size=(40, 12, 12, 24)).astype('float16')\n"
        "k = np.random.default_rng(1).normal(size=(3, 3, 24, 20)).astype('float16')\n"
        "x, k = tf.constant(x), tf.constant(k)\n"
        "with tf.GradientTape() as tape:\n"
        "    tape.watch([x, k])\n"
        "    y = own.convolution(x, k, padding='same') if own.available() else 0\n"
        "found = [y, *tape.gradient(y, [x, k], y)]\n"
        "rows = tf.reshape(x, (-1, 24))\n"
        "y, of = own.batch_normalized(rows, rows[0], rows[1], 1e-3)\n"
        "found += [own.row_sums(rows, 7), y, *of]\n"
        "found += [own.row_sums_of_each(x[0], 7), own.dropout(x, 0.3, [1, 2])]\n"
        "found += [own.products(x[0], tf.transpose(x[1], (0, 2, 1)))]\n"
        "found += own.batch_normalized_gradients(rows, y, rows[0], of)\n"
        "rows = tf.tile(rows, (8, 1))\n"
        "with tf.GradientTape() as tape:\n"
        "    tape.watch(rows)\n"
        "    y = own.softmax(rows)\n"
        "found += [y, tape.gradient(y, rows, rows[::-1])]\n"
        "ids = tf.range(rows.shape[0]) % 24\n"
        "y, exponents = own.cross_entropies(ids, rows)\n"
        "found += [y, exponents]\n"
        "found += [own.cross_entropies_back(ids, rows, y, exponents)]\n"
        "with tf.GradientTape() as tape:\n"
        "    tape.watch(x)\n"
        "    y = own.maxima(x, (9, 9), (1, 1), 'same')\n"
        "found += [y, tape.gradient(y, x, y)]\n"
        "bits = b''.join(f.numpy().tobytes() for f in found)\n"
        "print(hashlib.sha256(bits).hexdigest())"
    )
    cores = sorted(os.sched_getaffinity(0))
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            preexec_fn=lambda used=used: os.sched_setaffinity(0, used),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for used in (cores, cores[:1])
    }
    assert len(printed) == 1


# Batch normalization

NORMALIZED = [
    # Rows and columns, mean and deviation of the numbers, epsilon
    ((1 << 17, 16), 100.0, 1.0, 1e-3),
    ((1000, 48), 0.0, 1.0, 1e-3),
    ((5000, 33), 0.0, 1e-5, 1e-3),
    ((5000, 33), 0.0, 1e-4, 1e-12),
    ((3000, 64), 3e4, 1e4, 1e-3),
    ((9000, 130), -1000.0, 0.5, 1e-5),
    ((300, 2049), 0.0, 3.0, 0.0),
    ((3, 1), 0.0, 1.0, 1e-3),
]


@needs_kernels
@pytest.mark.parametrize(("shape", "mean", "deviation", "epsilon"), NORMALIZED)
def test_batch_normalization_is_that_of_float64(shape, mean, deviation, epsilon):
    import tensorflow as tf

    x = (wide(drawn(shape)) * deviation + mean).clip(-65504, 65504).astype("float16")
    gamma, beta = 1 + np.abs(drawn(shape[1:], 2)), drawn(shape[1:], 3)
    slopes = drawn(shape, 4)
    if epsilon < 1e-6:  # gradients of about 1 over the deviation
        slopes = (slopes * min(deviation, 1)).astype("float16")
    y, found = own.batch_normalized(*map(tf.constant, (x, gamma, beta)), epsilon)
    gradients = own.batch_normalized_gradients(x, slopes, gamma, found)
    right, of_right = normalized(x, gamma, beta, slopes, epsilon)
    # Rounded once, after the error of 128 float32 sums of squares: those of odd numbers
    # are 1 mod 8, so that ties, of numbers with few bits, all round downwards.
    terms = np.abs(right - wide(beta)) + np.abs(wide(beta))
    place = np.spacing(np.abs(right).astype("float16")).astype("float64")
    assert (np.abs(wide(y) - right) <= 0.5 * place + 2.0**-20 * terms).all()
    exact = wide(x).mean(axis=0), wide(x).std(axis=0)
    left = np.abs(wide(found.mean) + wide(found.beyond) - exact[0])
    assert (left <= 2.0**-21 * np.abs(exact[0]) + 2.0**-24).all()
    assert_close(np.asarray(found.deviation), exact[1], "float16", units=0.51)
    for one, other in zip(gradients, of_right, strict=True):
        size = np.abs(other).max(axis=0, initial=2.0**-14)
        assert (np.abs(wide(one) - other) <= 2.0**-10 * size).all()


def normalized(x, gamma, beta, slopes, epsilon):
    """In float64: the outputs, and the gradients of x, gamma and beta."""
    x, gamma, beta, slopes = map(wide, (x, gamma, beta, slopes))
    inverse = 1 / np.sqrt(x.var(axis=0) + epsilon)
    unit_of = (x - x.mean(axis=0)) * inverse
    of_gamma, of_beta = (slopes * unit_of).sum(axis=0), slopes.sum(axis=0)
    of_x = slopes - of_beta / len(x) - unit_of * of_gamma / len(x)
    return unit_of * gamma + beta, (gamma * inverse * of_x, of_gamma, of_beta)


@needs_kernels
@pytest.mark.parametrize("epsilon", [1e-3, 0.0])
def test_constant_columns_have_no_variance_and_nan_stays_in_its_column(epsilon):
    x = np.tile(np.array([1000.1, -65504, 6e-8, 0, 1, 1], "float16"), (5000, 1))
    x[7, 4], x[9, 5] = np.nan, np.inf
    ones = np.ones(6, "float16")
    y, found = own.batch_normalized(x, ones, 0 * ones, epsilon)
    np.testing.assert_array_equal(found.mean[:4], x[0, :4])
    for each in (found.beyond, found.deviation):
        np.testing.assert_array_equal(each[:4], [0, 0, 0, 0])
    np.testing.assert_array_equal(y[:, :4], 0 * x[:, :4])
    assert np.isnan(y[:, 4:]).all()
    of_x, *_ = own.batch_normalized_gradients(x, np.ones_like(x), ones, found)
    np.testing.assert_array_equal(of_x[:, :4], 0 * x[:, :4])


@needs_kernels
def test_batch_normalization_counts_no_rows():
    ones = np.ones(3, "float16")
    y, found = own.batch_normalized(np.zeros((0, 3), "float16"), ones, ones, 1e-3)
    assert y.shape == (0, 3)
    np.testing.assert_array_equal(found.mean, [0, 0, 0])


@needs_kernels
@pytest.mark.parametrize("share", [0.01, 1e-3, 1.0])
def test_moving_statistics_are_those_of_float64(share):
    targets = [np.array([3.0, 0.1, 3e4, 1e-6], "float16") for _ in range(3)]
    targets[1] = (targets[1] * 2.0**-13).astype("float16")  # what the mean left out
    zeros = np.zeros(4, "float16"), np.zeros(4, "int16")
    mean, deviation = zeros, (np.ones(4, "float16"), np.zeros(4, "int16"))
    for _ in range(300):
        mean, deviation = own.moved_statistics(mean, deviation, targets, share)
    kept = (1 - np.float64(np.float32(share))) ** 300
    of_batch = wide(targets[0]) + wide(targets[1])
    exact = (1 - kept) * of_batch, np.sqrt(kept + (1 - kept) * wide(targets[2]) ** 2)
    for (average, fraction), right in zip((mean, deviation), exact, strict=True):
        found = averages.joined(average.numpy(), fraction.numpy())
        np.testing.assert_allclose(found, right, rtol=2.0**-16, atol=2.0**-36)


@needs_kernels
def test_memory_is_taken_over_only_from_what_nothing_else_uses():
    import tensorflow as tf

    @tf.function(autograph=False)
    def step(x, slopes):
        alone, used = x + 1, x - 1
        first, second = own.relu(alone), own.relu(used)
        of_x = own.batch_normalized_gradients(x, slopes, x[0], statistics)[0]
        return first, second, used, of_x, slopes

    x, slopes = constant(drawn((2000, 48))), constant(drawn((2000, 48), 2))
    _, statistics = own.batch_normalized(x, x[0], x[1], 1e-3)
    first, second, used, of_x, kept = map(np.asarray, step(x, slopes))
    given = np.asarray(x)
    np.testing.assert_array_equal(used, given - 1)
    np.testing.assert_array_equal(first, np.maximum(given + 1, 0))
    np.testing.assert_array_equal(second, np.maximum(given - 1, 0))
    np.testing.assert_array_equal(kept, drawn((2000, 48), 2))
    apart = own.batch_normalized_gradients(x, slopes, x[0], statistics)[0]
    np.testing.assert_array_equal(of_x, apart)


# Whole numbers


@needs_kernels
def test_exact_sums_and_tables_take_them(monkeypatch):
    """And give the words that they give without, to the bit."""
    x = np.array([1.0, -65504, 2.0**-24, 3e-6, 0, 1000.5], "float16")
    spread = scaled.Scaled(constant(x), constant(np.arange(-30, 50, 14, dtype="int32")))
    table = tables.tabulated(lambda step: 1 / (1 + step), exact=64, octave=16)
    steps = [0, 1, 63, 64, 65, 127, 128, 129, 5000, 123_456_789, 2**31 - 1]

    def found():
        words = accumulators.add(accumulators.zero(), constant(x))
        words = accumulators.add(words, spread)
        words = accumulators.add_multiple(words, constant(x[1]), constant(70_001))
        words = accumulators.add_count(words, constant(1 << 30))
        entries = [table.at(constant(np.int32(step))) for step in steps]
        return [words, accumulators.carried(3 * words - 7), *entries]

    mine = [np.asarray(part) for part in found()]
    step = with_signature(lambda: tuple(found()), False).get_concrete_function()
    kinds = {operation.type for operation in step.graph.get_operations()}
    assert {"Keras16Accumulated", "Keras16TableEntry"} <= kinds
    monkeypatch.setattr(tensorflow_kernels, "_library", lambda: None)
    for one, other in zip(mine, found(), strict=True):
        np.testing.assert_array_equal(one, other)


# Rectified linear units


@needs_kernels
@pytest.mark.parametrize("most", [None, 6.0])
def test_rectified_linear_units_of_every_float16(most):
    import tensorflow as tf

    x = np.arange(1 << 16, dtype="uint16").view("float16")
    slopes = np.where(np.isfinite(np.flip(x)), np.flip(x), 1).astype("float16")
    keras_relu = tf.nn.relu if most is None else tf.nn.relu6
    found = run(lambda x: own.relu(x, most), x, upstream=slopes)
    right = run(keras_relu, x, upstream=slopes)
    np.testing.assert_array_equal(found[0], right[0])
    numbers = ~np.isnan(x)
    np.testing.assert_array_equal(found[1][numbers], right[1][numbers])


@needs_kernels
def test_relu_layers_and_activations_take_them():
    x = drawn((5, 7))
    for made in (layers.ReLU, lambda dtype: layers.Activation("relu", dtype=dtype)):
        layer = made(dtype="float16")
        step = with_signature(layer, False).get_concrete_function(constant(x))
        assert "Keras16Rectified" in {op.type for op in step.graph.get_operations()}
    sloped = layers.ReLU(negative_slope=0.5, dtype="float16")
    np.testing.assert_array_equal(sloped(x), np.where(x < 0, x / 2, x))


# Softmax


def shares(x):
    """In float64; of -inf alone 0."""
    x = wide(x)
    top = x.max(axis=-1, keepdims=True)
    exponentials = np.exp(x - np.where(np.isinf(top), 0, top))
    total = exponentials.sum(axis=-1, keepdims=True)
    return exponentials / np.where(total == 0, 1, total)


def assert_softmax(x, slopes):
    """Value and gradient are rounded once, after an error of 2**-19 of their terms."""
    value, gradient = run(own.softmax, x, upstream=slopes)
    p, slopes = shares(x), wide(slopes)
    assert_rounded(value, p, p)
    # Less a slope of a largest number: nothing is left to cancel where its p is near 1.
    top = wide(x).argmax(axis=-1)[:, None]
    slopes = slopes - np.take_along_axis(slopes, top, axis=-1)
    mean = (p * slopes).sum(axis=-1, keepdims=True)
    terms = np.abs(slopes) + (p * np.abs(slopes)).sum(axis=-1, keepdims=True)
    assert_rounded(gradient, p * (slopes - mean), p * terms)


def assert_rounded(found, right, terms):
    place = np.spacing(np.abs(right).astype("float16")).astype("float64")
    assert (np.abs(found - right) <= 0.5 * place + 2.0**-19 * terms).all()


@needs_kernels
@pytest.mark.parametrize("scale", [1e-4, 1.0, 10.0, 6e4])
@pytest.mark.parametrize("columns", [1, 2, 10, 16, 64, 257, 1000, 1 << 17])
def test_softmax_and_its_gradient_are_those_of_float64(columns, scale):
    shape = (3 if columns > 1000 else 37, columns)
    x = (wide(drawn(shape)) * scale).clip(-65504, 65504).astype("float16")
    assert_softmax(x, drawn(shape, 2))
    assert_softmax(x - np.float16(5), 1e4 * drawn(shape, 3))


@needs_kernels
def test_softmax_of_every_difference_that_shows():
    """Also beside one share of nearly 1, and beside equal ones."""
    gaps = np.arange(1 << 16, dtype="uint16").view("float16")
    gaps = gaps[(gaps <= 0) & (gaps >= -60)]
    x = np.stack([np.zeros_like(gaps), gaps], axis=-1)
    assert_softmax(x, np.tile(np.array([3, -40], "float16"), (len(x), 1)))
    assert_softmax(np.repeat(x, 3, axis=-1), drawn((len(x), 6)))


@needs_kernels
def test_softmax_of_what_is_no_number():
    x = drawn((20, 300))
    x[1, 5] = x[2, 299] = -np.inf
    x[3] = -np.inf
    assert_softmax(x, drawn(x.shape, 2))
    bad = {4: np.nan, 5: np.inf, 18: np.nan, 19: np.inf}
    for row, number in bad.items():
        x[row, 7 * row] = number
    slopes = drawn(x.shape, 2)
    slopes[10, 17] = np.nan
    value, gradient = run(own.softmax, x, upstream=slopes)
    good = ~np.isin(np.arange(20), list(bad))
    assert np.isnan(value[~good]).all() and np.isfinite(value[good]).all()
    np.testing.assert_array_equal(value[3], 0)
    good[10] = False
    assert np.isnan(gradient[~good]).all() and np.isfinite(gradient[good]).all()
    for shape in ((0, 3), (3, 0)):
        nothing = np.zeros(shape, "float16")
        assert [a.shape for a in run(own.softmax, nothing)] == [shape, shape]


@needs_kernels
def test_softmax_takes_over_only_memory_that_nothing_else_uses():
    import tensorflow as tf

    @tf.function(autograph=False)
    def step(x, slopes):
        used = x - 1
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(used)
            first, second = own.softmax(x + 1), own.softmax(used)
        over = tape.gradient(second, used, slopes * 2)
        return first, second, over, tape.gradient(second, used, slopes), used, slopes

    x, slopes = drawn((2000, 48)), drawn((2000, 48), 2)
    first, second, over, apart, used, kept = step(constant(x), constant(slopes))
    np.testing.assert_array_equal(used, x - 1)
    np.testing.assert_array_equal(kept, slopes)
    np.testing.assert_array_equal(first, run(own.softmax, x + 1)[0])
    for gradient, upstream in ((apart, slopes), (over, 2 * slopes)):
        right = run(own.softmax, x - 1, upstream=upstream)
        np.testing.assert_array_equal(second, right[0])
        np.testing.assert_array_equal(gradient, right[1])


@needs_kernels
def test_softmax_has_second_gradients():
    import tensorflow as tf

    def second(function, x, weights):
        with tf.GradientTape() as outer:
            outer.watch([x, weights])
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = tf.reduce_sum(function(x) * weights)
            total = tf.reduce_sum(inner.gradient(value, x) ** 2)
        return outer.gradient(total, [x, weights])

    given = constant(drawn((5, 9))), constant(drawn((5, 9), 2))
    found = second(own.softmax, *given)
    right = second(tf.nn.softmax, *(tf.cast(g, "float64") for g in given))
    for one, exact in zip(found, right, strict=True):
        scale = np.abs(exact).max()
        assert np.abs(wide(one) - exact.numpy()).max() < 0.005 * scale


@needs_kernels
def test_softmax_layers_and_activations_take_it():
    taken = {"Keras16Softmax"}
    assert kinds_of(layers.Softmax(dtype="float16"), (5, 7)) == taken
    assert kinds_of(layers.Softmax(axis=1, dtype="float16"), (5, 7, 3)) == taken
    assert kinds_of(layers.Activation("softmax", dtype="float16"), (5, 7)) == taken


# Cross-entropies


def exact_cross_entropies(ids, x):
    """Losses and slopes in float64; differences of logits below -80 count as -80."""
    x = wide(x)
    rows, top = np.arange(len(x)), x.argmax(axis=-1)
    exponentials = np.exp(np.maximum(x - x.max(axis=-1, keepdims=True), -80))
    rest = exponentials.copy()
    rest[rows, top] = 0
    rest = rest.sum(axis=-1)
    slopes = exponentials / (1 + rest[:, None])
    at_top = rest / (1 + rest)
    slopes[rows, ids] = -np.where(ids == top, at_top, 1 - slopes[rows, ids])
    return x.max(axis=-1) - x[rows, ids] + np.log1p(rest), slopes


def cross_entropies(ids, x, factor):
    terms = categorical.sparse_from_logits(constant(ids), constant(x))
    return terms.losses, terms.pull(factor)


def assert_cross_entropies(ids, x, power=0):
    """Both are rounded once, the losses to eleven bits of whatever size."""
    factor = np.abs(drawn(len(x), 3)) + np.float16(1)
    exponents = np.full(len(x), power, "int32")
    given = scaled.Scaled(constant(factor), constant(exponents))
    losses, gradient = cross_entropies(ids, x, given)
    right, slopes = exact_cross_entropies(ids, x)
    mantissa, exponent = wide(losses.x), np.asarray(losses.exponent)
    zero = right == 0
    assert (exponent[zero] == scaled.ZERO_EXPONENT).all() and not mantissa[zero].any()
    assert ((mantissa[~zero] >= 1) & (mantissa[~zero] < 2)).all()
    error = np.abs(np.ldexp(mantissa, exponent) - right)
    assert (error <= np.ldexp(2.0**-11, exponent) + 2.0**-19 * right).all()
    right = np.ldexp(slopes * wide(factor)[:, None], power).clip(-65504, 65504)
    most = 0.5 * unit(right, "float16") + 2.0**-19 * np.abs(right)
    assert (np.abs(wide(gradient) - right) <= most).all()


@needs_kernels
@pytest.mark.parametrize("scale", [1e-4, 1.0, 10.0, 6e4])
@pytest.mark.parametrize("classes", [1, 2, 10, 16, 17, 257, 2000])
def test_cross_entropies_and_slopes_are_those_of_float64(classes, scale):
    x = (wide(drawn((37, classes))) * scale).clip(-65504, 65504).astype("float16")
    ids = np.random.default_rng(4).integers(classes, size=len(x)).astype("int32")
    for power in (0, -17, 12, 110):
        assert_cross_entropies(ids, x, power)
        assert_cross_entropies(x.argmax(axis=-1).astype("int32"), x, power)


@needs_kernels
def test_cross_entropies_of_every_difference():
    """Far from the top, where neither loss nor slope may be 0, and beyond it."""
    gaps = np.arange(1 << 16, dtype="uint16").view("float16")
    gaps = gaps[np.isfinite(gaps)]
    x = np.stack([np.zeros_like(gaps), gaps], axis=-1)
    for label in (0, 1):
        for power in (0, 110):
            assert_cross_entropies(np.full(len(x), label, "int32"), x, power)
    assert_cross_entropies(np.zeros(3, "int32"), np.full((3, 1700), 7, "float16"))


INF, NAN = np.inf, np.nan
# Class id, logits, loss, gradient: as they are without kernels.
ODD = [
    (-1, [1, 2, 3], NAN, [NAN, NAN, NAN]),
    (3, [1, 2, 3], NAN, [NAN, NAN, NAN]),
    (1, [5, 5, NAN], NAN, [NAN, NAN, NAN]),
    (0, [NAN, NAN, NAN], NAN, [NAN, NAN, NAN]),
    (0, [INF, 2, 3], NAN, [0, 0, 0]),
    (1, [INF, -INF, 3], INF, [NAN, -1, 0]),
    (1, [INF, INF, 3], NAN, [NAN, NAN, NAN]),
    (1, [INF, NAN, 3], NAN, [NAN, NAN, NAN]),
    (0, [-INF, -INF, 3], INF, [-1, 0, 1]),
    (2, [-INF, -INF, 3], 0, [0, 0, 0]),
    (1, [-INF, -INF, -INF], NAN, [NAN, NAN, NAN]),
    (0, [-50000, 50000, 0], 100000, [-1, 1, 0]),
    (1, [8, 8, -INF], np.log(2), [0.5, -0.5, 0]),
    (0, [5], 0, [0]),
    (1, [5], NAN, [NAN]),
    (0, [NAN], NAN, [0]),
    (0, [-INF], NAN, [0]),
]


@needs_kernels
@pytest.mark.parametrize(("label", "logits", "loss", "slopes"), ODD)
def test_cross_entropies_of_odd_rows(label, logits, loss, slopes, monkeypatch):
    given = (
        np.int32([label]),
        np.float16([logits]),
        scaled.of(constant(np.ones(1, "float16"))),
    )

    def found():
        losses, gradient = cross_entropies(*given)
        return np.ldexp(wide(losses.x), np.asarray(losses.exponent)), wide(gradient)

    mine = found()
    monkeypatch.setattr(tensorflow_kernels, "_library", lambda: None)
    for value, gradient in (mine, found()):
        np.testing.assert_allclose(value, [loss], rtol=2.0**-10, atol=1e-30)
        np.testing.assert_allclose(gradient, [slopes], rtol=2.0**-10)


@needs_kernels
def test_cross_entropies_of_more_axes_of_none_and_of_shapes_that_do_not_fit():
    import tensorflow as tf

    x, ids = drawn((3, 5, 7)), np.random.default_rng(4).integers(7, size=(3, 5))
    step = with_signature(
        lambda ids, x: own.cross_entropies(ids, x),
        False,
        ((None, 5), "int32"),
        ((None, 5, 7), "float16"),
    )
    losses, exponents = step(constant(ids.astype("int32")), constant(x))
    right, _ = exact_cross_entropies(ids.reshape(-1), x.reshape(-1, 7))
    found = np.ldexp(wide(losses), np.asarray(exponents)).reshape(-1)
    np.testing.assert_allclose(found, right, rtol=2.0**-11 * 1.01)
    nothing = scaled.of(constant(np.zeros(0, "float16")))
    losses, gradient = cross_entropies(
        np.zeros(0, "int32"), np.zeros((0, 3), "float16"), nothing
    )
    assert losses.x.shape == losses.exponent.shape == (0,)
    assert gradient.shape == (0, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="go together"):
        own.cross_entropies(constant(np.zeros(4, "int32")), constant(drawn((3, 7))))


@needs_kernels
def test_losses_and_metrics_of_class_ids_take_them():
    """In place of labels as rows of booleans."""
    import tensorflow as tf

    loss = losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float16")
    metric = metrics.SparseCategoricalCrossentropy(from_logits=True, dtype="float16")

    def slopes(ids, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = loss(ids, x)
        return tape.gradient(value, x)

    forth, back = "Keras16CrossEntropies", "Keras16CrossEntropiesOfSlopes"
    for function, ours in ((slopes, {forth, back}), (metric.update_state, {forth})):
        step = with_signature(
            function, False, ((None,), "int32"), ((None, 10), "float16")
        )
        operations = step.get_concrete_function().graph.get_operations()
        kinds = {op.type for op in operations}
        assert kinds & {forth, back} == ours
        assert not any(
            out.dtype == tf.bool and len(out.shape) == 2
            for op in operations
            for out in op.outputs
        )


# Maxima of windows

# Size, strides, padding, shape of the images.
POOLED = [
    ((2, 2), (2, 2), "valid", (3, 6, 8, 40)),
    ((3, 2), (3, 2), "same", (2, 7, 9, 40)),  # side by side, beyond the edges
    ((3, 2), (3, 2), "valid", (2, 7, 9, 5)),
    ((3, 3), (2, 2), "valid", (2, 9, 8, 33)),
    ((3, 3), (2, 2), "same", (2, 8, 9, 32)),
    ((3, 2), (1, 1), "same", (2, 5, 7, 1)),
    ((2, 3), (1, 3), "valid", (1, 40, 7, 5)),  # more lines than a task has
    ((2, 1), (3, 2), "same", (2, 50, 7, 16)),  # places that no window holds
    ((40, 1), (50, 1), "valid", (1, 140, 2, 3)),
    ((9, 7), (2, 1), "same", (2, 4, 5, 3)),
    ((5, 2), (1, 1), "valid", (2, 4, 5, 3)),
    ((3, 3), (2, 2), "same", (0, 8, 8, 3)),
    ((3, 3), (2, 2), "same", (2, 0, 8, 3)),
]


def pooled(x, slopes, size, strides, padding):
    """In float64: the maxima of windows, and the gradient of x; NaN is the largest."""
    axes = zip(x.shape[1:3], size, strides, (1, 1), strict=True)
    (rows, top), (columns, left) = (own.placed(*axis, padding) for axis in axes)
    images, channels = range(len(x)), range(x.shape[3])
    y, of_x = np.zeros((len(x), rows, columns, len(channels))), np.zeros(x.shape)
    for row, column in np.ndindex(rows, columns):
        first = row * strides[0] - top, column * strides[1] - left
        seen = tuple(slice(max(f, 0), f + k) for f, k in zip(first, size, strict=True))
        window = wide(x)[:, *seen]
        flat = window.reshape(len(x), math.prod(window.shape[1:3]), len(channels))
        place = flat.argmax(axis=1)  # the first, NaN among them
        at = np.ix_(images, channels)
        y[:, row, column] = flat[at[0], place, at[1]]
        gradient = np.zeros_like(flat)
        gradient[at[0], place, at[1]] = wide(slopes)[:, row, column]
        of_x[:, *seen] += gradient.reshape(window.shape)
    return y, of_x


def of_kind(kind, shape):
    """Numbers without order, few different ones, or those at the ends of the format."""
    random = np.random.default_rng(3)
    x = {
        "many": random.normal(size=shape),
        "few": random.choice([-1.0, -0.0, 0.0], shape),
        "least": np.full(shape, -np.inf),
        "ends": random.choice([-np.inf, -65504, 2.0**-24, np.inf, np.nan], shape),
        "no numbers": random.choice([-np.nan, np.nan], shape),
    }
    return x[kind].astype("float16")


@needs_kernels
@pytest.mark.parametrize("kind", ["many", "few", "least", "ends", "no numbers"])
@pytest.mark.parametrize(("size", "strides", "padding", "shape"), POOLED)
def test_maxima_and_their_gradients(size, strides, padding, shape, kind):
    x = of_kind(kind, shape)
    maxima = functools.partial(own.maxima, size=size, strides=strides, padding=padding)
    slopes = drawn(maxima(x).shape, 2)
    found = run(maxima, x, upstream=slopes)
    right = pooled(x, slopes, size, strides, padding)
    np.testing.assert_array_equal(found[0], right[0])
    np.testing.assert_array_equal(found[1], right[1].astype("float16"))


@needs_kernels
def test_slopes_that_meet_are_added_in_float32():
    x, slopes = np.zeros((1, 3, 3, 1), "float16"), np.ones((1, 3, 3, 1), "float16")
    x[0, 1, 1] = 1  # the maximum of nine windows
    slopes[0, 0, 0] = 2048
    maxima = functools.partial(own.maxima, size=(3, 3), strides=(1, 1), padding="same")
    found = run(maxima, x, upstream=slopes)[1]
    np.testing.assert_array_equal(
        found[0, ..., 0], [[0, 0, 0], [0, 2056, 0], [0, 0, 0]]
    )


@needs_kernels
def test_gradients_of_maxima_have_gradients():
    import tensorflow as tf

    x, slopes = constant(drawn((2, 5, 5, 3))), constant(drawn((2, 3, 3, 3), 2))
    upstream = drawn((2, 5, 5, 3), 4)

    def of_slopes(slopes):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = own.maxima(x, (3, 3), (1, 1), "valid")
        return tape.gradient(y, x, slopes)

    found = run(of_slopes, np.asarray(slopes), upstream=upstream)[1]
    at = [
        pooled(np.asarray(x), one, (3, 3), (1, 1), "valid")[1] for one in units(slopes)
    ]
    right = [(gradient * wide(upstream)).sum() for gradient in at]
    np.testing.assert_array_equal(found.ravel(), right)


def units(like):
    """A tensor of zeros for each number of another, with 1 in its place."""
    size = int(np.prod(like.shape))
    return np.eye(size, dtype="float16").reshape(size, *like.shape)


@needs_kernels
def test_maxima_of_sizes_that_the_run_alone_knows():
    layer = layers.MaxPooling2D(3, strides=2, padding="same", dtype="float16")
    step = with_signature(layer, False, ((None, None, None, 3), "float16"))
    for shape in ((1, 9, 9, 3), (3, 4, 7, 3), (0, 9, 9, 3)):
        x = drawn(shape)
        np.testing.assert_array_equal(step(x), layer(x))


@needs_kernels
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_layers_of_maxima_take_them(rank, data_format):
    kept = {"pool_size": 3, "strides": 2, "padding": "same"}
    cls = f"MaxPooling{rank}D"
    layer = getattr(layers, cls)(**kept, data_format=data_format, dtype="float16")
    x = drawn((2, 5, 6, 7, 4)[: rank + 2])
    assert kinds_of(layer, x.shape) == {"Keras16Maxima"}
    # Keras has no maxima of channels first on a CPU.
    stock = getattr(keras.layers, cls)(**kept, data_format="channels_last")
    first = data_format == "channels_first"
    right = stock(np.moveaxis(x, 1, -1) if first else x)
    found = np.asarray(layer(x))
    np.testing.assert_array_equal(np.moveaxis(found, 1, -1) if first else found, right)


@needs_kernels
def test_windows_of_more_places_than_are_counted_are_left_to_keras():
    layer = layers.MaxPooling1D(own.MOST_PLACES + 1, padding="same", dtype="float16")
    assert not kinds_of(layer, (2, 5, 4))
    x = drawn((2, 5, 4))
    np.testing.assert_array_equal(layer(x), x.max(axis=1, keepdims=True))


# Updates


def adam(gradients, share=0.1, decay=0.0):
    """The weights, means and roots of variables that were 0, or 1, after a step."""
    ones = [np.ones_like(g) for g in gradients]
    zeros = [np.zeros_like(g) for g in gradients]
    words = [softfloat.word(number) for number in (1e-3, share, share, 1e-7, decay)]
    moved = own.updated("adam", ones, gradients, [zeros, zeros], [*words, 1, 2, 3])
    return [[np.asarray(one) for one in each] for each in moved]


@needs_kernels
@pytest.mark.parametrize("share", [0.3, 1e-3, 1e-5])
def test_adam_rounds_what_is_far_below_a_last_place_up_as_often_as_it_should(share):
    """The smallest number times the share, on average."""
    size = 1 << 20
    _, (mean,), _ = adam([np.full(size, 2.0**-24, "float16")], share)
    expected = size * share
    assert abs((mean > 0).sum() - expected) < 5 * math.sqrt(expected)
    assert set(np.unique(mean)) == {0.0, 2.0**-24}


@needs_kernels
def test_adam_keeps_what_is_not_finite_and_passes_65504_for_infinity():
    gradient = np.array([np.nan, np.inf, -np.inf, 65504, 0], "float16")
    _, (mean,), (root,) = adam([gradient], 1.0)
    np.testing.assert_array_equal(mean, gradient)
    np.testing.assert_array_equal(root[3:], np.abs(gradient[3:]))
    assert not np.isfinite(root[:3]).any()


@needs_kernels
def test_adam_of_several_variables_is_that_of_one_vector():
    shapes = [(5,), (3, 7), (), (2, 3, 4), (0,), (40,)]
    gradients = [drawn(shape, i) for i, shape in enumerate(shapes)]
    gradients = [np.asarray(g, "float16") for g in gradients]
    several = adam(gradients, decay=0.01)
    together = adam([np.concatenate([g.ravel() for g in gradients])], decay=0.01)
    for parts, (vector,) in zip(several, together, strict=True):
        assert [part.shape for part in parts] == shapes
        flat = np.concatenate([part.ravel() for part in parts])
        np.testing.assert_array_equal(flat, vector)


# Class, settings, and the operation of its step.
UPDATES = [
    ("Adam", {"weight_decay": 0.01}, "Keras16Adam"),
    ("RMSprop", {"weight_decay": 0.01}, "Keras16Rmsprop"),
    ("SGD", {"weight_decay": 0.01}, "Keras16Sgd"),
    ("SGD", {"momentum": 0.9}, "Keras16Momentum"),
    ("SGD", {"momentum": 0.9, "nesterov": True}, "Keras16Momentum"),
]
SHAPES = ((3,), (4, 5), (), (129, 128))  # the last one is a group of its own


def optimizer_of(cls, settings, shapes=SHAPES):
    """An optimizer of variables, and these."""
    variables = [
        keras.Variable(np.asarray(drawn(shape, i), "float16"), dtype="float16")
        for i, shape in enumerate(shapes)
    ]
    optimizer = getattr(optimizers, cls)(0.01, **settings)
    optimizer.build(variables)
    return optimizer, variables


@needs_kernels
@pytest.mark.parametrize(("cls", "settings", "operation"), UPDATES)
def test_an_update_is_an_operation_a_group_and_none_of_xla(cls, settings, operation):
    """Compiling it took most of the first step's time."""
    import tensorflow as tf

    optimizer, variables = optimizer_of(cls, settings)
    step = tf.function(lambda *g: optimizer.apply(list(g)), autograph=False)
    gradients = [np.asarray(drawn(v.shape), "float16") for v in variables]
    graph = step.get_concrete_function(*gradients).graph
    assert [op.type for op in graph.get_operations()].count(operation) == 2
    assert not any("Call" in op.type for op in graph.get_operations())


def words_of(numbers, *whole):
    return [*map(softfloat.word, numbers), *whole]


def moved_mean_square(root, gradient, share):
    return np.sqrt((1 - share) * root**2 + share * gradient**2)


def adam_step(weight, gradient, slots, kept):
    """The slots in float64, and the step that those kept as float16 give."""
    mean, root = slots
    mean = mean + 0.1 * (gradient - mean)
    root = moved_mean_square(root, gradient, 0.01)
    return [mean, root], 1e-3 * kept[0] / (kept[1] + 1e-7) + 1e-5 * weight


def rmsprop_step(weight, gradient, slots, kept):
    root = moved_mean_square(slots[0], gradient, 0.1)
    return [root], 1e-3 * gradient / np.sqrt(kept[0] ** 2 + 1e-7) + 1e-5 * weight


def sgd_step(weight, gradient, slots, kept):
    return [], 1e-3 * gradient + 1e-5 * weight


def momentum_step(weight, gradient, slots, kept, nesterov=False):
    velocity = 0.9 * slots[0] + 1e-3 * gradient
    step = 0.9 * velocity + 1e-3 * gradient if nesterov else velocity
    return [velocity], step + 1e-5 * weight


# Words of the step, and the step in float64.
STEPS = {
    "adam": (words_of((1e-3, 0.1, 0.01, 1e-7, 0.01), 1, 2, 3), adam_step),
    "rmsprop": (words_of((1e-3, 0.1, 1e-7, 0.01), 1, 2), rmsprop_step),
    "sgd": (words_of((1e-3, 0, 0.01), 0, 1, 2), sgd_step),
    "momentum": (words_of((1e-3, 0.9, 0.01), 0, 1, 2), momentum_step),
    "nesterov": (
        words_of((1e-3, 0.9, 0.01), 1, 1, 2),
        functools.partial(momentum_step, nesterov=True),
    ),
}


@needs_kernels
@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e3])
@pytest.mark.parametrize("name", STEPS)
def test_updates_are_float64s_rounded_once_and_slots_by_chance(name, scale):
    size = 50_001  # several tasks, and a rest
    words, reference = STEPS[name]
    weight, gradient = drawn(size), (scale * drawn(size, 2)).astype("float16")
    count = len(reference(*(np.zeros(1),) * 2, [np.zeros(1)] * 2, [np.ones(1)] * 2)[0])
    slots = [(scale * drawn(size, 3 + i)).astype("float16") for i in range(count)]
    powers = []
    if reference is adam_step or reference is rmsprop_step:
        slots[-1] = np.abs(slots[-1])
    elif count:
        powers = [np.int32(-3)]
    operation = "momentum" if name == "nesterov" else name
    given = [*([slot] for slot in slots), *([power] for power in powers)]
    (moved,), *rest = own.updated(operation, [weight], [gradient], given, words)
    old, new = (
        (2.0 ** int(powers[0]), 2.0 ** int(rest[-1][0])) if powers else (1.0, 1.0)
    )
    kept = [wide(np.asarray(slot[0])) * new for slot in rest[:count]]
    exact, step = reference(
        wide(weight), wide(gradient), [wide(slot) * old for slot in slots], kept
    )
    for one, right in zip(kept, exact, strict=True):
        place = unit(right / new, "float16") * new
        left = (one - right) / place
        assert (np.abs(left) < 1 + 2.0**-10).all()
        assert abs(left.mean()) < 5 * math.sqrt(1 / 6 / size)  # even chances
    right = wide(weight) - step
    magnitude = np.abs(wide(weight)) + np.abs(step)
    bound = 0.5 * unit(right, "float16") + 2.0**-20 * magnitude
    assert (np.abs(wide(np.asarray(moved)) - right) <= bound).all()


@needs_kernels
def test_a_velocity_far_below_float16_moves_the_weight():
    """A rate of 2**-30 times the smallest number: 2**-54."""
    shape = (40,)
    zeros, least = np.zeros(shape, "float16"), np.full(shape, 2.0**-24, "float16")
    words = [softfloat.word(number) for number in (2.0**-30, 0.5, 0)]
    power = np.int32(0)
    velocity = zeros
    for expected in (2.0**-54, 1.5 * 2.0**-54, 1.75 * 2.0**-54):
        _, (velocity,), (power,) = own.updated(
            "momentum", [zeros], [least], [[velocity], [power]], [*words, 0, 1, 2]
        )
        np.testing.assert_array_equal(wide(velocity) * 2.0 ** int(power), expected)


@needs_kernels
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_velocity_that_is_no_number_leaves_the_others_alone(bad):
    gradient = np.array([bad, 1, 0], "float16")
    zeros = np.zeros(3, "float16")
    words = [softfloat.word(number) for number in (0.5, 0.9, 0)]
    (weight,), (velocity,), (power,) = own.updated(
        "momentum", [zeros], [gradient], [[zeros], [np.int32(0)]], [*words, 0, 1, 2]
    )
    assert not np.isfinite(weight[0]) and not np.isfinite(velocity[0])
    np.testing.assert_array_equal(weight[1:], [-0.5, 0])
    np.testing.assert_array_equal(wide(velocity)[1:] * 2.0 ** int(power), [0.5, 0])


@needs_kernels
def test_updates_of_shapes_that_do_not_go_together_are_refused():
    import tensorflow as tf

    word = softfloat.word(1.0)
    x, y = np.zeros(3, "float16"), np.zeros(4, "float16")
    with pytest.raises(tf.errors.InvalidArgumentError, match="go together"):
        own.updated("sgd", [x], [y], [], [word, word, word, 0, 1, 2])
    with pytest.raises(tf.errors.InvalidArgumentError, match="go together"):
        own.updated("sgd", [x], [x], [], [word])


def bits_of_chance(path):
    """Saves what updates and dropout make of every float16, by chance."""
    every = np.arange(1 << 16, dtype="uint16").view("float16")
    other = np.roll(every[::-1], 12345)
    found = [own.dropout(every, 0.3, np.array([4, 5], "int32"))]
    for name, (words, _) in STEPS.items():
        slots = {"adam": [[other], [np.abs(every)]], "rmsprop": [[np.abs(other)]]}
        given = slots.get(name, [[other], [np.int32(-3)]] if name != "sgd" else [])
        operation = "momentum" if name == "nesterov" else name
        moved = own.updated(operation, [other], [every], given, words)
        found += [one for (one,) in moved]
    arrays = [np.asarray(one) for one in found]
    numbers = [np.where(np.isnan(a), 0, a) for a in arrays]
    np.savez(path, *numbers, *map(np.isnan, arrays))


@needs_kernels
def test_chance_is_the_same_to_the_bit_with_narrow_vectors(tmp_path):
    """What AVX2 has no instruction for is made of others there."""
    if own.vectors() != "AVX-512":
        pytest.skip("there is one width of vectors here")
    bits_of_chance(tmp_path / "wide.npz")
    code = "import sys; from tests.test_own_kernels import bits_of_chance as save;"
    subprocess.run(
        [sys.executable, "-c", f"{code} save(sys.argv[1])", tmp_path / "narrow.npz"],
        env={**os.environ, kernels.SWITCH: "avx2"},
        check=True,
        capture_output=True,
    )
    wide_ones, narrow = (np.load(tmp_path / f"{n}.npz") for n in ("wide", "narrow"))
    assert len(wide_ones.files) == len(narrow.files) > 20
    for name in narrow.files:
        np.testing.assert_array_equal(wide_ones[name], narrow[name])


# Where they are not


@needs_kernels
def test_none_beside_a_gpu(monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    assert tensorflow_kernels._loaded.__wrapped__() == (None, "")


def test_none_where_they_are_switched_off(monkeypatch):
    monkeypatch.setenv(kernels.SWITCH, "0")
    assert kernels.libraries() == []


@needs_kernels
def test_the_newest_that_a_cpu_runs_are_taken(monkeypatch):
    def vectors():
        return [one.vectors for one in kernels.libraries()]

    monkeypatch.delenv(kernels.SWITCH, raising=False)
    assert vectors() == ["AVX-512", "AVX2"]
    for switch, names in (
        ("vectors", ["AVX-512", "AVX2"]),
        ("", ["AVX-512", "AVX2"]),
        ("avx2", ["AVX2"]),
    ):
        monkeypatch.setenv(kernels.SWITCH, switch)
        assert vectors() == names


@needs_kernels
def test_a_library_without_operations_for_this_cpu_is_passed_over(monkeypatch):
    import tensorflow as tf

    class Empty:
        pass

    *_, last = kernels.libraries()
    opened = {}
    monkeypatch.setattr(tf, "RegisterGradient", lambda name: lambda function: None)
    monkeypatch.setattr(
        tf, "load_op_library", lambda path: opened.setdefault(path, Empty())
    )
    assert tensorflow_kernels._loaded.__wrapped__() == (None, "")
    setattr(opened[str(last.path)], tensorflow_kernels._IMAGES, None)
    assert tensorflow_kernels._loaded.__wrapped__()[1] == last.vectors


@pytest.mark.parametrize(
    ("switch", "flag"), [("vectors", "amx_bf16"), ("avx2", "avx512bw")]
)
def test_older_cpus_compute_the_same(switch, flag):
    """All else in this file is about the best that this CPU has."""
    if own is None or flag not in hardware.cpu_flags():
        pytest.skip("this is what is tested above")
    if kernels.SWITCH in os.environ:
        pytest.skip("this is the run of such a CPU")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(
        command,
        env={**os.environ, kernels.SWITCH: switch},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert " skipped" in done.stdout and " passed" in done.stdout


@needs_kernels
def test_mixed_precision_takes_them_and_gives_float32_gradients():
    """TensorFlow's own gradient is 1.7 % off here (test_traps)."""
    generator = np.random.default_rng(0)
    images = generator.uniform(0, 1, (256, 32, 32, 3)).astype("float16")
    slopes = generator.uniform(0, 0.01, (256, 30, 30, 8)).astype("float16")
    layer = layers.Conv2D(8, 3, use_bias=False, dtype="mixed_float16")
    layer.build(images.shape)
    found = run(layer, images, weights=layer.weights, upstream=slopes)[-1]
    right = np.einsum("bhwi,bhwo->io", wide(images[:, :30, :30]), wide(slopes))
    assert layer.kernel.dtype == "float32"
    np.testing.assert_allclose(found[0, 0], right, rtol=6e-4)


@needs_kernels
@pytest.mark.parametrize(
    ("name", "settings", "shape"),
    [
        ("DepthwiseConv1D", {"kernel_size": 3}, (8, 1100, 3)),
        ("DepthwiseConv2D", {"kernel_size": 3}, (2, 66, 66, 16)),
        ("SeparableConv2D", {"filters": 4, "kernel_size": 3}, (2, 66, 66, 16)),
        ("AveragePooling2D", {"pool_size": 2}, (2, 8, 8, 5)),
    ],
)
def test_mixed_precision_adds_more_than_float16_can(name, settings, shape):
    """Ones: the gradients of kernels by TensorFlow's float16 stop at 4,096."""
    x, found = np.ones(shape, "float16"), []
    for folder, dtype in ((layers, "mixed_float16"), (keras.layers, "float32")):
        layer = getattr(folder, name)(**settings, dtype=dtype)
        layer.build(shape)
        for variable in layer.weights:
            variable.assign(np.full(variable.shape, 2.0**-3))
        slopes = np.ones(layer.compute_output_shape(shape), x.dtype)
        outputs = run(layer, x, weights=layer.weights, upstream=slopes)
        found.append(outputs)
        x = x.astype("float32")
    for ours, right in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, right)


@needs_kernels
def test_a_mixed_step_of_our_layers_is_not_compiled(monkeypatch):
    net = prepared(model="cnn", precision="mixed")
    assert not net.model.jit_compile
    kerass = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3)])
    for arithmetic in (False, True):  # where a gradient is oneDNN's reference
        monkeypatch.setattr(
            hardware, "native_float16", lambda native=arithmetic: native
        )
        monkeypatch.setattr(hardware, "float16_kernels", lambda: False)
        assert compiles(kerass, "mixed_float16", net.model.loss)


def test_a_machine_with_a_compiler_and_such_vectors_has_them():
    """Else the installation failed, and nobody would notice."""
    wanted = hardware.own_kernels()
    if not wanted:
        pytest.skip("no AVX2, or keras16 was installed without a compiler")
    assert own is not None and own.vectors() == wanted
    for policy in ("float16", "mixed_float16"):
        assert not backend.module().compiles(policy, float16_kernels=False)
