"""The largest and smallest of 16-bit numbers, found among whole numbers."""

import numpy as np
import pytest

from keras16.numerics import bits, extremes
from tests.close import host
from tests.traced import both, constant, traced

DTYPES = pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
ROWS = (
    [1, -3, 0, -0.0, 6e4, -6e4, 1e-7, -1e-7],
    [2, -1, -0.0, 1e-7, np.inf, -np.inf, -1e-7, -np.inf],
    [1.5, -2, 0, 0, 3, 3, 0, -5],
)


def rows_of(dtype):
    return bits.host_cast(np.array(ROWS), dtype)


@both
@DTYPES
def test_of_columns_and_rows(dtype, compiled):
    x = rows_of(dtype)
    wide = x.astype("float64")
    function = traced(extremes.of_columns, compiled)
    for found, exact in zip(
        function(constant(x)), (wide.max(0), wide.min(0)), strict=True
    ):
        assert (host(found) == exact).all()
    function = traced(lambda x: extremes.along(x, (0, 1)), compiled)
    highest, lowest = function(constant(x))
    assert host(highest).tolist() == [[np.inf]]
    assert host(lowest).tolist() == [[-np.inf]]


@both
@DTYPES
def test_magnitude(dtype, compiled):
    x = rows_of(dtype)
    function = traced(lambda x: extremes.magnitude(x, -1, keepdims=True), compiled)
    exact = np.abs(x.astype("float64")).max(-1, keepdims=True)
    assert (host(function(constant(x))) == exact).all()
    assert host(traced(extremes.magnitude, compiled)(constant(x))) == np.inf


@both
@DTYPES
@pytest.mark.parametrize("sign", [1, -1])
def test_nan_is_seen(dtype, compiled, sign):
    """By the magnitude, and at the end of the order where its sign puts it."""
    x = rows_of(dtype)
    x.view("int16")[2, 3] = 0x7FFF if sign > 0 else -1
    assert np.isnan(host(traced(extremes.magnitude, compiled)(constant(x))))
    highest, lowest = traced(extremes.of_columns, compiled)(constant(x))
    end = highest if sign > 0 else lowest
    assert np.isnan(host(end)).tolist() == [False] * 3 + [True] + [False] * 4


@DTYPES
def test_every_number_has_a_key_of_its_own(dtype):
    """And comes back from it; -0 comes back as 0."""
    raw = np.arange(-(2**15), 2**15).astype("int16")
    x = raw.view(bits.host_cast(0.0, dtype).dtype)
    with np.errstate(invalid="ignore"):  # NaN that signal
        x = x[np.isfinite(x.astype("float64"))]
    keys = host(bits.key(constant(x)))
    order = np.argsort(x.astype("float64"), kind="stable")
    assert (np.diff(keys[order]) >= 0).all()
    assert len(set(keys.tolist())) == len(x) - 1
    assert (host(bits.of_key(constant(keys.astype("int16")), dtype)) == host(x)).all()
