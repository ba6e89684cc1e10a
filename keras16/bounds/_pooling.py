"""Pooling: a maximum follows its largest number, an average is linear."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from keras import layers

from keras16.bounds._step import Array, Step, combined, distance

Place = tuple[Any, ...]
MAXIMA = (layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D)
AVERAGES = (layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D)
GLOBAL_AVERAGES = (
    layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D,
    layers.GlobalAveragePooling3D,
)


class _Windows:
    """The windows of a pooling layer, channels last: one place of each at a time."""

    def __init__(self, layer: Any, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.sizes = tuple(layer.pool_size)
        self.strides = tuple(layer.strides)
        lengths = shape[1:-1]
        each = list(zip(lengths, self.sizes, self.strides, strict=True))
        if layer.padding == "same":
            self.counts = tuple(-(-length // stride) for length, _, stride in each)
        else:
            self.counts = tuple((length - k) // s + 1 for length, k, s in each)
        whole = [
            max((n - 1) * s + k - length, 0)
            for n, (length, k, s) in zip(self.counts, each, strict=True)
        ]
        if layer.padding != "same":
            whole = [0] * len(whole)
        # TensorFlow's and JAX's "same": the odd one comes behind.
        self.before = tuple(one // 2 for one in whole)
        self.behind = tuple(one - one // 2 for one in whole)

    def padded(self, x: Array, value: float) -> Array:
        """[..., examples, places, channels], value where there is no number."""
        leading = x.ndim - len(self.shape)
        reach = [(0, 0)] * (leading + 1)
        reach += [*zip(self.before, self.behind, strict=True), (0, 0)]
        return np.pad(x, reach, constant_values=value)

    def cut(self, x: Array) -> Array:
        """The inverse."""
        inner: Place = tuple(
            slice(before, before + length)
            for before, length in zip(self.before, self.shape[1:-1], strict=True)
        )
        return x[(..., *inner, slice(None))]

    def places(self) -> Iterator[Place]:
        """Where the first numbers of all windows lie, the second ones, and so on."""
        for offsets in itertools.product(*(range(size) for size in self.sizes)):
            inner: Place = tuple(
                slice(offset, offset + (count - 1) * stride + 1, stride)
                for offset, count, stride in zip(
                    offsets, self.counts, self.strides, strict=True
                )
            )
            yield (Ellipsis, *inner, slice(None))


def step(layer: Any, x: Array, error: Array, y: Array) -> Step | None:
    """The step of a pooling layer; None of one that isn't known.

    Args:
        layer: Of Keras or keras16.
        x: [n, ..., channels] float64, what it was given.
        error: The bound on that.
        y: What it gave.
    """
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return None
    if isinstance(layer, GLOBAL_AVERAGES):
        return _global_average(x, error, y)
    if isinstance(layer, MAXIMA):
        return _maximum(_Windows(layer, x.shape), x, error)
    if isinstance(layer, AVERAGES):
        return _average(_Windows(layer, x.shape), x, error, y)
    return None


def _maximum(windows: _Windows, x: Array, error: Array) -> Step:
    """It is exact. Its error is that of its largest number, if that is the largest.

    Any other may be as large as x + error: y - y* differs from the error of the
    largest by at most what this is above the largest's x - error.
    """
    values = windows.padded(x, -math.inf)
    errors = windows.padded(error, 0.0)
    first, *others = windows.places()
    highest, its_error = values[first], errors[first]
    chosen = np.zeros(highest.shape, "int16")
    for number, place in enumerate(others, start=1):
        better = values[place] > highest
        highest = np.where(better, values[place], highest)
        its_error = np.where(better, errors[place], its_error)
        chosen = np.where(better, number, chosen)
    overtaken = np.zeros_like(highest)
    most = np.zeros_like(highest)
    for number, place in enumerate(windows.places()):
        reach = values[place] + errors[place] - (highest - its_error)
        overtaken = np.maximum(overtaken, np.where(chosen == number, 0.0, reach))
        most = np.maximum(most, errors[place])
    pull, terms = _to_chosen(windows, chosen), math.prod(windows.sizes)
    stepped = combined(its_error, np.zeros_like(overtaken), pull, terms)
    # max(x) - max(x*) is at most the largest |x - x*|.
    return dataclasses.replace(
        stepped, error=np.minimum(its_error + overtaken, most), drop=overtaken
    )


def _to_chosen(windows: _Windows, chosen: Any) -> Callable[[Array], tuple[Array]]:
    def pull(slopes: Array) -> tuple[Array]:
        shape = (slopes.shape[0], *windows.shape)
        back = windows.padded(np.zeros(shape, "float32"), 0.0)
        for number, place in enumerate(windows.places()):
            back[place] += np.where(chosen == number, slopes, 0)
        return (windows.cut(back),)

    return pull


def _average(windows: _Windows, x: Array, error: Array, y: Array) -> Step:
    count = _sums(windows, np.ones((1, *x.shape[1:])))
    moved, size = _sums(windows, error) / count, _sums(windows, np.abs(x)) / count
    local = distance(y, _sums(windows, x) / count, size)
    share = (1 / count).astype("float32")

    def pull(slopes: Array) -> tuple[Array]:
        slopes = slopes * share
        back = windows.padded(
            np.zeros((slopes.shape[0], *windows.shape), "float32"), 0.0
        )
        for place in windows.places():
            back[place] += slopes
        return (windows.cut(back),)

    return combined(moved, local, pull, math.prod(windows.sizes))


def _sums(windows: _Windows, x: Array) -> Array:
    padded = windows.padded(x, 0.0)
    total: Array = sum(padded[place] for place in windows.places())  # type: ignore
    return total


def _global_average(x: Array, error: Array, y: Array) -> Step:
    axes = tuple(range(1, x.ndim - 1))
    count = math.prod(x.shape[1:-1])

    def mean(values: Array) -> Array:
        return np.mean(values, axis=axes).reshape(y.shape)

    def pull(slopes: Array) -> tuple[Array]:
        narrow = slopes.reshape(slopes.shape[0], len(x), *[1] * len(axes), x.shape[-1])
        return (np.broadcast_to(narrow / count, (len(slopes), *x.shape)),)

    return combined(mean(error), distance(y, mean(x), mean(np.abs(x))), pull)
