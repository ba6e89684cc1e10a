"""The largest and the smallest of 16-bit numbers, found among whole numbers.

Comparing floats, XLA and TensorFlow widen each of them and look for NaN; of integers
they compare a whole vector register at once (docs/performance.md).
"""

from __future__ import annotations

from typing import Any

from keras import ops

from keras16 import backend
from keras16.numerics import bits


def of_columns(rows: Any) -> tuple[Any, Any]:
    """The largest and the smallest number of each column, in one loop.

    Args:
        rows: [n, columns] 16-bit, n at least 1. A positive NaN counts as above, a
            negative one as below infinity.

    Returns:
        (largest, smallest), [columns] each.
    """
    return backend.one_pass(_of_columns)(rows)


def along(x: Any, axes: Any) -> tuple[Any, Any]:
    """The largest and the smallest number along some axes, which stay, of length 1.

    Args:
        x: 16-bit; NaN as of `of_columns`.
        axes: One or several, none of them empty.
    """
    own = backend.module().own_kernels(x) if _is_last(axes, x) else None
    if own is not None:
        return own.last_axis_extremes(x)
    keys = backend.one_pass(bits.key)(x)
    dtype = bits.name_of(x)
    highest = ops.max(keys, axis=axes, keepdims=True)
    lowest = ops.min(keys, axis=axes, keepdims=True)
    return bits.of_key(highest, dtype), bits.of_key(lowest, dtype)


def magnitude(x: Any, axes: Any = None, keepdims: bool = False) -> Any:
    """The largest abs(x) along some axes, or of all; NaN where there is one.

    Args:
        x: 16-bit.
        axes: One or several, none of them empty; None for all.
        keepdims: Whether they stay, at length 1.
    """
    if keepdims and _is_last(axes, x) and backend.module().own_kernels(x) is not None:
        highest, lowest = map(bits.magnitude, along(x, axes))
        return bits.reinterpreted(ops.maximum(highest, lowest), bits.name_of(x))
    magnitudes = backend.one_pass(bits.magnitude)(x)
    largest = ops.max(magnitudes, axis=axes, keepdims=keepdims)
    return bits.reinterpreted(largest, bits.name_of(x))


def _is_last(axes: Any, x: Any) -> bool:
    """Whether axes are the last one alone."""
    rank = len(x.shape)
    return axes in (-1, rank - 1, (-1,), (rank - 1,), [-1], [rank - 1])


def _of_columns(rows: Any) -> tuple[Any, Any]:
    keys, dtype = bits.key(rows), bits.name_of(rows)
    highest, lowest = ops.max(keys, axis=0), ops.min(keys, axis=0)
    return bits.of_key(highest, dtype), bits.of_key(lowest, dtype)
