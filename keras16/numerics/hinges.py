"""Hinge losses: values and derivatives in 16 bits, [..., n] -> Terms of [...]."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras16.numerics import scaled
from keras16.numerics.scaled import Scaled
from keras16.numerics.terms import Terms, of_elements


def hinge(labels: Any, predictions: Any) -> Terms:
    """max(1 - y p, 0); labels of 0 and 1 are read as -1 and 1."""
    margin, slope = _margin(labels, predictions)
    return of_elements(margin, slope)


def squared_hinge(labels: Any, predictions: Any) -> Terms:
    """max(1 - y p, 0)**2."""
    margin, slope = _margin(labels, predictions)
    return of_elements(margin * margin, margin * slope * 2.0)


def _margin(labels: Any, predictions: Any) -> tuple[Scaled, Scaled]:
    """max(1 - y p, 0) and its derivative by p."""
    y = scaled.of(_signed(labels))
    margin = 1.0 - y * scaled.of(predictions)
    dead = margin.x < 0
    return scaled.without(dead, margin), scaled.without(dead, -y)


def _signed(labels: Any) -> Any:
    is_binary = ops.all(ops.logical_or(labels == 0, labels == 1))
    return ops.where(is_binary, 2 * labels - 1, labels)
