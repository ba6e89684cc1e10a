"""Cross-entropies of independent yes-or-no labels, from logits or probabilities.

Labels y in [0, 1] and predictions have one 16-bit dtype and shape [..., n]; the
results are elementwise: a loss and its derivative by the prediction.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from keras import ops

from keras16.numerics import scaled
from keras16.numerics.regression import EPSILON
from keras16.numerics.scaled import Scaled


@dataclasses.dataclass(frozen=True)
class Chances:
    """A yes-or-no question for each element, [..., n].

    Attributes:
        yes: Its probability p.
        no: 1 - p, with all its own digits.
        loss_of_yes: -log(p), p at least 1e-7 where it was given as a probability.
        loss_of_no: -log(1 - p), likewise.
        live: Where the loss depends on the prediction; None is everywhere.
    """

    yes: Scaled
    no: Scaled
    loss_of_yes: Scaled
    loss_of_no: Scaled
    live: Any = None


@dataclasses.dataclass(frozen=True)
class Labels:
    """What the answer is: y and 1 - y, [..., n]."""

    yes: Scaled
    no: Scaled


def smoothed_labels(labels: Any, smoothing: float) -> Labels:
    """Y (1 - s) + s / 2, and 1 minus that, of 16-bit labels."""
    yes, no = scaled.of(labels), scaled.difference(ops.ones_like(labels), labels)
    if not smoothing:
        return Labels(yes, no)
    return Labels(*(a * (1 - smoothing) + smoothing / 2 for a in (yes, no)))


def chances_of_logits(logits: Any) -> Chances:
    """The chances sigmoid(z) of logits z."""
    size = ops.abs(logits)
    small = scaled.exponential(-size, ops.zeros_like(size))
    small = scaled.normal(small.x, small.exponent)
    less_likely, likely = small / (small + 1.0), 1.0 / (small + 1.0)
    loss_of_likely = scaled.log1p(small)
    loss_of_other = scaled.of(size) + loss_of_likely
    positive = logits > 0
    return Chances(
        yes=scaled.where(positive, likely, less_likely),
        no=scaled.where(positive, less_likely, likely),
        loss_of_yes=scaled.where(positive, loss_of_likely, loss_of_other),
        loss_of_no=scaled.where(positive, loss_of_other, loss_of_likely),
    )


def chances_of_logits_clipped(logits: Any) -> Chances:
    """Those of sigmoid(z), kept in [1e-7, 1 - 1e-7] as Keras' focal loss keeps them."""
    chances = chances_of_logits(logits)
    tiny = scaled.constant(EPSILON, chances.yes.dtype)
    live = ops.logical_and(*(_at_least(a, tiny) for a in (chances.yes, chances.no)))
    # log(1e-7) and log(1 - 1e-7).
    most, least = (scaled.constant(v, tiny.dtype) for v in (16.11809565, EPSILON))
    yes = scaled.where(logits > 0, least, most)
    no = scaled.where(logits > 0, most, least)
    return dataclasses.replace(
        chances,
        loss_of_yes=scaled.where(live, chances.loss_of_yes, yes),
        loss_of_no=scaled.where(live, chances.loss_of_no, no),
        live=live,
    )


def chances_of_probabilities(p: Any) -> Chances:
    """The chances of probabilities, which the losses see in [1e-7, 1 - 1e-7]."""
    yes, no = scaled.of(p), scaled.difference(ops.ones_like(p), p)
    tiny = scaled.constant(EPSILON, yes.dtype)
    # NaN stays alive, and stays NaN.
    outside = ops.logical_or(p < EPSILON, p >= 1)
    return Chances(
        yes=yes,
        no=no,
        loss_of_yes=_loss_of(p, yes, tiny),
        loss_of_no=_loss_of_complement(p, tiny),
        live=ops.logical_not(outside),
    )


def cross_entropy(labels: Labels, chances: Chances) -> Scaled:
    """-y log(p) - (1 - y) log(1 - p)."""
    return labels.yes * chances.loss_of_yes + labels.no * chances.loss_of_no


def slope(labels: Labels, chances: Chances, by_logit: bool) -> Scaled:
    """The derivative of the cross-entropy by the logit z, or by p = sigmoid(z).

    P - y, or that over p (1 - p): written so that nothing cancels where y is 0 or 1.
    """
    result = chances.yes * labels.no - chances.no * labels.yes
    if not by_logit:
        result = result / chances.yes / chances.no
    return result if chances.live is None else scaled.masked(chances.live, result)


def focal(
    labels: Labels,
    chances: Chances,
    gamma: float,
    weight: Scaled | None,
    by_logit: bool,
) -> tuple[Scaled, Scaled]:
    """Weight x q**gamma x cross-entropy, q being the chance of the wrong answer.

    Source: Lin et al., arXiv 1708.02002, equation 5.

    Returns:
        (loss, its derivative by the logit of p or by p).
    """
    wrong = labels.yes * chances.no + labels.no * chances.yes
    entropy = cross_entropy(labels, chances)
    factor = scaled.power(wrong, gamma)
    fall = factor * slope(labels, chances, by_logit)
    if gamma:
        # d q / d p = 1 - 2 y
        turn = (labels.no - labels.yes) * entropy * gamma
        turn = turn * chances.yes * chances.no if by_logit else turn
        fall = fall + turn * scaled.power(wrong, gamma - 1)
    loss = factor * entropy
    return (loss, fall) if weight is None else (loss * weight, fall * weight)


def balance(labels: Labels, alpha: float) -> Scaled:
    """Y alpha + (1 - y) (1 - alpha)."""
    return labels.yes * alpha + labels.no * (1 - alpha)


def _loss_of(p: Any, yes: Scaled, tiny: Scaled) -> Scaled:
    loss = -scaled.log(scaled.where(p < EPSILON, tiny, yes))
    return scaled.where(p >= 1, tiny, loss)


def _loss_of_complement(p: Any, tiny: Scaled) -> Scaled:
    most = -scaled.log(tiny)
    inside = ops.where(ops.logical_and(p > 0, p < 1), p, ops.zeros_like(p))
    loss = -_log_of_complement(inside)
    loss = scaled.where(p < EPSILON, tiny, scaled.where(p >= 1, most, loss))
    return scaled.where(ops.isnan(p), scaled.of(p), loss)


def _log_of_complement(p: Any) -> Scaled:
    """log(1 - p) for p in [0, 1): 1 - p is exact from 1/2 on."""
    near = scaled.of(ops.log(1 - ops.maximum(p, ops.cast(0.5, p.dtype))))
    return scaled.where(p >= 0.5, near, scaled.log1p(-scaled.of(p)))


def _at_least(a: Scaled, b: Scaled) -> Any:
    return (a - b).x >= 0
