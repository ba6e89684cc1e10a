"""The bits of a 16-bit float: exponents, powers of two, rounding that happens.

Integers are free in a pure 16-bit step; a wider float is not. What other codes
do in float32 is done here on the bits.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import ml_dtypes
import numpy as np
from keras import backend, ops


@dataclasses.dataclass(frozen=True)
class Format:
    """A 16-bit binary format.

    Attributes:
        mantissa: Stored bits of the significand.
        bias: Exponent bias; the largest exponent of a finite number as well.
    """

    mantissa: int
    bias: int

    @property
    def smallest_normal(self) -> float:
        """Below it, numbers lose bits."""
        return 2.0 ** (1 - self.bias)


FORMATS = {"float16": Format(10, 15), "bfloat16": Format(7, 127)}


def is_16_bit(dtype: Any) -> bool:
    """Whether a dtype, by name or as an object with one, is a 16-bit float."""
    return backend.standardize_dtype(dtype) in FORMATS


def name_of(x: Any) -> str:
    """The dtype of a tensor or variable by name."""
    return backend.standardize_dtype(x.dtype)


def format_of(x: Any) -> Format:
    """The format of a 16-bit tensor."""
    return FORMATS[name_of(x)]


def host_cast(value: Any, dtype: str) -> np.ndarray:
    """Numbers of the host rounded once to a dtype: no wider constant in a graph."""
    kind = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    return np.asarray(value, "float64").astype(kind)


def read(variable: Any) -> Any:
    """The value of a variable (or a tensor) as a tensor of its own.

    TensorFlow hands out the variable itself in eager mode, and a function with a
    gradient by hand may not take one.
    """
    return ops.copy(ops.convert_to_tensor(variable))


def as_bits(x: Any) -> Any:
    """The bits of a 16-bit float tensor as int32 in [0, 65535], same shape."""
    return ops.bitwise_and(ops.cast(reinterpreted(x, "int16"), "int32"), 0xFFFF)


def argmax(x: Any) -> Any:
    """The first index of the largest number along the last axis, as int32.

    Keras' own casts 16-bit floats to float32 on TensorFlow.

    Args:
        x: [..., n] of any dtype.
    """
    x = order(x) if is_16_bit(x.dtype) else x
    return ops.cast(ops.argmax(x, axis=-1), "int32")


def above(x: Any, threshold: float) -> Any:
    """Whether 16-bit floats are above a number of the host, exactly."""
    return x > ops.convert_to_tensor(floor_cast(threshold, name_of(x)))


def floor_cast(value: Any, dtype: str) -> np.ndarray:
    """The largest 16-bit floats that are not above numbers of the host.

    A 16-bit float is above a number where it is above this, and only there.
    """
    exact = np.asarray(value, "float64")
    rounded = host_cast(exact, dtype)
    lower = np.nextafter(rounded, rounded.dtype.type(-np.inf))
    return np.where(rounded.astype("float64") > exact, lower, rounded)


def order(x: Any) -> Any:
    """Whole numbers that are ordered as 16-bit floats are, as int32."""
    return ops.cast(key(x), "int32")


def key(x: Any) -> Any:
    """Whole numbers that are ordered as 16-bit floats are, as int16; -0 counts as 0.

    The bits of floats, read as signed magnitudes, are. NaN is beyond infinity.
    """
    raw = reinterpreted(x, "int16")
    size = magnitude(x)
    return ops.where(raw == size, size, -size)


def of_key(keys: Any, dtype: str) -> Any:
    """The floats of a 16-bit dtype that have some keys."""
    lowest = ops.cast(-0x8000, "int16")  # the sign alone
    raw = ops.where(keys < 0, ops.bitwise_xor(-keys, lowest), keys)
    return reinterpreted(raw, dtype)


def magnitude(x: Any) -> Any:
    """The bits of abs(x) as int16: ordered as the magnitudes are."""
    raw = reinterpreted(x, "int16")
    return ops.bitwise_and(raw, ops.cast(0x7FFF, "int16"))


def biased_exponent(x: Any) -> Any:
    """The exponent field as int32: 0 for zero and subnormals."""
    form = format_of(x)
    magnitude = ops.bitwise_and(as_bits(x), 0x7FFF)
    return ops.right_shift(magnitude, form.mantissa)


def power_of_two(exponent: Any, dtype: str) -> Any:
    """2**exponent, clamped to the normal numbers of the format.

    Args:
        exponent: int32 tensor of any shape.
        dtype: "float16" or "bfloat16".

    Returns:
        Tensor of that dtype, exact.
    """
    form = FORMATS[dtype]
    biased = ops.clip(exponent + form.bias, 1, 2 * form.bias)
    raw = ops.cast(ops.left_shift(biased, form.mantissa), "int16")
    return reinterpreted(raw, dtype)


def times_power_of_two(x: Any, exponent: Any) -> Any:
    """X times 2**exponent, as far as the result fits the format.

    Args:
        x: 16-bit tensor.
        exponent: int32 tensor; the power alone may leave the format's range.
    """
    bias = format_of(x).bias
    # Three factors reach from the largest number below the smallest.
    exponent = ops.clip(exponent, 3 - 3 * bias, 3 * bias)
    for parts in (3, 2, 1):
        part = exponent // parts
        x = x * power_of_two(part, name_of(x))
        exponent = exponent - part
        if parts > 1 and tuple(x.shape) != tuple(exponent.shape):
            # TensorFlow's grappler multiplies small tensors first (its
            # MinimizeBroadcasts), and the three powers alone may be out of range.
            x = rounded(x)
    return x


def scale_to_one(magnitude: Any) -> Any:
    """A power of two s with magnitude x s in [1/2, 2), as far as s is normal.

    Args:
        magnitude: Non-negative 16-bit tensor. Zero, infinity and NaN give the
            largest or smallest power there is.

    Returns:
        Tensor of the same shape and dtype; multiplying by it is exact wherever
        the product is normal.
    """
    form = format_of(magnitude)
    return power_of_two(form.bias - biased_exponent(magnitude), name_of(magnitude))


def bit_length(n: Any) -> Any:
    """The number of bits of a non-negative int32 tensor: 0 for 0, 17 for 2**16."""
    length = ops.zeros_like(n)
    for step in (16, 8, 4, 2, 1):
        large = ops.cast(n >= (1 << step), "int32")
        length = length + step * large
        n = ops.right_shift(n, step * large)
    return length + ops.cast(n > 0, "int32")


def rounded(x: Any) -> Any:
    """The same tensor, its rounding to 16 bits made certain.

    XLA keeps intermediate float16 results in wider registers ("excess precision"),
    removes pairs of conversions, bitcasts and barriers, and on CPUs with float16
    arithmetic LLVM makes one operation of a product and a sum: all of it breaks
    error-free transformations. Neither sees through an exclusive-or with a number that
    is always zero if neither can know: a square, modulo 8, is 0, 1 or 4, so its bits of
    1 and of 4 are never both set.
    """
    raw = reinterpreted(x, "int16")
    square = raw * raw
    places, mask = ops.cast(2, "int16"), ops.cast(1, "int16")
    zero = ops.bitwise_and(
        ops.bitwise_and(square, ops.right_shift(square, places)), mask
    )
    return reinterpreted(ops.bitwise_xor(raw, zero), name_of(x))


def computed_once(x: Any, count: Any) -> Any:
    """The same tensor, which XLA won't compute again in each loop that uses it.

    XLA on a CPU writes a chain of cheap operations anew into every loop that uses its
    result, and a concatenation as a decision for each element, which no vector
    instruction can take. It does neither across a loop that may run, for all that is
    known when the step is compiled; this one never does.

    Args:
        x: Tensor.
        count: Non-negative integer scalar tensor or variable.
    """
    return ops.while_loop(
        lambda _, left: left < 0,
        lambda x, left: (-x, left + 1),
        (x, ops.cast(count, "int32")),
    )[0]


def reinterpreted(x: Any, dtype: str) -> Any:
    """The bits of a 16-bit tensor read as another 16-bit dtype, same shape."""
    if len(x.shape) and x.shape[-1] is None:
        # Keras' view wants a last axis of known length.
        return ops.squeeze(ops.view(ops.expand_dims(x, -1), dtype), -1)
    return ops.view(x, dtype)
