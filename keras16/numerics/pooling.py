"""Maxima of windows whose gradient is a comparison, and no search and scatter.

XLA on a CPU finds where a maximum was with four index tensors as large as the input
and writes the gradient there number by number (docs/performance.md). Where windows
don't overlap, each input has one window: it gets the gradient if it is that window's
first maximum.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from keras16 import backend
from keras16.numerics import once
from keras16.numerics.derivatives import by_hand


def max_pool(x: Any, size: Sequence[int]) -> Any:
    """The maxima of windows that lie side by side.

    Of equal numbers the first one, row by row, gets the gradient, as in TensorFlow.

    Args:
        x: [batch, rows, columns, channels] 16-bit, rows and columns whole multiples
            of the windows'.
        size: (rows, columns) of a window.

    Returns:
        [batch, rows / size[0], columns / size[1], channels] of the same dtype.
    """

    @by_hand
    def pooled(x: Any) -> Any:
        maxima = backend.one_pass(_maxima, tuple(size))(x)

        def backward(gradient: Any) -> Any:
            return backend.one_pass(_to_first, tuple(size))(x, maxima, gradient)

        return maxima, backward

    return pooled(x)


def _maxima(size: Sequence[int], x: Any) -> Any:
    return functools.reduce(ops.maximum, _members(_in_windows(x, size), size))


def _in_windows(x: Any, size: Sequence[int]) -> Any:
    """[batch, window rows, its rows, window columns, its columns, channels]."""
    batch, rows, columns, channels = ops.shape(x)
    across, along = size
    shape = (batch, rows // across, across, columns // along, along, channels)
    return ops.reshape(x, shape)


def _members(windows: Any, size: Sequence[int]) -> list[Any]:
    """What the windows hold at each of their places, row by row."""
    places = ((row, column) for row in range(size[0]) for column in range(size[1]))
    return [windows[:, :, row, :, column] for row, column in places]


def _to_first(size: Sequence[int], x: Any, maxima: Any, gradient: Any) -> Any:
    """The gradient at the first maximum of each window, 0 elsewhere."""
    windows = _in_windows(x, size)
    number = size[0] * size[1]
    first = ops.full_like(maxima, number - 1)
    for place, member in reversed(list(enumerate(_members(windows, size)[:-1]))):
        first = ops.where(ops.equal(member, maxima), ops.full_like(first, place), first)
    places = np.arange(number, dtype="float16").reshape(1, 1, size[0], 1, size[1], 1)
    here = ops.equal(_spread(once.computed(first)), ops.cast(places, first.dtype))
    spread = ops.where(here, _spread(once.computed(gradient)), ops.zeros_like(windows))
    return ops.reshape(spread, ops.shape(x))


def _spread(x: Any) -> Any:
    """[batch, rows, columns, channels] -> the axes of windows, of length 1."""
    return ops.expand_dims(x, (2, 4))
