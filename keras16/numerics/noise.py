"""Random bits without a state: a hash of seed and element, turned on by each step.

Stochastic rounding needs noise that a seed reproduces, on every backend, with no
float wider than 16 bits and no state of its own. It need not be independent from
step to step: a start that is uniform for each element, moved on by the golden ratio
at every step, is uniform at every step too, and spreads so evenly that small updates
are carried out as often as they should be almost to the count. Independent draws
would miss that by the root of it: a weight that wanders.

Source: the finalizer of MurmurHash3 (Appleby), on signed words that wrap around;
the additive recurrence of the golden ratio: Knuth, vol. 3, section 6.4.
"""

from __future__ import annotations

from typing import Any

from keras import ops

_GOLDEN = -0x61C88647  # 2**32 / the golden ratio, as a signed word
_FIRST = -0x7A143595
_SECOND = -0x3D4D51CB
_WORD = 32


def drawn(shape: tuple[int, ...], key: int, step: Any) -> Any:
    """One random word for each element.

    Args:
        shape: Fully known.
        key: Of `key(seed, place)`.
        step: Integer scalar tensor.

    Returns:
        int32 tensor, all 32 bits random.
    """
    size = 1
    for length in shape:
        size *= length
    index = ops.reshape(ops.arange(size, dtype="int32"), shape)
    step = ops.cast(step, "int32")
    # Zero, but not known to be: a compiler would keep the words of all elements.
    zero = ops.right_shift(step, _WORD - 1)
    return mixed(index * _GOLDEN + (key + zero)) + step * _GOLDEN


def key(seed: int, place: int) -> int:
    """A signed word that stands for a seed and for what is drawn."""
    word = (seed * 0x9E3779B1 + place * 0x85EBCA77 + 0x27D4EB2F) & 0xFFFFFFFF
    return word - ((word >> 31) << _WORD)


def mixed(words: Any) -> Any:
    """A bijection of int32 words whose every bit depends on all bits."""
    words = _folded(words, 16) * _FIRST
    words = _folded(words, 13) * _SECOND
    return _folded(words, 16)


def again(words: Any) -> Any:
    """Other words, drawn from these: cheaper than drawing anew."""
    return _folded(_folded(words, 15) * _GOLDEN, 16)


def _folded(words: Any, shift: int) -> Any:
    """The words with their highest bits on their lowest: the shift is unsigned."""
    high = ops.bitwise_and(ops.right_shift(words, shift), (1 << (_WORD - shift)) - 1)
    return ops.bitwise_xor(words, high)


def highest(words: Any, count: Any) -> Any:
    """The highest bits of random words: uniform in [0, 2**count).

    Args:
        words: int32.
        count: int32 in [0, 30].
    """
    shifted = ops.right_shift(words, ops.minimum(_WORD - count, _WORD - 1))
    return ops.bitwise_and(shifted, ops.left_shift(1, count) - 1)
