"""What XLA would compute again and again is computed once, and to the bit the same."""

import functools

import keras
import ml_dtypes
import numpy as np
import pytest

from keras16 import backend, hardware, layers
from keras16.layers import _compiled
from keras16.numerics import bits, once
from tests.close import assert_close, host
from tests.traced import ON_JAX, both, constant, traced, value_and_gradients

DTYPES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
INFINITE = {"float16": 0x7C00, "bfloat16": 0x7F80}


def every_number(dtype):
    """All 65,536 of a 16-bit format, infinities and NaNs among them."""
    return np.arange(1 << 16, dtype="uint16").view(DTYPES[dtype])


@both
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_number_stays_as_it_is(dtype, compiled):
    x = every_number(dtype)
    found = host(traced(once.computed, compiled)(constant(x))).view("uint16")
    magnitude, infinite = x.view("uint16") & 0x7FFF, INFINITE[dtype]
    is_nan = magnitude > infinite
    assert (found[is_nan] & 0x7FFF > infinite).all()
    # TensorFlow flushes bfloat16's subnormals, which are float32's, on a CPU.
    flushed = (magnitude > 0) & (magnitude < 0x80) & (dtype == "bfloat16")
    kept = ~is_nan & ~flushed
    np.testing.assert_array_equal(found[kept], x.view("uint16")[kept])


@both
@pytest.mark.parametrize("function", [once.value, once.gradient, once.both])
def test_value_and_gradient_pass_unchanged(function, compiled):
    x = np.random.default_rng(0).normal(size=(7, 3)).astype("float16")

    step = traced(value_and_gradients(function), compiled)
    value, gradient = step(constant(2 * x), constant(x))
    np.testing.assert_array_equal(host(value), x)
    np.testing.assert_array_equal(host(gradient), 2 * x)


def residual_step(kind, blocks):
    """A compiled training step of some residual blocks, its layers of a module.

    Returns:
        The number of instructions of the program that XLA made of it.
    """
    inputs = x = keras.Input((8, 8, 4), dtype="float16")
    for _ in range(blocks):
        y = kind.Conv2D(4, 3, padding="same", dtype="float16")(x)
        y = keras.layers.ReLU(dtype="float16")(y)
        x = kind.Add(dtype="float16")([x, y])
        x = keras.layers.ReLU(dtype="float16")(x)
    model = keras.Model(inputs, x)
    called = functools.partial(model, training=True)
    step = value_and_gradients(called, model.trainable_variables)
    x = np.zeros((2, 8, 8, 4), "float16")
    return optimized(traced(step, True), x, x).count(" maximum(")


def optimized(step, *arrays):
    """The program that XLA makes of a compiled step, as text."""
    if ON_JAX:
        return step.lowered(*arrays).compile().as_text()
    tensors = map(constant, arrays)
    return step.experimental_get_compiler_ir(*tensors)(stage="optimized_hlo")


def test_a_residual_net_is_no_longer_program_than_its_blocks(monkeypatch):
    if backend.module().has_gpu():
        pytest.skip("on a GPU XLA weighs what it repeats")
    monkeypatch.setattr(backend.module(), "compiles", lambda *_: True)
    few, many = (residual_step(layers, blocks) for blocks in (2, 4))
    assert many <= 2.5 * few
    # Of Keras' own layers each convolution computes all the blocks before it.
    few, many = (residual_step(keras.layers, blocks) for blocks in (2, 4))
    assert many > 2.5 * few


@pytest.mark.parametrize("policy", ["mixed_float16", "float32", "bfloat16"])
def test_only_pure_16_bit_steps_are_changed(policy, monkeypatch):
    monkeypatch.setattr(hardware, "float16_kernels", lambda: False)
    layer = layers.Conv2D(2, 3, dtype=policy)
    compiles = backend.module().compiles(policy, float16_kernels=False)
    assert _compiled.is_repeated(layer) == (compiles and policy == "bfloat16")
    assert not bits.is_16_bit("float32")


def test_on_a_cpu_with_float16_the_step_is_not_changed(monkeypatch):
    if backend.module().has_gpu():
        pytest.skip("with a GPU every step is compiled")
    layer = layers.Conv2D(2, 3, dtype="float16")
    for fast in (False, True):
        monkeypatch.setattr(hardware, "float16_kernels", lambda fast=fast: fast)
        assert _compiled.is_compiled(layer) == backend.module().compiles(
            "float16", fast
        )


# Convolutions of images that are smaller than the window


def small_images(monkeypatch, layer, shape):
    """A layer's outputs, gradients and inputs, as XLA on this CPU would have them."""
    monkeypatch.setattr(_compiled, "is_repeated", lambda layer: True)
    draw = np.random.default_rng(0)
    x = draw.normal(size=shape).astype("float16")
    upstream = draw.normal(size=(*shape[:-1], layer.filters)).astype("float16")
    layer.build(x.shape)
    layer.kernel.assign(draw.normal(size=layer.kernel.shape) / 8)

    step = traced(value_and_gradients(layer, layer.trainable_variables), True)
    return step(constant(upstream), constant(x)), x, upstream


@pytest.mark.parametrize(
    ("sides", "window", "dilation"),
    [((2, 2), 3, 1), ((1, 4), 3, 1), ((2, 3), (3, 5), 1), ((2, 2), 3, 2)],
)
def test_a_small_image_is_convolved_as_in_float32(monkeypatch, sides, window, dilation):
    options = {"padding": "same", "dilation_rate": dilation}
    layer = layers.Conv2D(4, window, dtype="float16", **options)
    found, x, upstream = small_images(monkeypatch, layer, (3, *sides, 8))
    assert _compiled.missing(layer, x.shape) != (0, 0)
    twin = keras.layers.Conv2D(4, window, dtype="float32", **options)
    twin.build(x.shape)
    twin.set_weights([host(v).astype("float32") for v in layer.get_weights()])
    given = upstream.astype("float32"), x.astype("float32")
    wanted = value_and_gradients(twin, twin.trainable_variables)(*map(constant, given))
    for ours, exact in zip(found, wanted, strict=True):
        scale = np.abs(host(exact)).max()  # sums cancel
        assert_close(ours, host(exact), "float16", units=1, scale=scale)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((3, 4, 4, 8), {"padding": "same"}),
        ((3, 1, 1, 8), {"padding": "same"}),
        ((3, 2, 2, 8), {"padding": "same", "strides": 2}),
        ((3, None, None, 8), {"padding": "same"}),
        ((3, 3, 2, 8), {"padding": "valid"}),
    ],
)
def test_other_images_are_left_alone(monkeypatch, shape, options):
    monkeypatch.setattr(_compiled, "is_repeated", lambda layer: True)
    layer = layers.Conv2D(4, 3, dtype="float16", **options)
    assert _compiled.missing(layer, shape) == (0, 0)


def test_a_small_image_of_float32_is_left_alone():
    layer = layers.Conv2D(4, 3, padding="same", dtype="float32")
    assert _compiled.missing(layer, (3, 2, 2, 8)) == (0, 0)
