"""Simulated formats: rounding bit for bit, and nets in few bits."""

import keras
import ml_dtypes
import numpy as np
import pytest
from test_tolerance import images, net

from keras16 import tolerance
from keras16.errors import UserError
from keras16.tolerance import formats, nets, simulation
from keras16.tolerance.formats import Format

KNOWN = {
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float8_e5m2": ml_dtypes.float8_e5m2,
    "float8_e4m3": ml_dtypes.float8_e4m3fn,
    "e4m3": ml_dtypes.float8_e4m3,
    "e3m4": ml_dtypes.float8_e3m4,
}


def numbers(dtype):
    """Every finite number of a dtype, in float64, rising."""
    width = np.dtype(dtype).itemsize * 8
    bits = np.arange(2**width, dtype=f"uint{width}")
    with np.errstate(invalid="ignore"):  # signalling NaN of bfloat16
        values = bits.view(dtype).astype("float64")
    return np.unique(values[np.isfinite(values)])


def around(values):
    """Numbers, what lies midway between them, and what is a hair to either side."""
    middle = (values[1:] + values[:-1]) / 2
    beyond = values[-1] + (values[-1] - values[-2]) * np.array([0.49, 0.5, 0.51, 1, 9])
    # Of what float32 holds: ml_dtypes rounds wider values to it first.
    with np.errstate(over="ignore"):
        found = np.concatenate([values, middle, beyond, -beyond]).astype("float32")
    signs = (-np.float32(np.inf), np.float32(np.inf))
    hairs = [np.nextafter(found, sign) for sign in signs]
    return np.concatenate([found, *hairs]).astype("float64")


def same_bits(found, wanted):
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(wanted))


@pytest.mark.parametrize("name", KNOWN)
def test_rounding_is_that_of_the_dtype_bit_for_bit(name):
    x = around(numbers(KNOWN[name]))
    with np.errstate(over="ignore"):
        wanted = x.astype("float32").astype(KNOWN[name]).astype("float64")
    found = formats.rounded(x, formats.get(name))
    same_bits(np.abs(found), np.abs(wanted))  # the sign of NaN means nothing
    finite = np.isfinite(wanted)
    same_bits(found[finite], wanted[finite])


@pytest.mark.parametrize("name", KNOWN)
def test_every_float16_rounds_as_the_dtype_does(name):
    x = np.arange(2**16, dtype="uint16").view("float16")
    x = x[np.isfinite(x)].astype("float64")
    with np.errstate(over="ignore"):
        wanted = x.astype("float32").astype(KNOWN[name]).astype("float64")
    np.testing.assert_array_equal(formats.rounded(x, formats.get(name)), wanted)


@pytest.mark.parametrize("exponent", [2, 3, 5, 8])
@pytest.mark.parametrize("mantissa", [1, 4, 23])
def test_any_pair_of_bits_rounds_to_the_nearest_even(exponent, mantissa):
    to = Format("", exponent, mantissa)
    draws = np.random.default_rng(0)
    scale = np.exp2(draws.integers(-130, 127, 300).astype(float))
    x = np.concatenate([draws.normal(size=300) * scale, draws.normal(size=300)])
    for value, found in zip(x, formats.rounded(x, to), strict=True):
        assert found == by_hand(value, to)


def by_hand(value, to):
    """The nearest number in exact integers: value = whole * 2^power."""
    from fractions import Fraction

    exact, power = Fraction(value), to.lowest_exponent - to.mantissa_bits
    while abs(exact) >= Fraction(2) ** (power + to.mantissa_bits + 1):
        power += 1
    whole = round(exact / Fraction(2) ** power)  # Python's rounds ties to even
    found = whole * Fraction(2) ** power
    most = (2**to.exponent_bits - 2) - (2 ** (to.exponent_bits - 1) - 1)
    if abs(found) >= Fraction(2) ** (most + 1):
        return np.copysign(np.inf, value)
    return float(found)


def test_what_is_not_finite_stays_so():
    x = np.array([np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(formats.rounded(x, formats.get("e5m2")), x)
    assert np.isnan(formats.rounded(x, formats.get("float8_e4m3"))).all()


@pytest.mark.parametrize("name", KNOWN)
def test_what_a_format_knows_of_itself(name):
    one, known = formats.get(name), ml_dtypes.finfo(KNOWN[name])
    assert one.largest == float(known.max)
    assert one.bits == known.bits
    assert one.unit_roundoff == float(known.eps) / 2
    assert 2.0**one.lowest_exponent == float(known.smallest_normal)


@pytest.mark.parametrize("name", ["float9", "e1m3", "e9m2", "e5m0", "e5m24", "m5e2"])
def test_what_is_no_format_is_refused(name):
    with pytest.raises(UserError, match="format"):
        formats.get(name)


def test_spacing_is_that_of_numpy():
    x = np.array([0, 1, 1.5, 0.999, 1000, 1e-7, 6e4], "float16")
    found = formats.spacing(x, formats.get("float16"))
    np.testing.assert_array_equal(found, np.spacing(x).astype("float64"))


# Nets


@pytest.mark.parametrize("nested", [False, True])
def test_weights_and_layers_are_rounded(nested):
    model = net(nested=nested)
    twin = simulation.simulated(model, formats.get("float8_e4m3"))
    found = nets.outputs(twin, images())
    small = set(numbers(ml_dtypes.float8_e4m3fn))
    assert set(found.ravel()) <= small
    for variable in twin.weights:
        assert set(variable.numpy().astype("float64").ravel()) <= small
    assert not set(nets.outputs(model, images()).ravel()) <= small


def test_a_rounded_layer_is_float64s_rounded_by_hand():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    x = np.random.default_rng(0).normal(size=(9, 5)).astype("float32")
    to = formats.get("bfloat16")
    kernel, bias = (formats.rounded(v.numpy(), to) for v in model.weights)
    wanted = formats.rounded(x.astype("float64") @ kernel + bias, to)
    found = nets.outputs(simulation.simulated(model, to), x)
    np.testing.assert_array_equal(found, wanted)


def test_the_format_of_float32_changes_nothing():
    model = net()
    twin = simulation.simulated(model, formats.get("e8m23"))
    np.testing.assert_array_equal(*(nets.outputs(m, images()) for m in (model, twin)))


def test_fewer_bits_certify_less():
    several = [formats.get(n) for n in ("float16", "bfloat16", "e5m4", "e5m2", "e2m1")]
    found = tolerance.by_format(net(), images(), several)
    assert [c.kind for c in found] == [one.name for one in several]
    shares = [c.certified_share for c in found]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.95
    assert shares[-1] < 0.5
    assert all(c.certified_disagreements == 0 for c in found)
    errors = [c.delta.mean() for c in found]
    assert errors == sorted(errors)
