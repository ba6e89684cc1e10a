"""Error-free sums in 16 bits."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras16.numerics.bits import rounded


def two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """The rounded sum of two 16-bit tensors and, exactly, its error.

    Dekker's Fast2Sum on the operands ordered by magnitude: unlike Knuth's, no
    step of it can overflow where the sum itself does not.

    Returns:
        (s, e) with s = fl(a + b) and s + e = a + b exactly.
    """
    a, b = rounded(a), rounded(b)
    swap = ops.abs(a) < ops.abs(b)
    large, small = ops.where(swap, b, a), ops.where(swap, a, b)
    total = rounded(large + small)
    return total, small - rounded(total - large)
