"""Software floating point against float64, over all of float16 and bfloat16."""

import numpy as np
import pytest

from keras16.numerics import softfloat
from tests.close import numpy_dtype
from tests.traced import (
    both,
    constant,
    formats,
    of_tensorflow,
    traced,
    with_signature,
)

COUNT = 50_000


def every_kind(dtype, seed):
    """Random bit patterns: subnormals, zeros and the largest numbers included."""
    raw = np.random.default_rng(seed).integers(0, 2**16, 2 * COUNT).astype("uint16")
    x = raw.view(numpy_dtype(dtype))
    with np.errstate(invalid="ignore"):
        x = x[np.isfinite(x.astype("float64"))][: COUNT - 3]
    return np.concatenate([x, np.array([0, -0.0, 1], x.dtype)])


def wide(x):
    return np.asarray(x).astype("float64")


def value(x):
    return wide(x.units) * 2.0 ** wide(x.exponent)


def results(operation, dtype, compiled):
    """What an operation gives for two streams of numbers, and the streams."""
    a, b = every_kind(dtype, 1), every_kind(dtype, 2)

    def both_parts(a, b):
        found = operation(softfloat.of(a), softfloat.of(b))
        return found.units, found.exponent

    units, exponent = traced(both_parts, compiled)(a, b)
    return value(softfloat.SoftFloat(units, exponent)), wide(a), wide(b)


@both
@formats
def test_sums_are_right_to_2_to_the_minus_27_of_the_larger_addend(dtype, compiled):
    for operation, exact in (
        (lambda a, b: a + b, np.add),
        (lambda a, b: a - b, np.subtract),
    ):
        found, a, b = results(operation, dtype, compiled)
        largest = np.maximum(np.abs(a), np.abs(b))
        assert (np.abs(found - exact(a, b)) <= 2.0**-27 * largest).all()


@both
@formats
def test_products_of_16_bit_numbers_are_exact(dtype, compiled):
    found, a, b = results(lambda a, b: a * b, dtype, compiled)
    assert (found == a * b).all()


@both
@formats
def test_quotients_are_right_to_2_to_the_minus_10_and_roots_to_14(dtype, compiled):
    found, a, b = results(lambda a, b: a / b, dtype, compiled)
    exact = np.divide(a, b, out=np.zeros_like(a), where=b != 0)
    assert (np.abs(found - exact) <= 2.0**-10 * np.abs(exact)).all()
    found, a, _ = results(lambda a, b: abs(a).root(), dtype, compiled)
    exact = np.sqrt(np.abs(a))
    assert (np.abs(found - exact) <= 2.0**-14 * exact).all()
    found, a, _ = results(lambda a, b: (-abs(a)).root(), dtype, compiled)
    assert (found == 0).all()


@of_tensorflow("the names of its operations")
def test_roots_are_of_integers():
    """LLVM takes roots of float16 one by one, which doubles the time of an update."""
    function = with_signature(
        lambda x: softfloat.of(x).root().rounded("float16"), False, ((8,), "float16")
    )
    kinds = {
        node.type for node in function.get_concrete_function().graph.get_operations()
    }
    assert "Mul" in kinds and not kinds & {"Sqrt", "Rsqrt", "RealDiv", "Pow", "Exp"}


@both
def test_quotients_of_a_like_size_are_right_within_their_range(compiled):
    found, a, b = results(lambda a, b: a.over(b), "float16", compiled)
    exact = np.divide(a, b, out=np.zeros_like(a), where=b != 0)
    size = np.abs(exact)
    within = (size >= 2.0**-19) & (size < 2.0**8)
    off = np.abs(found - exact)
    assert within.sum() > COUNT / 3
    assert (off[within] <= 2.0**-10 * size[within]).all()
    assert (off[size < 2.0**-19] <= 2.0**-19).all()
    beyond = np.abs(found[size >= 2.0**8])
    assert (beyond >= 2.0**7).all() and (beyond <= 2.0**9).all()


@both
@formats
def test_rounding_is_that_of_the_format(dtype, compiled):
    """To nearest and then even, subnormals and overflow included."""
    if dtype == "bfloat16":
        # Ties of a sum with more than 29 bits are not seen: those are left out.
        a = every_kind(dtype, 1)
        found = traced(lambda a: softfloat.of(a).rounded(dtype), compiled)(a)
        np.testing.assert_array_equal(wide(found), wide(a))
        return
    a, b = every_kind(dtype, 1), every_kind(dtype, 2)

    def add(a, b):
        return (softfloat.of(a) + softfloat.of(b)).rounded(dtype)

    found = traced(add, compiled)(a, b)
    with np.errstate(over="ignore"):
        expected = (wide(a) + wide(b)).astype("float16")
    np.testing.assert_array_equal(wide(found), wide(expected))


@both
def test_infinity_and_nan_come_out_of_everything_as_nan(compiled):
    x = np.array([np.inf, -np.inf, np.nan, 65504], "float16")

    def some(x):
        x, one = softfloat.of(x), softfloat.number(1.0)
        found = (
            x + one, one - x, x * one, -x, x - x, x + x, x * x, x / x, x / one, one / x,
            x.over(x), x.over(one), one.over(x), abs(x).root(), x.normal(),
            one.with_sign_of(x), softfloat.hypot(x, one),
        )  # fmt: skip
        return [y.rounded("float16") for y in found]

    for place, found in enumerate(traced(some, compiled)(x)):
        assert np.isnan(wide(found))[:3].all(), place
        assert not np.isnan(wide(found)[3]), place


@pytest.mark.parametrize("x", [0.0, 1.0, -1e-8, 0.1, 3e38, 1 - 2**-40, 2.0**-140])
def test_numbers_of_the_host_have_29_bits(x):
    found = softfloat.number(x)
    assert abs(found.units) < 2**29
    assert abs(found.units * 2.0**found.exponent - x) <= 2.0**-29 * abs(x)


def test_the_larger_and_the_positive_part():
    a, b = every_kind("float16", 1), every_kind("float16", 2)
    x, y = softfloat.of(constant(a)), softfloat.of(constant(b))
    np.testing.assert_array_equal(
        value(softfloat.maximum(x, y)), np.maximum(wide(a), wide(b))
    )
    np.testing.assert_array_equal(
        value(softfloat.positive_part(x)), np.maximum(wide(a), 0)
    )
    signed = softfloat.number(2.0).with_sign_of(x)
    np.testing.assert_array_equal(value(signed), 2 * np.sign(wide(a)))


def test_the_highest_place_is_that_of_the_largest_number():
    for numbers, place in (([0, 0], 0), ([0, 2.0**-24], -24), ([-1000, 3], 9)):
        x = softfloat.of(constant(np.array(numbers, "float16")))
        assert int(softfloat.highest_place(x)) == place
