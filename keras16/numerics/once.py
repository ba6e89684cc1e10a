"""Tensors that XLA computes once, however many loops use them.

XLA on a CPU writes a chain of cheap operations anew into every loop that uses its
result. In a residual net the chain of a block holds the chains of all the blocks
before it, and each convolution and each gradient computes it again: half of the time
of a resnet20's step in float16 (docs/performance.md). What XLA takes for expensive it
never repeats, and a division is. The divisor is 1, which XLA can't know; what makes
machine code of the step can, and leaves the division out.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from keras16.numerics import bits
from keras16.numerics.derivatives import by_hand


def computed(x: Any) -> Any:
    """The same 16-bit tensor, to the bit; it has no gradient of its own.

    Args:
        x: Of any shape. Of bfloat16, numbers below 2**-126 may become 0, as in any
            operation that TensorFlow does with them on a CPU.
    """
    raw = bits.reinterpreted(x, "int16")
    magnitude = ops.bitwise_and(raw, ops.cast(0x7FFF, "int16"))
    zero = ops.right_shift(magnitude, ops.cast(15, "int16"))
    form = bits.format_of(x)
    one = ops.cast(form.bias << form.mantissa, "int16")
    return x / bits.reinterpreted(ops.bitwise_xor(one, zero), bits.name_of(x))


def value(x: Any) -> Any:
    """The same 16-bit tensor; its gradient passes as it is."""

    @by_hand
    def same(x: Any) -> Any:
        return computed(x), lambda gradient: gradient

    return same(x)


def gradient(x: Any) -> Any:
    """The same 16-bit tensor as it is; its gradient is computed once."""

    @by_hand
    def same(x: Any) -> Any:
        return x, computed

    return same(x)


def both(x: Any) -> Any:
    """The same 16-bit tensor; it and its gradient are computed once."""
    return gradient(value(x))
