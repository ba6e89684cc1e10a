"""Cross-entropies over classes, from logits or probabilities.

Predictions are [..., classes] of a 16-bit dtype; the classes are the last axis.
Labels are class ids, [...] int32, or one weight a class, [..., classes].
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from keras import ops

from keras16 import backend
from keras16.numerics import bits, scaled
from keras16.numerics.regression import EPSILON
from keras16.numerics.scaled import Scaled
from keras16.numerics.terms import Terms


@dataclasses.dataclass(frozen=True)
class Shares:
    """Probabilities of classes that add up to 1, [..., classes].

    Attributes:
        of: p.
        others: 1 - p, with all its own digits.
        loss: -log(p).
    """

    of: Scaled
    others: Scaled
    loss: Scaled


@dataclasses.dataclass(frozen=True)
class Targets:
    """One weight a class, [..., classes].

    Attributes:
        of: y.
        others: The sum of the other classes' weights.
    """

    of: Scaled
    others: Scaled


def softmax_shares(logits: Any) -> Shares:
    """The softmax of logits.

    The largest logit is left out of the sum of exponentials, so that the rest
    keeps its relative precision: log1p(rest), where log(1 + rest) would round
    every loss below 2**-12 to 0.
    """
    is_top = one_hot(bits.argmax(logits), logits.shape[-1])
    highest = ops.max(logits, axis=-1, keepdims=True, initial=-math.inf)
    exponentials = scaled.exponential_of_difference(logits, highest)
    rest = scaled.total(scaled.without(is_top, exponentials), -1, keepdims=True)
    total = rest + 1.0
    shares = exponentials / total
    # Elsewhere than at the top, p is at most 1/2 and 1 - p takes nothing from it.
    others = scaled.where(is_top, rest / total, 1.0 - shares)
    loss = scaled.difference(highest, logits) + scaled.log1p(rest)
    return Shares(shares, others, loss)


def normalized_shares(entries: Scaled) -> tuple[Shares, Scaled]:
    """Non-negative numbers over their sum, and that sum [..., 1]."""
    total, rest_of, is_top = _sums(entries)
    shares = entries / total
    others = rest_of / total
    loss = scaled.where(
        is_top, scaled.log1p(rest_of / entries), scaled.log(total / entries)
    )
    return Shares(shares, others, loss), total


def smoothed_targets(labels: Any, smoothing: float) -> Targets:
    """[..., classes] 16-bit weights, smoothed: y (1 - s) + s / classes."""
    classes = labels.shape[-1]
    entries = scaled.of(labels)
    _, others, _ = _sums(entries)
    if not smoothing:
        return Targets(entries, others)
    share = smoothing / classes
    return Targets(
        entries * (1 - smoothing) + share,
        others * (1 - smoothing) + share * (classes - 1),
    )


def sparse_from_logits(ids: Any, logits: Any) -> Terms:
    """Softmax cross-entropy of class ids.

    The gradient of the labelled class is minus the sum of the other
    probabilities, never p - 1.

    Args:
        ids: [...] int32; the loss of one outside [0, classes) is NaN.
        logits: [..., classes] 16-bit.
    """
    own = backend.module().own_kernels(logits)
    if own is not None:
        return _of_kernels(own, ids, logits)
    shares = softmax_shares(logits)
    is_label = one_hot(ids, logits.shape[-1])
    slopes = scaled.where(is_label, -shares.others, shares.of)
    return _of_labels(is_label, shares.loss, slopes)


def _of_kernels(own: Any, ids: Any, logits: Any) -> Terms:
    """The same by one operation, and the way back by another: most need no slopes."""

    def pull(factor: Scaled) -> Any:
        return own.cross_entropies_back(ids, logits, factor.x, factor.exponent)

    return Terms(Scaled(*own.cross_entropies(ids, logits)), pull)


def sparse_from_probabilities(ids: Any, p: Any) -> Terms:
    """-log(c / sum of c) of the labelled class, c being p kept above 1e-7.

    Args:
        ids: [...] int32, as of `sparse_from_logits`.
        p: [..., classes] 16-bit.
    """
    kept, live = _kept(p)
    shares, total = normalized_shares(kept)
    is_label = one_hot(ids, p.shape[-1])
    ones = scaled.of(ops.ones_like(p))
    slopes = scaled.where(is_label, -shares.others / shares.of, ones) / total
    return _of_labels(is_label, shares.loss, scaled.masked(live, slopes))


def from_logits(labels: Any, logits: Any, smoothing: float = 0.0) -> Terms:
    """Softmax cross-entropy of one weight a class.

    Args:
        labels: [..., classes] 16-bit.
        logits: Likewise.
        smoothing: s of y (1 - s) + s / classes.
    """
    shares, y = softmax_shares(logits), smoothed_targets(labels, smoothing)
    # p sum(y) - y, written so that nothing cancels where y is one-hot.
    return _of_rows(y.of * shares.loss, shares.of * y.others - y.of * shares.others)


def focal_from_logits(
    labels: Any, logits: Any, alpha: Any, gamma: float, smoothing: float = 0.0
) -> Terms:
    """The sum of -alpha y (1 - p)**gamma log(p), p = softmax in [1e-7, 1 - 1e-7].

    Args:
        labels: [..., classes] 16-bit.
        logits: Likewise.
        alpha: A number, or one a class.
        gamma: At least 0.
        smoothing: As `from_logits`.
    """
    shares, live = _clipped(softmax_shares(logits))
    y = smoothed_targets(labels, smoothing).of
    losses, pulls = _focal(y, shares, live, alpha, gamma)
    _, others, _ = _sums(pulls)
    return _of_rows(losses, pulls * shares.others - shares.of * others)


def focal_from_probabilities(
    labels: Any, p: Any, alpha: Any, gamma: float, smoothing: float = 0.0
) -> Terms:
    """The same of probabilities, divided by their sum first.

    With alpha 1 and gamma 0 it is Keras' categorical cross-entropy.
    """
    shares, total = normalized_shares(scaled.of(p))
    shares, live = _clipped(shares)
    y = smoothed_targets(labels, smoothing).of
    losses, pulls = _focal(y, shares, live, alpha, gamma)
    _, others, _ = _sums(pulls)
    ratio = scaled.where(live, shares.others / shares.of, pulls * 0.0)
    return _of_rows(losses, (pulls * ratio - others) / total)


def generalized(ids: Any, p: Any, q: float) -> Terms:
    """(1 - p**q) / q of the labelled class.

    Source: Zhang and Sabuncu, arXiv 1805.07836, equation 6.

    Args:
        ids: [...] int32, as of `sparse_from_logits`.
        p: [..., classes] 16-bit.
        q: In (0, 1).
    """
    is_label = one_hot(ids, p.shape[-1])
    entries = scaled.of(p)
    logarithm = ops.maximum(scaled.value(scaled.log(entries)), -(2.0**10))
    losses = scaled.of(-ops.expm1(logarithm * q)) / q
    slopes = -scaled.power(entries, q - 1)
    return _of_labels(is_label, losses, scaled.masked(is_label, slopes))


def divergence(labels: Any, predictions: Any) -> Terms:
    """The sum of y log(y / p), both in [1e-7, 1] (Kullback and Leibler)."""
    y, _ = _kept(ops.minimum(labels, 1))
    p, _ = _kept(ops.minimum(predictions, 1))
    live = ops.logical_and(predictions >= EPSILON, predictions <= 1)
    apart = y - p
    # Of a normal difference the exponent tells the size.
    distance = scaled.normal(apart.x, apart.exponent) / p
    logarithm = scaled.where(
        distance.exponent < -1, scaled.log1p(distance), scaled.log(y / p)
    )
    return _of_rows(y * logarithm, scaled.masked(live, -y / p))


def hinge(labels: Any, predictions: Any) -> Terms:
    """max(0, 1 + max((1 - y) p) - sum(y p))."""
    y, p = scaled.of(labels), scaled.of(predictions)
    no = scaled.difference(ops.ones_like(labels), labels)
    wrong = scaled.value(no * p)
    highest = ops.max(wrong, axis=-1, keepdims=True, initial=-math.inf)
    is_top = ops.cast(ops.equal(wrong, highest), labels.dtype)
    ties = scaled.of(scaled.value(scaled.total(scaled.of(is_top), -1, keepdims=True)))
    right = scaled.total(y * p, -1, keepdims=True)
    margin = scaled.of(highest) - right + 1.0
    dead = margin.x < 0
    slopes = scaled.without(dead, no * scaled.of(is_top) / ties - y)
    return _of_rows(scaled.without(dead, margin), slopes)


def one_hot(ids: Any, classes: int) -> Any:
    """[...] int32 -> [..., classes] boolean; no class where an id is outside."""
    return ops.equal(ops.expand_dims(ids, -1), ops.arange(classes, dtype="int32"))


def _of_labels(is_label: Any, losses: Scaled, slopes: Scaled) -> Terms:
    """The losses of the labelled classes, [..., classes] -> [...]; NaN of no class."""
    known = ops.any(is_label, axis=-1, keepdims=True)
    chosen = scaled.masked(is_label, losses)
    return _of_rows(_or_nan(known, chosen), _or_nan(known, slopes))


def _or_nan(condition: Any, a: Scaled) -> Scaled:
    return Scaled(ops.where(condition, a.x, math.nan), a.exponent)


def _of_rows(losses: Scaled, slopes: Scaled) -> Terms:
    """The sum of elementwise losses along the last axis."""

    def pull(factor: Scaled) -> Any:
        return scaled.saturated(slopes * scaled.expand(factor))

    return Terms(scaled.total(losses, -1), pull)


def _focal(
    y: Scaled, shares: Shares, live: Any, alpha: Any, gamma: float
) -> tuple[Scaled, Scaled]:
    """The losses, and their derivatives by p times p."""
    factor = y * scaled.constant(alpha, y.dtype) if np.any(alpha != 1) else y
    if not gamma:
        return factor * shares.loss, scaled.masked(live, -factor)
    tilt = scaled.power(shares.others, gamma)
    slope = scaled.power(shares.others, gamma - 1) * shares.loss * shares.of * gamma
    return factor * tilt * shares.loss, scaled.masked(live, -factor * (slope + tilt))


def _clipped(shares: Shares) -> tuple[Shares, Any]:
    """The losses of p kept in [1e-7, 1 - 1e-7], and where p was inside."""
    tiny = scaled.constant(EPSILON, shares.of.dtype)
    low, high = (_below(a, tiny) for a in (shares.of, shares.others))
    loss = scaled.where(high, tiny, scaled.where(low, -scaled.log(tiny), shares.loss))
    live = ops.logical_not(ops.logical_or(low, high))
    return dataclasses.replace(shares, loss=loss), live


def _kept(p: Any) -> tuple[Scaled, Any]:
    """Numbers kept above 1e-7, and where they were in [1e-7, 1)."""
    low = p < EPSILON
    kept = scaled.where(low, scaled.constant(EPSILON, bits.name_of(p)), scaled.of(p))
    return kept, ops.logical_not(ops.logical_or(low, p >= 1))


def _sums(entries: Scaled) -> tuple[Scaled, Scaled, Any]:
    """The sum along the last axis [..., 1], and for each entry that of the others.

    The sum without the largest is taken by itself: it must not be the difference
    of two almost equal numbers.

    Returns:
        (sum, sums of the others, which entry is the largest in magnitude).
    """
    mantissa = bits.format_of(entries.x).mantissa
    fraction = ops.bitwise_and(bits.as_bits(entries.x), (1 << mantissa) - 1)
    order = ops.left_shift(entries.exponent, mantissa) + fraction
    is_top = one_hot(ops.cast(ops.argmax(order, axis=-1), "int32"), entries.x.shape[-1])
    rest = scaled.total(scaled.without(is_top, entries), -1, keepdims=True)
    top = scaled.total(scaled.masked(is_top, entries), -1, keepdims=True)
    total = rest + top
    return total, scaled.where(is_top, rest, total - entries), is_top


def _below(a: Scaled, b: Scaled) -> Any:
    return (a - b).x < 0
