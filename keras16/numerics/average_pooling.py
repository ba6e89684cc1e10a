"""Means of windows whose gradient is a depthwise convolution, or a repetition.

TensorFlow's own gradient in float16 takes four to ten times as long as in float32 on a
CPU, and what XLA makes of one as long as that (docs/performance.md).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import ops

from keras16 import backend
from keras16.numerics import bits, depthwise, once
from keras16.numerics.depthwise import Window
from keras16.numerics.derivatives import by_hand


def average_pool(x: Any, window: Window, compiled: bool) -> Any:
    """The means of windows; zeros beyond the edge don't count.

    Args:
        x: [batch, rows, columns, channels] 16-bit; all but the batch known.
        window: Where the windows lie; without dilation.
        compiled: Whether XLA compiles the step, on a CPU.

    Returns:
        [batch, *window.results, channels] of the same dtype; by our kernels rounded
        once, in a compiled step within 4 units in the last place of the mean of the
        magnitudes.
    """
    own = backend.module().own_kernels(x)
    if own is not None:
        return own.means(x, window)

    @by_hand
    def pooled(x: Any) -> Any:
        outputs = _by_places(x, window) if compiled else _by_kernel(x, window)
        channels = x.shape[-1]

        def backward(gradient: Any) -> Any:
            if _lie_side_by_side(window):
                return _repeated(gradient, window, compiled)
            shared, kernel = _shared(gradient, window, channels)
            shared = once.computed(shared) if compiled else shared
            return depthwise.input_gradient(shared, kernel, window, compiled)

        return outputs, backward

    return pooled(x)


def _by_kernel(x: Any, window: Window) -> Any:
    return ops.average_pool(
        x, window.size, window.strides, window.padding, data_format="channels_last"
    )


def _by_places(x: Any, window: Window) -> Any:
    """Sums over the places of the window, so small that no sum overflows."""
    exponent = _exponent(math.prod(window.size)) + 1
    kernel = _constant(x, window, x.shape[-1], 2.0**-exponent)
    sums = depthwise.by_places(x, kernel, window)
    counts = _counts(window)
    return sums * ops.convert_to_tensor(
        bits.host_cast(2.0**exponent / counts, bits.name_of(x))
    )


def _shared(gradient: Any, window: Window, channels: int) -> tuple[Any, Any]:
    """The gradient over the counts of its windows, as it is times a kernel."""
    counts = _counts(window)
    exponent = _exponent(int(counts.min()))  # the first factor is at most 1
    shares = bits.host_cast(2.0**exponent / counts, bits.name_of(gradient))
    kernel = _constant(gradient, window, channels, 2.0**-exponent)
    return gradient * ops.convert_to_tensor(shares), kernel


def _constant(x: Any, window: Window, channels: int, value: float) -> Any:
    """[*window, channels, 1] of one value, of the dtype of a tensor."""
    return ops.full((*window.size, channels, 1), value, dtype=bits.name_of(x))


def _exponent(count: int) -> int:
    """log2, rounded down."""
    return count.bit_length() - 1


def _counts(window: Window) -> np.ndarray:
    """[1, rows, columns, 1]: how many places of each window lie in the image."""
    rows, columns = (
        _count(*numbers)
        for numbers in zip(
            window.size,
            window.strides,
            window.given,
            window.before,
            window.results,
            strict=True,
        )
    )
    return (rows[:, None] * columns[None, :])[None, :, :, None]


def _count(size: int, stride: int, given: int, before: int, results: int) -> np.ndarray:
    first = np.arange(results) * stride - before
    return np.minimum(first + size, given) - np.maximum(first, 0)


def _lie_side_by_side(window: Window) -> bool:
    return window.size == window.strides and window.before == (0, 0)


def _repeated(gradient: Any, window: Window, compiled: bool) -> Any:
    """Each number over its count, at all places of its window."""
    shares = gradient / ops.convert_to_tensor(
        bits.host_cast(_counts(window), bits.name_of(gradient))
    )
    shares = once.computed(shares) if compiled else shares
    wide = depthwise.interlocked(
        [[shares] * window.size[1]] * window.size[0], window.results
    )
    missing = (
        n - m * k
        for n, m, k in zip(window.given, window.results, window.size, strict=True)
    )
    return depthwise.padded(wide, (0, 0), tuple(missing))  # type: ignore[arg-type]
