"""Clipping of 16-bit gradients whose squares leave the range of 16 bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from keras16.numerics import bits, norms
from keras16.numerics import scaled_steps as scaled


def to_norm(gradients: Sequence[Any], limit: float) -> list[Any]:
    """Gradients scaled down together, so that their common norm is `limit` at most.

    Args:
        gradients: 16-bit tensors of one dtype; their norm may be beyond it.
        limit: The largest norm that is left as it is.
    """
    norm = norms.euclidean(gradients)
    wanted = scaled.number(limit, bits.name_of(gradients[0]))
    value = wanted.value / ops.where(
        norm.value == 0, ops.ones_like(norm.value), norm.value
    )
    factor = scaled.Scaled(value, wanted.exponent - norm.exponent)
    short = ops.logical_or(factor.collapsed() >= 1, norm.value == 0)
    return [ops.where(short, g, _times(g, factor)) for g in gradients]


def _times(x: Any, factor: scaled.Scaled) -> Any:
    """The value may be as large as 2**7; the product is no larger than x."""
    product = scaled.normal(x).times(factor)
    return product.collapsed()
