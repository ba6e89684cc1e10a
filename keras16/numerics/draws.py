"""Random choices with probabilities that 16 bits can't hold."""

from __future__ import annotations

from typing import Any

from keras import ops, random

from keras16 import backend

_RESOLUTION = 1 << 24
_WORDS = -(1 << 31), (1 << 31) - 1


def kept(shape: Any, rate: float, seed: Any) -> Any:
    """True with probability 1 - rate, by whole numbers.

    A uniform float16 has 1,024 values: Keras drops 1 in 512 for a rate of 1e-3.

    Args:
        shape: Of the result.
        rate: Probability of False, right to 2**-24.
        seed: As of `keras.random`.

    Returns:
        Boolean tensor.
    """
    drawn = random.randint(shape, 0, _RESOLUTION, dtype="int32", seed=seed)
    return drawn >= round(rate * _RESOLUTION)


def dropout(x: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Any:
    """X / (1 - rate) where it is kept, else 0; `rate` of the elements are dropped.

    Args:
        x: 16-bit tensor.
        rate: In [0, 1].
        noise_shape: 1 where an axis is kept or dropped as a whole; None is the
            axis' own length.
        seed: As of `keras.random`.
    """
    if rate >= 1:
        return ops.zeros_like(x)
    own = backend.module().own_kernels(x)
    if own is not None and noise_shape is None:
        key = random.randint((2,), *_WORDS, dtype="int32", seed=seed)
        return own.dropout(x, rate, key)
    shape = ops.shape(x)
    if noise_shape is not None:
        sizes = zip(noise_shape, shape, strict=True)
        shape = tuple(own if given is None else given for given, own in sizes)
    keep = kept(shape, rate, seed)
    return ops.where(keep, x * (1 / (1 - rate)), ops.zeros_like(x))
