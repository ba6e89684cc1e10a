"""Sums and means in 16 bits against float64."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from keras16.numerics import reductions
from tests.close import assert_close, numpy_dtype
from tests.reference import sums
from tests.traced import both, formats, traced

MAGNITUDES = [1e-6, 1e-3, 1.0, 300.0, 6e4]


def draw(shape, dtype, magnitude, seed=0):
    """Numbers of either sign up to a magnitude, more above 0 than below."""
    random = np.random.default_rng(seed)
    return (random.uniform(-0.3, 1, shape) * magnitude).astype(numpy_dtype(dtype))


@functools.cache
def mean_of(axis, keepdims, compiled):
    return traced(lambda x: reductions.mean(x, axis, keepdims), compiled)


def assert_mean(x, dtype, compiled, axis=None, keepdims=False, units=2):
    expected, size = sums.mean(x, axis, keepdims)
    found = mean_of(axis, keepdims, compiled)(tf.constant(x))
    assert_close(found, expected, dtype, scale=size, units=units)


def test_tensorflow_means_and_sums_in_float16_stall():
    ones = tf.ones([131_072], "float16")
    assert float(tf.reduce_mean(ones)) != 1  # its count is infinite
    assert float(tf.reduce_sum(tf.ones([10_000, 4], "float16"), axis=0)[0]) == 2048


@both
@formats
@pytest.mark.parametrize("count", [1, 3, 2**12 + 1, 2**20])
def test_means_of_all_magnitudes(count, dtype, compiled):
    x = np.stack([draw(count, dtype, m, seed=count) for m in MAGNITUDES], axis=1)
    assert_mean(x, dtype, compiled, axis=0)


@both
def test_the_mean_of_four_million(compiled):
    x = draw(2**22, "float16", 5.0)
    assert_mean(x, "float16", compiled)


@both
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, -1, (1, 2), (3, 0, 1)])
def test_any_axes(axis, keepdims, compiled):
    x = draw((4, 6, 5, 3), "float16", 100.0)
    assert_mean(x, "float16", compiled, axis=axis, keepdims=keepdims)


@both
def test_no_axes_and_no_elements(compiled):
    x = draw((3, 4), "float16", 1.0)
    assert_mean(x, "float16", compiled, axis=())
    assert_mean(np.zeros((0,), "float16"), "float16", compiled)
    assert_mean(np.zeros((0, 3), "float16"), "float16", compiled, axis=0)


@both
@pytest.mark.parametrize("axis", [None, 1, (0, 2)])
def test_shapes_that_are_unknown_when_the_graph_is_made(axis, compiled):
    signature = [tf.TensorSpec([None, None, 3], "float16")]
    mean = tf.function(
        lambda x: reductions.mean(x, axis),
        signature,
        autograph=False,
        jit_compile=compiled,
    )
    for shape in [(2, 5, 3), (700, 100, 3), (0, 4, 3)]:
        x = draw(shape, "float16", 6e4)
        expected, size = sums.mean(x, axis)
        assert_close(mean(tf.constant(x)), expected, "float16", scale=size)


@both
@formats
@pytest.mark.parametrize("magnitude", [1e-4, 3e4])
def test_means_and_sums_of_rows(magnitude, dtype, compiled):
    rows = draw((5003, 4), dtype, magnitude)
    expected, size = sums.mean(rows, axis=0)
    mean = traced(reductions.row_mean, compiled)(tf.constant(rows))
    assert_close(mean, expected, dtype, scale=size)
    total = traced(reductions.row_sum, compiled)(tf.constant(rows))
    assert_close(total, expected * 5003, dtype, scale=size * 5003, units=1)


@both
@formats
def test_a_sum_that_fits_is_finite_though_its_parts_do_not_fit(dtype, compiled):
    rows = np.tile(
        np.array([[40_000], [30_000], [-60_000]], numpy_dtype(dtype)), (9, 1)
    )
    total = traced(reductions.row_sum, compiled)(tf.constant(rows))
    exact = np.float64(sums.total(rows))
    assert_close(total, [exact], dtype, units=1)
    assert_close(
        traced(reductions.last_axis_sum, compiled)(tf.constant(rows.T)),
        [[exact]],
        dtype,
        units=1,
    )


@both
@formats
def test_sums_along_the_last_axis(dtype, compiled):
    x = draw((5, 7, 3001), dtype, 20.0)
    expected, size = sums.mean(x, axis=-1, keepdims=True)
    found = traced(reductions.last_axis_sum, compiled)(tf.constant(x))
    assert_close(found, expected * 3001, dtype, scale=size * 3001, units=1)


@both
@formats
@pytest.mark.parametrize("count", [3, 65_521, 2**22 - 1])
def test_quotients_by_counts_beyond_float16(count, dtype, compiled):
    """Counts known when the graph is made, and counts that are not."""
    x = np.concatenate([draw(1000, dtype, 6e4), draw(1000, dtype, 1e-3)])
    expected = x.astype("float64") / count
    quotient = traced(reductions.over_count, compiled)
    assert_close(quotient(x, tf.constant(count, "int32")), expected, dtype)
    assert_close(quotient(x, count), expected, dtype)
