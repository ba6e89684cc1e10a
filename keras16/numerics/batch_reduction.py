"""From the losses of a batch to one number, and its gradient back to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from keras import ops

from keras16.numerics import scaled, shapes
from keras16.numerics.derivatives import by_hand_once
from keras16.numerics.scaled import Scaled
from keras16.numerics.terms import Terms


def reduced(
    function: Callable[[Any], Terms],
    predictions: Any,
    *,
    reduction: str | None,
    sample_weight: Any = None,
    mask: Any = None,
) -> Any:
    """A loss of predictions, with the gradient written by hand.

    Args:
        function: Gives the `Terms` of predictions.
        predictions: 16-bit tensor, the only thing that gets a gradient.
        reduction: As Keras' losses have it.
        sample_weight: One weight a loss, or None.
        mask: Where a loss counts, boolean, or None.

    Returns:
        16-bit scalar, or one number a loss where nothing is reduced.
    """

    @by_hand_once("a loss")
    def loss(predictions):
        terms = function(predictions)
        weights = _weights(terms, sample_weight, mask)
        values, factor = _weighted(terms.losses, weights)
        value, share = _combined(values, weights, reduction)
        factor = factor if share is None else factor * share

        def backward(gradient):
            gradient = scaled.of(gradient)
            return terms.pull(_as_losses(gradient * factor, terms.losses))

        return value, backward

    return loss(predictions)


@dataclasses.dataclass(frozen=True)
class _Weights:
    """What each loss is multiplied by: a weight, where it counts, or neither."""

    weight: Scaled | None
    counts: Any

    def total(self) -> Scaled | None:
        """The sum of the weights that count; None where there are none."""
        if self.weight is None:
            return None
        if self.counts is None:
            return scaled.total(self.weight)
        return scaled.total(scaled.masked(self.counts, self.weight))


def _weights(terms: Terms, sample_weight: Any, mask: Any) -> _Weights:
    losses = terms.losses
    counts = terms.valid
    if mask is not None:
        mask = shapes.same_rank(ops.cast(mask, "bool"), losses.x)
        counts = mask if counts is None else ops.logical_and(mask, counts)
    if sample_weight is None:
        return _Weights(None, counts)
    weight = ops.cast(sample_weight, losses.dtype)
    return _Weights(scaled.of(shapes.same_rank(weight, losses.x)), counts)


def _weighted(losses: Scaled, weights: _Weights) -> tuple[Scaled, Scaled]:
    """The losses times their weights, and these, in the shape of both."""
    factor = scaled.of(ops.ones_like(losses.x))
    values = losses
    if weights.weight is not None:
        values, factor = values * weights.weight, factor * weights.weight
    if weights.counts is not None:
        values, factor = (scaled.masked(weights.counts, a) for a in (values, factor))
    return values, factor


def _combined(
    values: Scaled, weights: _Weights, reduction: str | None
) -> tuple[Any, Scaled | None]:
    """One number of many, and what each was multiplied by on the way."""
    if reduction in (None, "none") or not len(values.x.shape):
        return scaled.value(values), None
    total = scaled.total(values)
    if reduction == "sum":
        return scaled.value(total), None
    share = _share(values, weights, reduction)
    return scaled.value(total * share), share


def _share(values: Scaled, weights: _Weights, reduction: str | None) -> Scaled:
    """1 over what Keras divides by; 0 where that is 0."""
    divisor = weights.total() if reduction == "mean_with_sample_weight" else None
    if divisor is not None:
        ones = scaled.of(ops.ones_like(divisor.x))
        return scaled.masked(divisor.x != 0, ones / divisor)
    if weights.counts is None:
        return scaled.one_over(scaled.count(values.x), values.dtype)
    # Keras multiplies by total / valid and divides by total.
    counts = ops.broadcast_to(weights.counts, ops.shape(values.x))
    return scaled.one_over(ops.sum(ops.cast(counts, "int32")), values.dtype)


def _as_losses(factor: Scaled, losses: Scaled) -> Scaled:
    """A factor in the shape of the losses, where weights were of a higher rank."""
    surplus = len(factor.x.shape) - len(losses.x.shape)
    if surplus > 0:
        return scaled.total(factor, tuple(range(surplus)))
    shape = ops.shape(losses.x)
    return Scaled(
        ops.broadcast_to(factor.x, shape), ops.broadcast_to(factor.exponent, shape)
    )
