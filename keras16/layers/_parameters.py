"""What the normalizing layers share: axes, and parameters along them."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras16.numerics import normalization


def axes_of(x: Any, axis: Any) -> tuple[int, ...]:
    """An axis or several, none of them negative, in order."""
    axes = axis if isinstance(axis, (list, tuple)) else (axis,)
    return tuple(sorted(a % len(x.shape) for a in axes))


def affine(x: Any, axes: tuple[int, ...], gamma: Any, beta: Any) -> Any:
    """X times gamma plus beta, one of each for each place along some axes.

    Args:
        x: 16-bit tensor.
        axes: The axes that gamma and beta have, in their order.
        gamma: Variable or tensor, or None for ones.
        beta: Likewise, or None for zeros.
    """
    rank = len(x.shape)
    order = [a for a in range(rank) if a not in axes] + list(axes)
    moved = x if order == list(range(rank)) else ops.transpose(x, order)
    rows = ops.reshape(moved, (-1, _places(x, axes)))
    rows = normalization.affine(rows, _flat(gamma, x), _flat(beta, x))
    moved = ops.reshape(rows, ops.shape(moved))
    back = [order.index(a) for a in range(rank)]
    return moved if back == list(range(rank)) else ops.transpose(moved, back)


def _places(x: Any, axes: tuple[int, ...]) -> int:
    places = 1
    for axis in axes:
        places = places * x.shape[axis]
    return places


def _flat(parameter: Any, x: Any) -> Any:
    if parameter is None:
        return None
    return ops.reshape(ops.cast(parameter, x.dtype), (-1,))
