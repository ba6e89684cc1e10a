"""Traps of float16 that no other file has: Keras' own fails, ours does not."""

import keras
import numpy as np
import pytest

from keras16 import precision, schedules
from keras16.numerics import softfloat
from tests.traced import constant


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
