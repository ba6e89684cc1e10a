"""Sums and products of 16-bit tensors of unlike shapes.

Their gradients are sums over what was broadcast: a plain `reduce_sum` over the batch
stalls at 2,048 in float16, a matrix product doesn't.
"""

from __future__ import annotations

from typing import Any

from keras16.numerics import bits, reductions
from keras16.numerics.derivatives import by_hand


def add(x: Any, y: Any) -> Any:
    """X + y, broadcast either way."""

    @by_hand
    def added(x, y):
        def backward(gradient):
            return tuple(reductions.total_like(gradient, part) for part in (x, y))

        return x + y, backward

    return added(bits.read(x), bits.read(y))


def multiply(x: Any, y: Any) -> Any:
    """X times y, broadcast either way."""

    @by_hand
    def multiplied(x, y):
        def backward(gradient):
            of_x = reductions.total_like(gradient * y, x)
            return of_x, reductions.total_like(gradient * x, y)

        return x * y, backward

    return multiplied(bits.read(x), bits.read(y))
