"""What is read off, and done to, the bits of 16-bit floats."""

import keras
import numpy as np
import pytest

from keras16 import hardware
from keras16.numerics import bits
from tests.close import assert_close, host, numpy_dtype, wide
from tests.traced import both, constant, formats, traced, with_signature


def every(dtype):
    """All 2**16 numbers of a format, infinities and NaN among them."""
    return np.arange(2**16, dtype="uint16").view(numpy_dtype(dtype))


def finite(dtype):
    """All finite numbers of a format."""
    numbers = every(dtype)
    return numbers[np.isfinite(numbers.astype("float32"))]


POWERS = {
    dtype: lambda exponent, dtype=dtype: bits.power_of_two(exponent, dtype)
    for dtype in bits.FORMATS
}


@both
@formats
def test_powers_of_two_are_exact_and_clamped_to_normal_numbers(dtype, compiled):
    form = bits.FORMATS[dtype]
    exponents = np.arange(-300, 300, dtype="int32")
    powers = traced(POWERS[dtype], compiled)(constant(exponents))
    expected = 2.0 ** np.clip(exponents, 1 - form.bias, form.bias)
    assert_close(powers, expected, dtype, units=0)


@both
@formats
def test_a_scale_brings_every_number_to_about_one(dtype, compiled):
    numbers = np.abs(finite(dtype))
    scale = host(traced(bits.scale_to_one, compiled)(constant(numbers)))
    scaled = scale.astype("float64") * numbers.astype("float64")
    form = bits.FORMATS[dtype]
    normal = numbers.astype("float64") >= form.smallest_normal
    assert np.all(scaled[normal] >= 0.5)
    # The topmost numbers want a scale that would be subnormal.
    top = numbers.astype("float64") >= 2.0**form.bias
    assert np.all(scaled[~top] < 2) and np.all(scaled[top] < 4)
    product = (scale * numbers).astype("float64")  # and multiplying is exact
    np.testing.assert_array_equal(product, scaled)


@both
@formats
def test_zero_infinity_and_nan_have_a_finite_scale(dtype, compiled):
    numbers = np.array([0, np.inf, np.nan], numpy_dtype(dtype))
    scale = host(traced(bits.scale_to_one, compiled)(constant(numbers)))
    assert np.all(np.isfinite(scale.astype("float64")) & (scale.astype("float64") > 0))


@both
@formats
def test_times_a_power_of_two_over_the_whole_range(dtype, compiled):
    """Powers beyond the format included: 1.5 x 2**-24 times 2**39 is 49,152."""
    random = np.random.default_rng(2)
    normal = finite(dtype)
    normal = normal[np.abs(normal) >= bits.FORMATS[dtype].smallest_normal]
    numbers = random.choice(normal, 4000)
    reach = 40 if dtype == "float16" else 270
    exponents = random.integers(-reach, reach, 4000).astype("int32")
    with np.errstate(over="ignore", under="ignore"):
        expected = np.ldexp(numbers.astype("float64"), exponents)
    product = traced(bits.times_power_of_two, compiled)(
        constant(numbers), constant(exponents)
    )
    if dtype == "bfloat16":  # whose subnormal numbers kernels may flush to 0
        expected = np.where(np.abs(expected) < 2.0**-126, 0, expected)
        product = np.where(np.abs(host(product)) < 2.0**-126, 0, host(product))
    assert_close(product, expected, dtype, units=1)


@both
def test_times_a_power_of_two_of_subnormal_numbers(compiled):
    numbers = np.array([2.0**-24, 3 * 2.0**-24, -(2.0**-15)], "float16")
    exponents = np.array([39, 38, 30], "int32")
    product = traced(bits.times_power_of_two, compiled)(
        constant(numbers), constant(exponents)
    )
    expected = np.ldexp(numbers.astype("float64"), exponents)
    assert_close(product, expected, "float16", units=0)


@both
def test_bit_length_is_that_of_python(compiled):
    powers = [2**k + d for k in range(31) for d in (-1, 0, 1)] + [2**31 - 1]
    numbers = np.array(powers, "int32")
    lengths = traced(bits.bit_length, compiled)(constant(numbers))
    assert keras.backend.standardize_dtype(lengths.dtype) == "int32"
    np.testing.assert_array_equal(lengths, [int(n).bit_length() for n in numbers])


@both
@formats
def test_argmax_is_that_of_numpy(dtype, compiled):
    rows = np.random.default_rng(4).choice(finite(dtype), (500, 7))
    rows[:100, 3:] = rows[:100, :4]  # ties: the first one counts
    rows[100:200] = -np.abs(rows[100:200])
    rows[200] = np.array([-0.0, 0.0, -0.0, 0.0, -1, -2, -3])
    rows[201] = np.array([-np.inf] * 7)
    rows[202] = np.array([1, np.inf, 2, np.inf, 3, 4, 5])
    found = traced(bits.argmax, compiled)(constant(rows))
    assert keras.backend.standardize_dtype(found.dtype) == "int32"
    np.testing.assert_array_equal(found, rows.astype("float64").argmax(axis=-1))


@both
@formats
def test_argmax_takes_nan_for_the_largest_as_numpy_does(dtype, compiled):
    rows = np.array([[1, np.nan, np.inf], [np.nan, 0, np.nan]], numpy_dtype(dtype))
    found = traced(bits.argmax, compiled)(constant(rows))
    np.testing.assert_array_equal(found, rows.astype("float64").argmax(axis=-1))


def products():
    """Three rows of numbers, and the first times the second, less the third."""
    rows = np.random.default_rng(6).uniform(1, 2, (3, 4096)).astype("float16")
    a, b, c = rows
    return rows, (wide(a * b) - wide(c)).astype("float16")


@both
def test_a_product_is_rounded_before_it_is_added_to(compiled):
    rows, expected = products()
    found = traced(lambda a, b, c: bits.rounded(a * b) - c, compiled)(*rows)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.skipif(
    not hardware.native_float16(),
    reason="XLA fuses product and sum only where the CPU has float16 arithmetic",
)
def test_xla_keeps_products_wider_that_are_not_rounded():
    rows, expected = products()
    found = traced(lambda a, b, c: a * b - c, True)(*rows)
    assert np.mean(host(found) != expected) > 0.05


@both
@formats
def test_rounding_keeps_every_number(dtype, compiled):
    numbers = every(dtype)
    kept = host(traced(bits.rounded, compiled)(constant(numbers)))
    is_number = ~np.isnan(numbers.astype("float32"))
    same = kept.view("uint16") == numbers.view("uint16")
    assert np.all(same[is_number])
    assert np.all(np.isnan(kept[~is_number].astype("float32")))


@both
def test_bits_of_a_tensor_of_unknown_length(compiled):
    raw = with_signature(bits.as_bits, compiled, ([None], "float16"))
    numbers = every("float16")
    np.testing.assert_array_equal(raw(constant(numbers)), np.arange(2**16))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_numbers_of_the_host_are_rounded_once(dtype):
    numbers = [0.1, 1e-3, -60_001.0]
    assert_close(bits.host_cast(numbers, dtype), numbers, dtype, units=0.5)
