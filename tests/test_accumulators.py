"""Sums in integer words: exact, whatever is added and however often."""

from fractions import Fraction

import numpy as np
import pytest

from keras16.numerics import accumulators
from tests.close import assert_close, host, numpy_dtype
from tests.reference import sums
from tests.traced import both, constant, formats, traced, with_signature

WORDS = ([accumulators.WORDS], "int32")
LARGEST_COUNT = 2**31 - 1


def every_finite(dtype):
    """Every finite number of a format; of bfloat16 those that are kept exactly."""
    every = np.arange(2**16, dtype="uint16").view(numpy_dtype(dtype))
    with np.errstate(invalid="ignore"):  # NaN is among them
        values = every.astype("float64")
    values[~(np.abs(values) < 2.0**44)] = np.pi  # which no format holds
    return every[values * 2.0**24 == np.rint(values * 2.0**24)]


def draw(count, dtype, seed=0, exponents=(-14, 15)):
    """Numbers of either sign and of every magnitude between two powers of two."""
    random = np.random.default_rng(seed)
    magnitude = 2.0 ** random.uniform(*exponents, count)
    return (magnitude * random.choice([-1, 1], count)).astype(numpy_dtype(dtype))


def fraction_of(words):
    """The value that words hold, with Python's integers."""
    words = [int(word) for word in np.asarray(words)]
    assert words[-1] == 0, "not finite"
    units = sum(word << (14 * place) for place, word in enumerate(words[:-1]))
    return Fraction(units, 2**24)


def total_of(values, compiled):
    return traced(accumulators.total, compiled)(constant(values))


@both
@formats
def test_every_finite_number_is_held_exactly(dtype, compiled):
    values = every_finite(dtype)
    digits = host(traced(accumulators._digits, compiled)(constant(values)))
    places = 2.0 ** (14 * np.arange(accumulators.DIGITS) - 24)
    assert not digits[:, -1].any()
    np.testing.assert_array_equal(digits[:, :-1] @ places, values.astype("float64"))


@both
@formats
@pytest.mark.parametrize("count", [2**16 + 1, 2**17])
def test_a_sum_is_exact_whatever_its_length(count, dtype, compiled):
    values = draw(
        count, dtype, exponents=(-14, 15) if dtype == "float16" else (-16, 43)
    )
    assert fraction_of(total_of(values, compiled)) == sums.exact(values)


@both
def test_the_largest_numbers_and_the_smallest_add_up(compiled):
    values = np.repeat(np.array([65504, -(2.0**-24)], "float16"), 2**16)
    with np.errstate(over="ignore"):
        assert np.isinf(values[0] + values[0])  # float16 itself ends at once
    assert fraction_of(total_of(values, compiled)) == sums.exact(values)
    assert fraction_of(total_of(-values, compiled)) == -sums.exact(values)


@both
@formats
def test_batches_of_unknown_length_add_up(dtype, compiled):
    add = with_signature(accumulators.add, compiled, WORDS, ([None], dtype))
    batches = [draw(count, dtype, seed=count) for count in (0, 1, 31, 1000, 70_000)]
    words = constant(accumulators.zero())
    for batch in batches:
        words = add(words, constant(batch))
    assert fraction_of(words) == sums.exact(np.concatenate(batches))


@both
@pytest.mark.parametrize("shape", [(), (1,), (3, 4, 5), (0,), (2, 0)])
def test_any_shape_is_summed(shape, compiled):
    values = np.full(shape, -0.1, "float16")
    assert fraction_of(total_of(values, compiled)) == sums.exact(values)


@both
@formats
def test_what_is_not_finite_gives_nan_for_ever(dtype, compiled):
    add = traced(accumulators.add, compiled)
    three = accumulators.add_count(accumulators.zero(), 3)
    for bad in (np.nan, np.inf, -np.inf):
        values = np.array([1, bad, 2], numpy_dtype(dtype))
        words = add(constant(accumulators.zero()), constant(values))
        words = add(words, constant(np.zeros(3, numpy_dtype(dtype))))
        assert np.isnan(accumulators.to_float(words))
        assert_close(divided(words, three, dtype)(compiled), np.nan, dtype)


def test_many_batches_that_are_not_finite_do_not_wrap_around():
    words = accumulators.total(constant(np.full(2**17, np.nan, "float16")))
    assert int(words[-1]) == 1


@both
def test_beyond_its_range_bfloat16_counts_as_not_finite(compiled):
    below = np.array(2.0**44 * (1 - 2.0**-8), numpy_dtype("bfloat16"))
    assert accumulators.to_float(total_of(below, compiled)) == float(below)
    beyond = np.array(2.0**44, numpy_dtype("bfloat16"))
    assert np.isnan(accumulators.to_float(total_of(beyond, compiled)))


