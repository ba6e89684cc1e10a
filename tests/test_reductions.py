"""Sums and means in 16 bits against float64."""

import functools

import numpy as np
import pytest

from keras16.numerics import norms, reductions, variance
from tests.close import assert_close, host, numpy_dtype, wide
from tests.reference import sums
from tests.traced import (
    both,
    constant,
    formats,
    of_tensorflow,
    traced,
    with_signature,
)

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
    found = mean_of(axis, keepdims, compiled)(constant(x))
    assert_close(found, expected, dtype, scale=size, units=units)


@of_tensorflow("JAX sums float16 in float32")
def test_tensorflow_means_and_sums_in_float16_stall():
    import tensorflow as tf

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
def test_many_equal_numbers(compiled):
    """Added one after another in float32, 2**22 of them are 65 last places off."""
    x = np.full((2**22,), 0.1, "float16")
    assert_mean(x, "float16", compiled, units=1)
    x = np.full((2**19 + 1, 3), [0.7, 6e4, 1.1e-5], "float16")
    assert_mean(x, "float16", compiled, axis=0, units=1)
    rows = np.full((2**20 + 3, 2), [1.3e-2, -3.7e-4], "float16")
    total = traced(reductions.row_sum, compiled)(constant(rows))
    assert_close(total, wide(rows).sum(axis=0), "float16", units=1)


@both
def test_long_sums_whose_blocks_do_not_fit(compiled):
    """A block beyond 65,504, an infinity, and numbers that no block may lose."""
    x = np.zeros((3, 2**16), "float16")
    x[0, :9000], x[0, 40_000:49_000] = 2.0**15, -(2.0**15)
    x[0, -1], x[1], x[2, 7] = 1000, 2.0**-24, np.inf
    total = traced(lambda x: reductions.total(x, 1), compiled)(constant(x))
    np.testing.assert_array_equal(host(total), [1000, 2.0**-8, np.inf])


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
    mean = with_signature(
        lambda x: reductions.mean(x, axis), compiled, ([None, None, 3], "float16")
    )
    for shape in [(2, 5, 3), (700, 100, 3), (0, 4, 3), (2, 40_000, 3)]:
        x = draw(shape, "float16", 6e4)
        expected, size = sums.mean(x, axis)
        assert_close(mean(constant(x)), expected, "float16", scale=size)


@both
@formats
@pytest.mark.parametrize("magnitude", [1e-4, 3e4])
def test_means_and_sums_of_rows(magnitude, dtype, compiled):
    rows = draw((5003, 4), dtype, magnitude)
    expected, size = sums.mean(rows, axis=0)
    mean = traced(reductions.row_mean, compiled)(constant(rows))
    assert_close(mean, expected, dtype, scale=size)
    total = traced(reductions.row_sum, compiled)(constant(rows))
    assert_close(total, expected * 5003, dtype, scale=size * 5003, units=1)


@both
@formats
def test_a_sum_that_fits_is_finite_though_its_parts_do_not_fit(dtype, compiled):
    rows = np.tile(
        np.array([[40_000], [30_000], [-60_000]], numpy_dtype(dtype)), (9, 1)
    )
    total = traced(reductions.row_sum, compiled)(constant(rows))
    exact = np.float64(sums.total(rows))
    assert_close(total, [exact], dtype, units=1)
    assert_close(
        traced(reductions.last_axis_sum, compiled)(constant(rows.T)),
        [[exact]],
        dtype,
        units=1,
    )


@both
@formats
def test_sums_along_the_last_axis(dtype, compiled):
    x = draw((5, 7, 3001), dtype, 20.0)
    expected, size = sums.mean(x, axis=-1, keepdims=True)
    found = traced(reductions.last_axis_sum, compiled)(constant(x))
    assert_close(found, expected * 3001, dtype, scale=size * 3001, units=1)


@both
@formats
@pytest.mark.parametrize("count", [3, 65_521, 2**22 - 1])
def test_quotients_by_counts_beyond_float16(count, dtype, compiled):
    """Counts known when the graph is made, and counts that are not."""
    x = np.concatenate([draw(1000, dtype, 6e4), draw(1000, dtype, 1e-3)])
    expected = x.astype("float64") / count
    quotient = traced(reductions.over_count, compiled)
    assert_close(quotient(x, constant(count, "int32")), expected, dtype)
    assert_close(quotient(x, count), expected, dtype)


@functools.cache
def moments_of(axis, keepdims, compiled):
    return traced(lambda x: variance.moments(x, axis, keepdims), compiled)


def assert_moments(x, dtype, compiled, axis=None, keepdims=False):
    mean, spread = moments_of(axis, keepdims, compiled)(constant(x))
    expected, size = sums.mean(x, axis, keepdims)
    assert_close(mean, expected, dtype, scale=size)
    exact = np.var(wide(x), axis=axis, keepdims=keepdims) if x.size else expected
    assert_close(spread, exact, dtype, units=3)


@both
@formats
@pytest.mark.parametrize("count", [1, 3, 2**16 + 1])
def test_moments_of_all_magnitudes(count, dtype, compiled):
    x = np.stack([draw(count, dtype, m, seed=count) for m in MAGNITUDES], axis=1)
    assert_moments(x, dtype, compiled, axis=0)


@both
@pytest.mark.parametrize("axis", [None, -1, (1, 2), (3, 0, 1), ()])
def test_moments_along_any_axes(axis, compiled):
    x = draw((4, 6, 5, 3), "float16", 100.0)
    assert_moments(x, "float16", compiled, axis=axis, keepdims=axis == -1)


@both
def test_moments_of_four_million_of_constants_of_one_peak_and_of_nothing(compiled):
    assert_moments(draw(2**22, "float16", 5.0), "float16", compiled)
    far = np.tile(np.array([60_000, 60_032, 59_936], "float16"), 11)
    assert_moments(far, "float16", compiled)
    peak = np.full((2**17,), 2.0**-10, "float16")
    peak[5] = 1
    assert_moments(peak, "float16", compiled)
    for empty in [(0,), (0, 3)]:
        assert_moments(np.zeros(empty, "float16"), "float16", compiled, axis=0)
    for number in [0.0, 0.1, -6e4, 3e-7]:
        x = np.full((7, 2), number, "float16")
        mean, spread = moments_of(0, False, compiled)(constant(x))
        assert (host(mean) == x[0]).all() and (host(spread) == 0).all()


@both
def test_a_norm_of_many_equal_numbers(compiled):
    parts = [np.full((2**21,), 0.1, "float16"), np.full((3, 5), -0.1, "float16")]

    def norm(*parts):
        return norms.euclidean(parts).rounded("float16")

    exact = np.sqrt(sum((wide(part) ** 2).sum() for part in parts))
    assert_close(traced(norm, compiled)(*parts), exact, "float16")
