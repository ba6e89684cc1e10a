"""Random bits without a state: a hash of seed, step and element, in int32.

Stochastic rounding needs noise that a seed reproduces, on every backend, with no
float wider than 16 bits and no state of its own.

Source: the finalizer of MurmurHash3 (Appleby), on signed words that wrap around.
"""

from __future__ import annotations

from typing import Any

from keras import ops

_GOLDEN = -0x61C88647  # 2**32 / the golden ratio, as a signed word
_FIRST = -0x7A143595
_SECOND = -0x3D4D51CB
BITS = 30


def drawn(shape: tuple[int, ...], key: Any) -> Any:
    """One random word for each element.

    Args:
        shape: Fully known.
        key: int32 scalar, such as `key(seed, step, place)`.

    Returns:
        int32 tensor, all 32 bits random.
    """
    size = 1
    for length in shape:
        size *= length
    index = ops.reshape(ops.arange(size, dtype="int32"), shape)
    return mixed(index * _GOLDEN + key)


def key(seed: int, step: Any, place: int) -> Any:
    """An int32 scalar that stands for a seed, a step and what is drawn for."""
    start = (seed * 0x9E3779B1 + place * 0x85EBCA77 + 0x27D4EB2F) & 0xFFFFFFFF
    start -= (start >> 31) << 32
    return mixed(ops.cast(step, "int32") * _FIRST + start)


def mixed(words: Any) -> Any:
    """A bijection of int32 words whose every bit depends on all bits."""
    words = ops.bitwise_xor(words, ops.right_shift(words, 16)) * _FIRST
    words = ops.bitwise_xor(words, ops.right_shift(words, 13)) * _SECOND
    return ops.bitwise_xor(words, ops.right_shift(words, 16))


def again(words: Any) -> Any:
    """Other words, drawn from these: cheaper than drawing anew."""
    words = ops.bitwise_xor(words, ops.right_shift(words, 15)) * _GOLDEN
    return ops.bitwise_xor(words, ops.right_shift(words, 16))


def low(words: Any, count: Any) -> Any:
    """The lowest bits of random words: uniform in [0, 2**count).

    Args:
        words: int32.
        count: int32 in [0, 30].
    """
    return ops.bitwise_and(words, ops.left_shift(1, count) - 1)
