"""Clipping of 16-bit gradients whose squares leave the range of 16 bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from keras16.numerics import bits, norms, softfloat


def to_norm(gradients: Sequence[Any], limit: float) -> list[Any]:
    """Gradients scaled down together, so that their common norm is `limit` at most.

    Args:
        gradients: 16-bit tensors of one dtype; their norm may be beyond it.
        limit: The largest norm that is left as it is.
    """
    norm = norms.euclidean(gradients)
    factor = softfloat.number(limit) / norm
    excess = norm - softfloat.number(limit)
    short = ops.logical_or(excess.units <= 0, ops.equal(norm.units, 0))
    return [ops.where(short, g, _times(g, factor)) for g in gradients]


def _times(x: Any, factor: softfloat.SoftFloat) -> Any:
    return (softfloat.of(x) * factor).rounded(bits.name_of(x))
