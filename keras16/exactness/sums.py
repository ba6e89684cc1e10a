"""Sums, means, moments, and sums by segment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from keras16 import backend
from keras16.exactness._row import LARGEST, Found, Row, found_worst, units_off, wide
from keras16.numerics import reductions, segments, variance

MAGNITUDES = (1e-6, 1e-3, 1.0, 300.0, 6e4)
# Shape, axis: one element, odd lengths, 2**17 and 2**22 elements, inner axes.
SHAPES: tuple[tuple[tuple[int, ...], Any], ...] = (
    ((1,), None),
    ((3, 5), 0),
    ((4097, 3), 0),
    ((1 << 17,), None),
    ((1 << 22,), None),
    ((2, 2048, 16, 3), (1, 2)),
    ((5, 1000), -1),
)
IN_WORDS = "1e-6 to 6e4; 1, 3, 4,097, 2**17, 2**22 elements; inner and outer axes"


def drawn(shape: tuple[int, ...], magnitude: float) -> np.ndarray:
    """Numbers of either sign up to a magnitude, more above 0 than below."""
    random = np.random.default_rng(int(np.prod(shape)))
    return (random.uniform(-0.3, 1, shape) * magnitude).astype("float16")


def equal(shape: tuple[int, ...], magnitude: float) -> np.ndarray:
    """Equal numbers: what float32 rounds one way, addition after addition."""
    return np.full(shape, 0.7 * magnitude, "float16")


def reduced(
    function_of: Callable[[Any], Callable[[Any], Any]],
    errors: Callable[[list[np.ndarray], np.ndarray, Any], float],
    compiled: bool,
) -> Found:
    """The worst error over all shapes and magnitudes.

    Args:
        function_of: From an axis to a function of a tensor.
        errors: Of (results, inputs, axis).
        compiled: Whether XLA compiles it.
    """
    found, functions = [], []
    for shape, axis in SHAPES:
        function = backend.module().Function(function_of(axis), compiled)
        functions.append(function)
        for magnitude in MAGNITUDES:
            for x in (drawn(shape, magnitude), equal(shape, magnitude)):
                found.append(errors(function(x), x, axis))
    return found_worst(found, *functions)


def size(x: np.ndarray, axis: Any) -> tuple[np.ndarray, int]:
    """The sum of magnitudes along an axis, and how many they are."""
    total = np.sum(np.abs(wide(x)), axis=axis)
    return total, x.size // max(np.size(total), 1)


def sum_error(results: list[np.ndarray], x: np.ndarray, axis: Any) -> float:
    """In ulp of the sum of magnitudes, where the sum itself is within the format."""
    exact, (scale, _) = np.sum(wide(x), axis=axis), size(x, axis)
    within = np.abs(exact) < LARGEST
    return units_off(results[0][within], exact[within], scale[within])


def mean_error(results: list[np.ndarray], x: np.ndarray, axis: Any) -> float:
    """In ulp of the mean of magnitudes."""
    scale, count = size(x, axis)
    exact = np.sum(wide(x), axis=axis) / max(count, 1)
    return units_off(results[0], exact, scale / max(count, 1))


def moments_error(results: list[np.ndarray], x: np.ndarray, axis: Any) -> float:
    """Of the mean, as above, and of the variance in its own ulp."""
    variance = units_off(results[1], np.var(wide(x), axis=axis))
    return max(mean_error(results, x, axis), variance)


def segments_error(segment_sum: Callable[..., Any], compiled: bool) -> Found:
    """20,000 rows of every size in 4 segments, one number up to 65,504 among them."""

    def four(values: Any, ids: Any) -> Any:
        return segment_sum(values, ids, 4)

    function = backend.module().Function(four, compiled)
    errors = []
    random = np.random.default_rng(0)
    for scale in (1e-7, 1e-3, 1.0, 3e3):
        values = (random.normal(size=(20_000, 3)) * scale + scale).astype("float16")
        values[0] = 65504, -65504, 2.0**-24
        ids = random.integers(0, 4, 20_000).astype("int32")
        exact = np.zeros((4, 3))
        np.add.at(exact, ids, wide(values))
        errors.append(units_off(function(values, ids)[0], exact))
    return found_worst(errors, function)


def stock_segments(values: Any, ids: Any, count: int) -> Any:
    """What the gradient of a look-up in float16 is by Keras."""
    return ops.segment_sum(values, ids, num_segments=count)


ROWS = (
    Row(
        "sum",
        IN_WORDS,
        "ulp of sum(abs(x))",
        2,
        lambda c: reduced(
            lambda axis: lambda x: reductions.total(x, axis), sum_error, c
        ),
        lambda c: reduced(lambda axis: lambda x: ops.sum(x, axis), sum_error, c),
        "test_reductions.py",
    ),
    Row(
        "mean",
        IN_WORDS,
        "ulp of mean(abs(x))",
        2,
        lambda c: reduced(
            lambda axis: lambda x: reductions.mean(x, axis), mean_error, c
        ),
        lambda c: reduced(lambda axis: lambda x: ops.mean(x, axis), mean_error, c),
        "test_reductions.py",
    ),
    Row(
        "moments",
        IN_WORDS,
        "ulp of mean(abs(x)); of the variance",
        3,
        lambda c: reduced(
            lambda axis: lambda x: variance.moments(x, axis), moments_error, c
        ),
        lambda c: reduced(
            lambda axis: lambda x: ops.moments(x, axis), moments_error, c
        ),
        "test_reductions.py",
    ),
    Row(
        "segment sum",
        "20,000 rows of 1e-7 to 3e3 in 4 segments",
        "ulp",
        0.5,
        lambda c: segments_error(segments.segment_sum, c),
        lambda c: segments_error(stock_segments, c),
        "test_layer_numerics.py",
    ),
)
