"""16-bit numbers with an exponent of their own: a range that nothing here leaves.

A loss of 300**2 is beyond float16, the mean of many such losses need not be; the
factor 1 / 100,000 of a mean is below its normal numbers, the gradient that it
belongs to need not be. So what a loss computes on the way is kept as x 2**exponent
with x of about 1 (11 bits in float16) and a 32-bit integer, and put together once,
at the end. Each operation below rounds once, as one of float16 does.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from keras import ops

from keras16.numerics import bits, reductions, rounding

# The exponent of 0: so low that 0 never decides on a common exponent.
ZERO_EXPONENT = -4096
# Terms below 4 at this exponent leave a sum of float16 as much room below as it has.
HEADROOM = 13
# ln 2 in two parts; a whole number below 186 times the first is exact in float16.
LOG_2_HIGH = 0.6875
LOG_2_LOW = math.log(2) - LOG_2_HIGH
# The first part in parts, so that one below 128 times each is exact in bfloat16 too.
_EXACT_PARTS = {"float16": (LOG_2_HIGH,), "bfloat16": (0.5, 0.125, 0.0625)}
# exp of less than this is 0 whatever it is multiplied by.
DEEPEST = -80.0


@dataclasses.dataclass(frozen=True)
class Scaled:
    """X times 2**exponent.

    Attributes:
        x: 16-bit tensor; magnitudes below 2 and about 1, smaller after a
            difference, or 0, infinity and NaN.
        exponent: int32 tensor of the same shape.
    """

    x: Any
    exponent: Any

    @property
    def dtype(self) -> str:
        """The 16-bit dtype of x."""
        return bits.name_of(self.x)

    def __getitem__(self, index: Any) -> Scaled:
        return Scaled(self.x[index], self.exponent[index])

    def __mul__(self, other: Scaled | float) -> Scaled:
        other = self._same(other)
        return _halved(self.x * other.x, self.exponent + other.exponent)

    def __truediv__(self, other: Scaled | float) -> Scaled:
        other = self._same(other)
        # At least 1/2 and below 2 where both are in [1, 2).
        return _halved(self.x / other.x, self.exponent - other.exponent)

    def __add__(self, other: Scaled | float) -> Scaled:
        other = self._same(other)
        top = ops.maximum(self.exponent, other.exponent)
        return _halved(_at(self, top) + _at(other, top), top)

    def __sub__(self, other: Scaled | float) -> Scaled:
        return self + -self._same(other)

    def __neg__(self) -> Scaled:
        return Scaled(-self.x, self.exponent)

    def __abs__(self) -> Scaled:
        return Scaled(ops.abs(self.x), self.exponent)

    __rmul__ = __mul__
    __radd__ = __add__

    def __rsub__(self, other: float) -> Scaled:
        return self._same(other) - self

    def __rtruediv__(self, other: float) -> Scaled:
        return self._same(other) / self

    def _same(self, other: Scaled | float) -> Scaled:
        return other if isinstance(other, Scaled) else constant(other, self.dtype)


def of(x: Any) -> Scaled:
    """A 16-bit tensor as it is."""
    return normal(x, 0)


def normal(x: Any, exponent: Any) -> Scaled:
    """X 2**exponent for any 16-bit tensor, subnormal ones too, exactly."""
    form = bits.format_of(x)
    small = ops.abs(x) < form.smallest_normal
    lift = form.mantissa + 2
    x = ops.where(small, x * ops.cast(2.0**lift, x.dtype), x)
    raw = bits.as_bits(x)
    field = ops.bitwise_and(ops.right_shift(raw, form.mantissa), 2 * form.bias + 1)
    plain = ops.logical_and(field > 0, field <= 2 * form.bias)
    # The exponent field of 1 in place of the number's own.
    kept = ops.bitwise_and(raw, 0x8000 | ((1 << form.mantissa) - 1))
    ones = ops.bitwise_or(kept, form.bias << form.mantissa)
    mantissa = bits.reinterpreted(ops.cast(ones, "int16"), bits.name_of(x))
    own = field - form.bias - lift * ops.cast(small, "int32")
    zero = ZERO_EXPONENT * ops.cast(x == 0, "int32")
    exponent = ops.where(plain, exponent + own, zero)
    return Scaled(ops.where(plain, mantissa, x), exponent)


def constant(value: Any, dtype: str) -> Scaled:
    """Finite numbers of the host, rounded once to the significand of a dtype.

    Args:
        value: A number or an array.
        dtype: "float16" or "bfloat16".
    """
    mantissa, exponent = np.frexp(np.asarray(value, "float64"))
    exponent = np.where(mantissa == 0, ZERO_EXPONENT, exponent - 1)
    x = ops.convert_to_tensor(bits.host_cast(mantissa * 2, dtype))
    return Scaled(x, ops.convert_to_tensor(exponent.astype("int32")))


def value(a: Scaled) -> Any:
    """A Scaled as a 16-bit tensor: rounded once, infinite beyond the format."""
    return _times_power(a.x, a.exponent)


def saturated(a: Scaled) -> Any:
    """The same, with the largest finite numbers in place of infinite ones.

    The gradient of log p at p = 1e-6 is beyond float16; infinity there becomes
    NaN in the layer before, where the largest number is clipped soon enough.
    """
    form = bits.FORMATS[a.dtype]
    largest = (2 - 2.0**-form.mantissa) * 2.0**form.bias
    return ops.clip(value(a), -largest, largest)


def where(condition: Any, a: Scaled, b: Scaled) -> Scaled:
    """A where a condition holds, else b."""
    return Scaled(
        ops.where(condition, a.x, b.x), ops.where(condition, a.exponent, b.exponent)
    )


def masked(condition: Any, a: Scaled) -> Scaled:
    """A where a condition holds, else 0."""
    return where(condition, a, constant(0.0, a.dtype))


def without(condition: Any, a: Scaled) -> Scaled:
    """0 where a condition holds, else a.

    Not `masked` with the opposite: TensorFlow rewrites not (a < 0) as a >= 0, and
    NaN would become 0.
    """
    return where(condition, constant(0.0, a.dtype), a)


def expand(a: Scaled, axis: int = -1) -> Scaled:
    """A with one more axis of length 1."""
    return Scaled(ops.expand_dims(a.x, axis), ops.expand_dims(a.exponent, axis))


def difference(a: Any, b: Any) -> Scaled:
    """A - b of two 16-bit tensors; never infinite where both are finite."""
    half = ops.maximum(ops.abs(a), ops.abs(b)) >= 2.0 ** (bits.format_of(a).bias - 1)
    scale = ops.where(half, ops.cast(0.5, a.dtype), ops.cast(1.0, a.dtype))
    return normal(a * scale - b * scale, ops.cast(half, "int32"))


def total(a: Scaled, axis: Any = None, keepdims: bool = False) -> Scaled:
    """The sum along some axes; 0 of no elements."""
    aligned, top = _aligned(a, axis)
    part, exponent = reductions.shrunk_sum(aligned, axis, keepdims)
    top = top if keepdims else ops.reshape(top, ops.shape(part))
    return normal(part, top + exponent)


def mean(a: Scaled, axis: Any = None, keepdims: bool = False) -> Scaled:
    """The mean along some axes; 0 of no elements."""
    return total(a, axis, keepdims) * one_over(count(a.x, axis), a.dtype)


def count(x: Any, axis: Any = None) -> Any:
    """How many elements a sum along some axes adds: an int or an int32 scalar."""
    shape = ops.shape(x)
    axes = reductions.standardized(axis, len(x.shape))
    return reductions.product(shape[i] for i in axes)


def one_over(n: Any, dtype: str) -> Scaled:
    """1 / n of a whole number, an int or an int32 tensor; 0 of 0."""
    if isinstance(n, int):
        return constant(1 / n if n else 0.0, dtype)
    n = ops.cast(n, "int32")
    spare = ops.maximum(bits.bit_length(n) - 16, 0)
    leading = ops.maximum(ops.right_shift(n, spare), 1)
    # 13 bits of the quotient, rounded: more than either format holds.
    exponent = bits.bit_length(leading) + 12
    ones = ops.left_shift(ops.ones_like(leading), exponent)
    quotient = (ones + ops.right_shift(leading, 1)) // leading
    quotient = ops.where(n > 0, quotient, 0)
    return normal(ops.cast(quotient, dtype), -exponent - spare)


def exponential(high: Any, low: Any) -> Scaled:
    """exp(high + low) for high <= 0, right below what float16 holds as well.

    Args:
        high: 16-bit tensor.
        low: What rounding left of it, of the same shape.

    Returns:
        x in [0.6, 1.5]; NaN of NaN.
    """
    dtype = bits.name_of(high)
    low = ops.where(high > DEEPEST, low, ops.zeros_like(low))
    high = ops.where(high < DEEPEST, ops.cast(DEEPEST, dtype), high)
    steps = ops.round(high * ops.cast(1 / math.log(2), dtype))
    rest = high
    for part in _EXACT_PARTS[dtype]:  # each difference is exact (Cody and Waite, 1980)
        rest = rest - steps * ops.cast(part, dtype)
    rest = (rest + low) - steps * ops.cast(LOG_2_LOW, dtype)
    numeric = ops.where(ops.isnan(steps), ops.zeros_like(steps), steps)
    return Scaled(ops.exp(rest), ops.cast(numeric, "int32"))


def exponential_of_difference(a: Any, b: Any) -> Scaled:
    """exp(a - b) of two 16-bit tensors with a <= b; as `exponential`."""
    return exponential(*rounding.two_sum(a, -b))


def log(a: Scaled) -> Scaled:
    """The natural logarithm."""
    within = ops.logical_and(a.exponent >= -12, a.exponent < 15)
    near = of(ops.log(value(a)))
    shift = ops.cast(ops.clip(a.exponent, -2048, 2048), a.dtype)
    far = of(ops.log(a.x) + shift * ops.cast(math.log(2), a.dtype))
    return where(within, near, far)


def log1p(a: Scaled) -> Scaled:
    """log(1 + a) for a > -1, with all the relative precision of a small a."""
    small, large = a.exponent < -12, a.exponent > 12
    middle = of(ops.log1p(value(masked(ops.logical_not(large), a))))
    return where(small, a, where(large, log(a), middle))


def power(a: Scaled, exponent: float) -> Scaled:
    """A non-negative number to a power of the host's; 0**0 is 1."""
    if exponent == 0:
        return of(ops.ones_like(a.x))
    if exponent == 1:
        return a
    a = normal(a.x, a.exponent)
    # exponent x a.exponent = whole + fraction, in units of 2**-18.
    fixed = ops.clip(a.exponent, -128, 128) * round(exponent * 2**18)
    leading = ops.right_shift(ops.bitwise_and(fixed, 2**18 - 1), 6)
    fraction = ops.cast(leading, a.dtype) * 2.0**-12
    high = float(bits.host_cast(exponent, a.dtype))
    powered = ops.power(a.x, ops.cast(high, a.dtype)) * ops.exp(fraction * math.log(2))
    if exponent != high:
        powered = powered * (1 + (exponent - high) * ops.log(a.x))
    return normal(powered, ops.right_shift(fixed, 18))