@both
def test_below_its_range_bfloat16_is_cut_towards_zero(compiled):
    tiny = np.array([2.0**-25, -(2.0**-30), 1.5 * 2.0**-24], numpy_dtype("bfloat16"))
    held = accumulators.to_float(total_of(tiny, compiled))
    expected = sum(np.trunc(tiny.astype("float64") * 2.0**24)) / 2.0**24
    assert held == expected


@both
@formats
def test_a_multiple_is_exact_up_to_the_largest_count(dtype, compiled):
    multiple = traced(accumulators.add_multiple, compiled)
    reach = (-24, 15) if dtype == "float16" else (-24, 43)
    values = draw(12, dtype, 3, reach)
    counts = [0, 1, 2**14, 2**14 - 1, 2**28, 2**30 + 12345, LARGEST_COUNT]
    for value in values:
        for count in counts:
            words = multiple(
                constant(accumulators.zero()),
                constant(value),
                constant(count, "int32"),
            )
            exact = sums.exact(cut(value))
            assert fraction_of(words) == exact * count, (value, count)


def cut(value):
    """A number as it is held: bits below 2**-24 are cut."""
    return np.trunc(np.float64(value) * 2.0**24) / 2.0**24


@both
def test_multiples_and_counts_add_up_over_an_epoch(compiled):
    """As the loss tracker does: the mean of a batch times the size of the batch."""
    multiple = traced(accumulators.add_multiple, compiled)
    counted = traced(accumulators.add_count, compiled)
    random = np.random.default_rng(5)
    means = random.uniform(-3e4, 6e4, 200).astype("float16")
    sizes = random.integers(1, 2**28, 200)
    total = count = constant(accumulators.zero())
    for mean, size in zip(means, sizes, strict=True):
        size = constant(size, "int32")
        total = multiple(total, constant(mean), size)
        count = counted(count, size)
    pairs = zip(means, sizes, strict=True)
    exact = sum(sums.exact(mean) * int(size) for mean, size in pairs)
    assert fraction_of(total) == exact
    assert fraction_of(count) == int(sizes.sum())
    assert accumulators.to_float(total) == float(exact)


@both
@pytest.mark.parametrize("count", [0, 1, 2048, 2049, 65505, 10**9, LARGEST_COUNT])
def test_counts_are_exact(count, compiled):
    words = traced(accumulators.add_count, compiled)(
        constant(accumulators.zero()), constant(count, "int32")
    )
    assert fraction_of(words) == count


def divided(numerator, denominator, dtype):
    """The quotient of two sums, as a function of whether XLA compiles it."""

    def quotient(compiled):
        ratio = traced(RATIOS[dtype], compiled)
        return ratio(constant(numerator), constant(denominator))

    return quotient


RATIOS = {
    dtype: lambda top, bottom, dtype=dtype: accumulators.ratio(top, bottom, dtype)
    for dtype in ("float16", "bfloat16")
}


def words_of(fraction):
    """The words that hold a multiple of 2**-24, carried as `add` leaves them."""
    units = int(fraction * 2**24)
    assert Fraction(units, 2**24) == fraction
    words = [(units >> (14 * place)) & 0x3FFF for place in range(6)]
    return np.array([*words, units >> 84, 0], "int32")


@both
@formats
def test_quotients_are_within_one_unit(dtype, compiled):
    random = np.random.default_rng(11)
    for _ in range(150):
        top = int(2.0 ** random.uniform(0, 85)) * int(random.choice([-1, 1]))
        bottom = int(2.0 ** random.uniform(0, 85))
        expected = float(Fraction(top, bottom))
        quotient = divided(
            words_of(Fraction(top, 2**24)), words_of(Fraction(bottom, 2**24)), dtype
        )
        assert_close(quotient(compiled), expected, dtype, units=1)


@both
@formats
def test_quotients_at_the_ends_of_the_range(dtype, compiled):
    one, tiny, huge = Fraction(1), Fraction(1, 2**24), Fraction(2**60)
    most = Fraction(65504)
    for top, bottom in [
        (tiny, one),
        (tiny * 3, one * 7),
        (most, one),
        (-most * 60_000, one * 60_000),
        (huge, huge),
        (huge, tiny),
        (tiny, huge),
        (Fraction(0), one),
        (one * (2**31 - 1), one * (2**31 - 1)),
        (one * 9778, one * 10_000),
    ]:
        expected = float(top / bottom)
        quotient = divided(words_of(top), words_of(bottom), dtype)(compiled)
        assert_close(quotient, expected, dtype, units=1)


@both
@formats
def test_a_quotient_by_no_samples_is_zero_as_in_keras(dtype, compiled):
    zero = accumulators.zero()
    assert_close(divided(zero, zero, dtype)(compiled), 0.0, dtype)
    one = accumulators.add_count(zero, 1)
    assert_close(divided(one, zero, dtype)(compiled), 0.0, dtype)
