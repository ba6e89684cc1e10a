"""Floating-point formats of few bits, and rounding to them. NumPy alone.

A format has a sign, so many exponent bits and so many bits of the mantissa behind its
leading 1. As in IEEE 754 the exponent's bias is 2^(bits - 1) - 1, its lowest value
means subnormals and its highest infinity and NaN; rounding is to nearest, ties to
even, and what is half a unit or more above the largest number becomes infinity.
`float8_e4m3` is that of the hardware, ml_dtypes' `float8_e4m3fn`: the highest
exponent holds numbers too, up to 448; it has no infinity, and what is too large
becomes NaN.

Source: IEEE 754-2019, 3.3 and 4.3.1; arXiv 2209.05433 for the two float8.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from keras16.errors import UserError

MOST_EXPONENT_BITS = 8  # float32's: a simulation computes in float32
MOST_MANTISSA_BITS = 23
_MANTISSA, _EXPONENT, _BIAS = 52, 0x7FF, 1023  # of float64


class Format(NamedTuple):
    """A floating-point format.

    Attributes:
        name: Such as "float16" or "e5m7".
        exponent_bits: 2 to 8.
        mantissa_bits: 1 to 23, without the leading 1.
        finite: Whether the highest exponent holds numbers, as in `float8_e4m3fn`.
    """

    name: str
    exponent_bits: int
    mantissa_bits: int
    finite: bool = False

    @property
    def bits(self) -> int:
        """Of one number, its sign included."""
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def unit_roundoff(self) -> float:
        """Half the distance from 1 to the next number."""
        return 2.0 ** -(self.mantissa_bits + 1)

    @property
    def lowest_exponent(self) -> int:
        """Of a normal number; the spacing below it is that at it."""
        return 2 - 2 ** (self.exponent_bits - 1)

    @property
    def largest(self) -> float:
        """The largest finite number."""
        top = 2 ** (self.exponent_bits - 1) - 1 + self.finite
        below = 2.0**-self.mantissa_bits * (1 + self.finite)
        return (2.0 - below) * 2.0**top


NAMED = {
    one.name: one
    for one in (
        Format("float16", 5, 10),
        Format("bfloat16", 8, 7),
        Format("float8_e5m2", 5, 2),
        Format("float8_e4m3", 4, 3, finite=True),
    )
}
# Where the share of certified answers falls: exponents as of float32 and below.
GRID = (
    *NAMED.values(),
    *(
        Format(f"e{exponent}m{mantissa}", exponent, mantissa)
        for exponent in (3, 4, 5, 8)
        for mantissa in (1, 2, 3, 4, 5, 7, 10)
        if (exponent, mantissa) not in ((5, 10), (8, 7), (5, 2))  # named above
    ),
)


def get(name: str) -> Format:
    """The format of a name: one of `NAMED`, or such as "e5m7".

    Raises:
        UserError: There is none of that name.
    """
    if name in NAMED:
        return NAMED[name]
    found = re.fullmatch(r"e(\d+)m(\d+)", name)
    if not found:
        raise UserError(f"no format {name!r}: there are {', '.join(NAMED)} and eXmY.")
    exponent, mantissa = int(found[1]), int(found[2])
    if not (
        2 <= exponent <= MOST_EXPONENT_BITS and 1 <= mantissa <= MOST_MANTISSA_BITS
    ):
        raise UserError(
            f"format {name}: give 2 to {MOST_EXPONENT_BITS} exponent bits and 1 to "
            f"{MOST_MANTISSA_BITS} mantissa bits."
        )
    return Format(name, exponent, mantissa)


def spacing(x: np.ndarray, to: Format) -> np.ndarray:
    """The distance between a format's numbers at the size of each value.

    Args:
        x: Of any float dtype and shape.
        to: The format.

    Returns:
        float64, a power of two: that of the subnormals below the normal numbers.
    """
    # By float64's own bits: frexp would give 0 an exponent of its own.
    bits = np.asarray(x, np.float64).view(np.int64)
    power = (bits >> _MANTISSA) & _EXPONENT
    power = np.maximum(power, to.lowest_exponent + _BIAS) - to.mantissa_bits
    return (power << _MANTISSA).view(np.float64)


def rounded(x: np.ndarray, to: Format) -> np.ndarray:
    """The nearest numbers of a format, ties to even.

    Args:
        x: float16, float32 or float64, of any shape.
        to: The format.

    Returns:
        float64, of the same shape; too large: infinity, NaN in a finite format.
    """
    exact = np.asarray(x, np.float64)
    unit = spacing(exact, to)
    # Dividing by a power of two is exact, and so is the product.
    nearest = np.rint(exact / unit) * unit
    too_large = np.nan if to.finite else np.copysign(np.inf, exact)
    return np.where(np.abs(nearest) > to.largest, too_large, nearest)
