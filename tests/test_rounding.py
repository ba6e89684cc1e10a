"""Sums and their errors, roots of sums of squares."""

import numpy as np
import pytest

from keras16 import hardware
from keras16.numerics import norms, rounding
from tests.close import assert_close, numpy_dtype, wide
from tests.traced import both, constant, formats, traced

COUNT = 20_000
LARGEST = 65_024  # which bfloat16 has too


def draw(dtype, seed, exponents=(-24, 16)):
    """Numbers of either sign over all exponents."""
    random = np.random.default_rng(seed)
    x = 2.0 ** random.uniform(*exponents, COUNT) * random.choice([-1, 1], COUNT)
    return np.clip(x, -LARGEST, LARGEST).astype(numpy_dtype(dtype))


def pairs(dtype):
    """Pairs of unlike and of like magnitude, and pairs that nearly overflow."""
    a, b = draw(dtype, 0), draw(dtype, 1)
    near = times(a, np.random.default_rng(2).uniform(-2, 2, COUNT))
    top = draw(dtype, 3, (14.5, 16))
    a = np.concatenate([a, a, top, top])
    b = np.concatenate([b, near, -top[::-1], b])
    fits = np.abs(wide(a) + wide(b)) <= LARGEST
    return a[fits], b[fits]


def times(x, factors):
    """Numbers times factors, rounded, none of them infinite."""
    product = np.clip(wide(x) * factors, -LARGEST, LARGEST)
    return product.astype(x.dtype)


def assert_exact(a, b, total, error, dtype):
    exact = wide(a) + wide(b)
    assert_close(total, exact, dtype, units=0.5)
    np.testing.assert_array_equal(wide(total) + wide(error), exact)


@both
@formats
def test_a_sum_and_its_error_are_exact_over_all_exponents(dtype, compiled):
    a, b = pairs(dtype)
    total, error = traced(rounding.two_sum, compiled)(constant(a), constant(b))
    assert_exact(a, b, total, error, dtype)


@both
def test_a_sum_with_a_product_of_the_same_cluster_is_exact(compiled):
    a, k, q, product = products()
    sum_of = traced(lambda a, k, q: rounding.two_sum(a, k * q), compiled)
    total, error = sum_of(a, k, q)
    assert_exact(a, product, total, error, "float16")


@pytest.mark.skipif(
    not hardware.native_float16(),
    reason="XLA fuses product and sum only where the CPU has float16 arithmetic",
)
def test_xla_breaks_a_sum_with_a_product_that_is_not_rounded():
    a, k, q, product = products()
    total = traced(lambda a, k, q: a + k * q, True)(a, k, q)
    assert np.mean(wide(total) != wide(a + product)) > 0.05
    total, _ = traced(lambda a, k, q: rounding.two_sum(a, k * q), True)(a, k, q)
    np.testing.assert_array_equal(wide(total), wide(a + product))


def products():
    """a, k, q and k x q as float16 has it, a within 2**6 of the product."""
    random = np.random.default_rng(7)
    a, k, q = (
        2.0 ** random.uniform(low, high, COUNT) * random.choice([-1, 1], COUNT)
        for low, high in [(-4, 8), (-6, 0), (-4, 6)]
    )
    a, k, q = a.astype("float16"), k.astype("float16"), q.astype("float16")
    return a, k, q, k * q


@both
@formats
def test_hypotenuses_whose_squares_leave_the_range(dtype, compiled):
    a, b = np.abs(draw(dtype, 4)), np.abs(draw(dtype, 5))
    a[:5], b[:5] = [6e4, 0, 2.0**-24, 0, 3e-8], [3e3, 0, 2.0**-24, 1, 6e4]
    found = traced(norms.hypot, compiled)(constant(a), constant(b))
    expected = np.hypot(wide(a), wide(b))
    assert_close(found, expected, dtype)


@both
@formats
def test_a_hypotenuse_is_infinite_only_where_it_must_be(dtype, compiled):
    a = np.array([6e4, 6.5e4, np.inf, 1], numpy_dtype(dtype))
    b = np.array([6e4, 1e3, 1, np.inf], numpy_dtype(dtype))
    expected = np.hypot(wide(a), wide(b))
    found = traced(norms.hypot, compiled)(constant(a), constant(b))
    assert_close(found, expected, dtype)
