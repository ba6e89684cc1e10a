"""Traps of float16 that no other file has: Keras' own fails, ours does not."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras.src.utils import python_utils

import keras16
from keras16 import backend, hardware, measure, precision, schedules
from keras16.numerics import softfloat
from tests.traced import constant, of_tensorflow, run, traced


@pytest.fixture
def switches():
    """Keras' two switches, put back afterwards."""
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def test_floatx_alone_leaves_layers_in_float32(switches):
    keras.config.set_dtype_policy("float32")
    keras.config.set_floatx("float16")
    assert keras.layers.Dense(1).compute_dtype == "float32"
    assert keras.metrics.Mean().dtype == "float16"
    keras.config.set_floatx("float32")
    precision.use("16")
    assert keras.layers.Dense(1).compute_dtype == "float16"
    assert keras.metrics.Mean().dtype == "float16"


def test_a_cosine_of_keras_is_float32_and_ours_is_an_integer():
    stock = keras.optimizers.schedules.CosineDecay(1e-3, 100)
    step = constant(np.int64(3))
    assert keras.backend.standardize_dtype(constant(stock(step)).dtype) == "float32"
    ours = schedules.CosineDecay(1e-3, 100)
    assert ours.word(step).dtype == "int32"


def test_float16_holds_neither_these_betas_nor_these_epsilons():
    """Why the optimizers take them as words of integers instead."""
    assert float(np.float16(0.999)) > 0.99901 and float(np.float16(0.9998)) == 1
    assert float(np.float16(1e-8)) == 0
    assert float(np.float16(1 - 1e-7)) == 1
    assert softfloat.host_number(softfloat.word(1e-8)) == pytest.approx(1e-8)
    share = softfloat.number(1 - 0.9998)
    assert share.units * 2.0**share.exponent == pytest.approx(2e-4)


@of_tensorflow("float() of its tensors of bfloat16 raises")
def test_keras_logs_tensors_of_bfloat16():
    keras_own = python_utils.pythonify_logs
    keras_own = getattr(keras_own, "of_keras", keras_own)
    found = keras_own({"loss": constant(1.5, "bfloat16")})
    assert not isinstance(found["loss"], float)


@pytest.mark.parametrize("precision", ["16", "bf16"])
def test_a_history_of_sixteen_bits_is_of_numbers(precision):
    x, y = np.ones((8, 4), "float32"), np.zeros(8, "int32")
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    twin = keras16.convert(net, precision)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    twin.compile("sgd", loss, metrics=["accuracy"])
    history = twin.fit(x, y, verbose=0).history
    assert {type(value) for values in history.values() for value in values} == {float}


def test_the_size_of_a_file_says_nothing_of_precision(tmp_path):
    """Keras saves the optimizer of a mixed model twice; bytes of variables are told."""
    sizes, weights = {}, {}
    for policy in ("mixed_float16", "float32"):
        net = keras.Sequential(
            [keras.Input((64,)), keras.layers.Dense(64, dtype=policy)]
        )
        optimizer = keras.optimizers.Adam()
        if policy == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        net.compile(optimizer, "mse")
        net.optimizer.build(net.trainable_variables)
        net.save(tmp_path / f"{policy}.keras")
        sizes[policy] = (tmp_path / f"{policy}.keras").stat().st_size
        weights[policy] = measure.weight_bytes(net)
    assert sizes["mixed_float16"] > 1.3 * sizes["float32"]
    assert weights["mixed_float16"] == weights["float32"]


@of_tensorflow("of its compiler")
def test_a_compiled_rsqrt_is_off_and_a_normalization_hardly(switches):
    """Two roundings instead of one: the layer's own bound holds all the same."""
    words = np.arange(0x2400, 0x7800, 7, dtype="uint16")  # 0.016 to 32,768
    sizes = words.view("float16")
    exact = 1 / np.sqrt(sizes.astype("float64"))
    ulp = np.spacing(exact.astype("float16")).astype("float64")
    root = traced(keras.ops.rsqrt, True)(constant(sizes))
    assert np.max(np.abs(np.asarray(root, "float64") - exact) / ulp) > 1.3

    rows = np.outer(sizes, np.tile([1, -1], 8)).astype("float16")
    layer = keras16.layers.RMSNormalization(epsilon=1e-3, dtype="float16")
    layer.build(rows.shape)
    found = np.asarray(traced(layer, True)(constant(rows)), "float64")
    wide = rows.astype("float64")
    right = wide / np.sqrt(np.mean(wide**2, axis=1, keepdims=True) + 1e-3)
    bound = 10 * 2.0**-11 * np.abs(right)  # docs/numerics.md
    assert np.all(np.abs(found - right) <= bound)


@of_tensorflow("of its kernels without oneDNN")
def test_a_depthwise_convolution_is_right_without_onednn():
    """On another CPU than most, Keras' own gave 128 for this sum of 625 ones."""
    program = (
        "import keras, keras16\n"
        "layer = keras16.layers.DepthwiseConv2D(25, depthwise_initializer='ones',"
        " dtype='float16')\n"
        "print(float(layer(keras.ops.ones((1, 25, 25, 1), 'float16'))[0, 0, 0, 0]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) == 625


@of_tensorflow("of its kernels without float16 arithmetic")
def test_the_gradient_of_a_filter_is_added_in_float16_unless_compiled():
    """So mixed precision, the baseline of the papers, is compiled like float16.

    Where keras16's kernels take all of a step's products, neither is.
    """
    if hardware.native_float16() or backend.module().has_gpu():
        pytest.skip("float16 has kernels of its own here")
    for policy in ("float16", "mixed_float16"):
        assert backend.module().compiles(
            policy, float16_kernels=False, multiplies_all=False
        )
    generator = np.random.default_rng(0)
    images = generator.uniform(0, 1, (256, 32, 32, 3)).astype("float16")
    slopes = generator.uniform(0, 0.01, (256, 30, 30, 8)).astype("float16")
    # Of the filter's first place, in each channel of both.
    right = np.einsum(
        "bhwi,bhwo->io", images[:, :30, :30].astype("float64"), slopes.astype("float64")
    )
    errors = []
    for compiled in (False, True):
        layer = keras.layers.Conv2D(8, 3, use_bias=False, dtype="mixed_float16")
        layer.build(images.shape)
        found = run(
            layer, images, weights=layer.weights, compiled=compiled, upstream=slopes
        )[-1][0, 0]
        errors.append(np.max(np.abs(found - right) / right))
    assert errors[0] > 5e-3
    assert errors[1] < 6e-4