def square_root(a: Scaled) -> Scaled:
    """The root of a non-negative number."""
    odd = ops.bitwise_and(a.exponent, 1)
    return Scaled(
        ops.sqrt(a.x * ops.cast(1 + odd, a.dtype)), ops.right_shift(a.exponent - odd, 1)
    )


def _aligned(a: Scaled, axis: Any) -> tuple[Any, Any]:
    """The numbers at one exponent along the axes, and that exponent."""
    axes = reductions.standardized(axis, len(a.x.shape))
    top = a.exponent
    for one in axes:
        top = ops.max(top, axis=one, keepdims=True, initial=ZERO_EXPONENT)
    return _times_power(a.x, a.exponent - top + HEADROOM), top - HEADROOM


def _at(a: Scaled, exponent: Any) -> Any:
    """A 16-bit tensor that is a over 2**exponent, for an exponent above its own."""
    return _times_power(a.x, a.exponent - exponent)


def _halved(x: Any, exponent: Any) -> Scaled:
    """X 2**exponent for magnitudes of x below 4."""
    large = ops.abs(x) >= 2
    half = ops.where(large, x * ops.cast(0.5, x.dtype), x)
    return Scaled(half, exponent + ops.cast(large, "int32"))


def _times_power(x: Any, exponent: Any) -> Any:
    """X 2**exponent for magnitudes of x below 4; infinite or 0 beyond the format."""
    dtype, bias = bits.name_of(x), bits.format_of(x).bias
    # x 2**-28 is below half the smallest float16.
    exponent = ops.clip(exponent, 2 - 2 * bias, 2 * bias)
    half = ops.right_shift(exponent, 1)
    return (
        x * bits.power_of_two(half, dtype) * bits.power_of_two(exponent - half, dtype)
    )
