"""Losses of overlapping regions: sums over many elements, and their quotient."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras16.numerics import reductions, scaled
from keras16.numerics.regression import EPSILON
from keras16.numerics.scaled import Scaled
from keras16.numerics.terms import Terms


def dice(labels: Any, predictions: Any, axis: Any = None) -> Terms:
    """1 - 2 sum(y p) / (sum(y) + sum(p) + 1e-7), over some axes."""
    return _overlap(labels, predictions, 0.5, 0.5, axis, EPSILON / 2)


def tversky(
    labels: Any, predictions: Any, alpha: float, beta: float, axis: Any = None
) -> Terms:
    """1 - s / (s + alpha sum(y (1 - p)) + beta sum((1 - y) p) + 1e-7), s = sum(y p).

    Source: Salehi et al., arXiv 1706.05721; alpha and beta as Keras has them.
    """
    return _overlap(labels, predictions, alpha, beta, axis, EPSILON)


def _overlap(
    labels: Any, predictions: Any, alpha: float, beta: float, axis: Any, floor: float
) -> Terms:
    """The loss as missed / (common + missed): it is never 1 minus almost 1."""
    y, p = scaled.of(labels), scaled.of(predictions)
    no_y, no_p = (scaled.difference(ops.ones_like(x), x) for x in (labels, predictions))

    def total(a: Scaled) -> Scaled:
        return scaled.total(a, axis, keepdims=True)

    common = total(y * p)
    missed = total(y * no_p) * alpha + total(no_y * p) * beta + floor
    whole = common + missed
    share = common / whole

    def pull(factor: Scaled) -> Any:
        factor = _like(factor, common)
        slope = no_y * share * beta - y * (share * alpha + missed / whole)
        return scaled.saturated(slope / whole * factor)

    axes = reductions.standardized(axis, len(labels.shape))
    return Terms(_squeezed(missed / whole, axes), pull)


def _squeezed(a: Scaled, axes: tuple[int, ...]) -> Scaled:
    return Scaled(ops.squeeze(a.x, axes), ops.squeeze(a.exponent, axes))


def _like(a: Scaled, b: Scaled) -> Scaled:
    shape = ops.shape(b.x)
    return Scaled(ops.reshape(a.x, shape), ops.reshape(a.exponent, shape))
