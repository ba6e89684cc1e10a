"""The one switch: what it sets, what it refuses, and what a seed means."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras16 import precision
from keras16.errors import PrecisionError, UserError
from tests.close import assert_close, host, rounded, wide


def kernel(seed=0):
    """The initial weights of a layer."""
    keras.utils.set_random_seed(seed)
    layer = keras.layers.Dense(64)
    layer.build((None, 128))
    return layer.kernel


@pytest.mark.parametrize("name", precision.TABLE)
def test_use_sets_both_switches(name):
    tf.config.experimental.enable_tensor_float_32_execution(True)
    row = precision.use(name)
    assert precision.in_use() == row == precision.get(name)
    assert keras.config.floatx() == row.floatx
    assert keras.config.dtype_policy().name == row.policy
    assert not tf.config.experimental.tensor_float_32_execution_enabled()
    assert kernel().dtype == row.variable_dtype


@pytest.mark.parametrize("name", precision.TABLE)
def test_pure_rows_have_one_dtype_throughout(name):
    row = precision.get(name)
    assert row.pure == (row.policy == row.floatx != "float32")


@pytest.mark.parametrize(
    "alias, name",
    [("float16", "16"), (16, "16"), ("FP32", "32"), ("mixed_float16", "mixed")],
)
def test_aliases(alias, name):
    assert precision.canonical(alias) == name


def test_a_precision_that_there_is_not():
    with pytest.raises(UserError, match="no precision 'double'.*16, 16-plain, 32"):
        precision.use("double")


def test_a_second_precision_is_refused_and_the_same_is_not():
    precision.use("16")
    precision.use("float16")
    with pytest.raises(PrecisionError, match="already uses precision '16'"):
        precision.use("32")
    assert keras.config.floatx() == "float16"


@pytest.mark.parametrize("name, dtype", [("16", "float16"), ("bf16", "bfloat16")])
def test_a_seed_means_the_same_weights_at_every_precision(name, dtype):
    at_32 = wide(kernel())  # as Keras itself draws them
    precision.use(name)
    assert_close(kernel(), wide(rounded(at_32, dtype)), dtype, units=0)
    assert not np.array_equal(host(kernel(1)), host(kernel(0)))


@pytest.mark.parametrize("name", ["32", "mixed"])
def test_float32_variables_are_drawn_as_keras_does(name):
    at_32 = wide(kernel())
    precision.use(name)
    assert_close(kernel(), at_32, "float32", units=0)


def test_in_keras_a_seed_gives_unrelated_weights_in_float16():
    at_32 = wide(kernel())
    keras.config.set_dtype_policy("float16")
    try:
        at_16 = wide(kernel())
    finally:
        keras.config.set_dtype_policy("float32")
    assert abs(np.corrcoef(at_32.ravel(), at_16.ravel())[0, 1]) < 0.1


def test_a_variable_of_another_dtype_is_named():
    row = precision.use("16")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="good")])
    model.compile("sgd")
    precision.assert_dtypes(model, row)
    model.add(keras.layers.Dense(2, name="stray", dtype="float32"))
    with pytest.raises(PrecisionError, match="stray/kernel is float32.*float16"):
        precision.assert_dtypes(model, row)
