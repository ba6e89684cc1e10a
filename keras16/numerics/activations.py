"""Activations in 16 bits, value and slope each to a few units in the last place.

TensorFlow's own take slopes from rounded values (1 - y**2 of tanh is 0 from 4.2 on,
where the true slope is 9e-4) and square or exponentiate what then overflows. Here
both are written with e = exp(-abs(x)), which is in (0, 1] and never cancels.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from keras import ops

from keras16 import backend
from keras16.numerics import norms
from keras16.numerics.derivatives import by_hand

# (value, slope) of a tensor, both of its shape and dtype.
Rule = Callable[[Any], tuple[Any, Any]]


def differentiable(rule: Rule, x: Any) -> Any:
    """The value of a rule at x, its gradient the incoming one times the slope."""

    @by_hand
    def activate(x):
        # One loop, since both need the same exponentials.
        value, slope = backend.one_pass(rule)(x)

        return value, lambda gradient: gradient * slope

    return activate(x)


def sigmoid(x: Any) -> tuple[Any, Any]:
    """1 / (1 + exp(-x))."""
    e = ops.exp(-ops.abs(x))
    share = 1 / (1 + e)
    return ops.where(x < 0, e * share, share), e * share * share


def tanh(x: Any) -> tuple[Any, Any]:
    """The hyperbolic tangent."""
    e = ops.exp(-2 * ops.abs(x))
    share = 2 / (1 + e)
    return ops.tanh(x), e * share * share


def softplus(x: Any) -> tuple[Any, Any]:
    """log(1 + exp(x))."""
    e = ops.exp(-ops.abs(x))
    return ops.maximum(x, 0) + ops.log1p(e), sigmoid(x)[0]


def log_sigmoid(x: Any) -> tuple[Any, Any]:
    """-softplus(-x)."""
    value, slope = softplus(-x)
    return -value, slope


def silu(x: Any) -> tuple[Any, Any]:
    """X times sigmoid(x)."""
    e = ops.exp(-ops.abs(x))
    share = 1 / (1 + e)
    low = e * share
    own, other = ops.where(x < 0, low, share), ops.where(x < 0, share, low)
    # e underflows before abs(x) e does; far out there is nothing to add.
    return x * own, own * (1 + _bounded(x) * other)


@functools.cache
def elu(alpha: float) -> Rule:
    """Alpha (exp(x) - 1) below 0, x above."""

    def rule(x):
        low = ops.minimum(x, 0)
        value = ops.where(x < 0, alpha * ops.expm1(low), x)
        return value, ops.where(x < 0, alpha * ops.exp(low), ops.ones_like(x))

    return rule


@functools.cache
def celu(alpha: float) -> Rule:
    """Alpha (exp(x / alpha) - 1) below 0, x above."""

    def rule(x):
        low = ops.minimum(x, 0) / alpha
        return ops.maximum(x, 0) + alpha * ops.expm1(low), ops.exp(low)

    return rule


def selu(x: Any) -> tuple[Any, Any]:
    """Scale x elu(x), of Klambauer et al., arXiv 1706.02515."""
    alpha, scale = 1.6732632423543772, 1.0507009873554805
    low = ops.minimum(x, 0)
    value = ops.where(x < 0, (scale * alpha) * ops.expm1(low), scale * x)
    slope = ops.where(x < 0, (scale * alpha) * ops.exp(low), scale * ops.ones_like(x))
    return value, slope


def softsign(x: Any) -> tuple[Any, Any]:
    """X / (1 + abs(x))."""
    share = 1 / (1 + ops.abs(x))
    return x / (1 + ops.abs(x)), share * share


@functools.cache
def squareplus(b: float) -> Rule:
    """(x + sqrt(x**2 + b)) / 2."""

    def rule(x):
        large = ops.abs(x)
        root = norms.hypot(large, math.sqrt(b) * ops.ones_like(x))
        high = large / 2 + root / 2
        low = (b / 4) / ops.maximum(high, 2.0**-14)
        value = ops.where(x < 0, low, high)
        return value, value / ops.maximum(root, 2.0**-14)

    return rule


def mish(x: Any) -> tuple[Any, Any]:
    """X tanh(softplus(x)), of Misra, arXiv 1908.08681."""
    e = ops.exp(-ops.abs(x))
    # tanh(softplus) is up / down, and 1 minus its square 4 (rest / down)**2.
    low = e * (e + 2)
    up = ops.where(x < 0, low, 1 + 2 * e)
    down = ops.where(x < 0, low + 2, 1 + 2 * e * (1 + e))
    share = up / down
    rest = ops.where(x < 0, 1 + e, e * (1 + e)) / down
    # Its sigmoid over (1 + e), so that both roots of `rest` stay in range.
    inner = ops.where(x < 0, e, ops.ones_like(e)) / (1 + e)
    return x * share, share + _bounded(x) * inner * (4 * rest * rest)


def tanh_shrink(x: Any) -> tuple[Any, Any]:
    """X - tanh(x), by its series below 1/2, where the difference cancels."""
    t = ops.tanh(x)
    square = ops.where(ops.abs(x) < 1, x * x, ops.ones_like(x))
    series = 1.0 / 3
    terms = (-2 / 15, 17 / 315, -62 / 2835, 1382 / 155925)
    polynomial = ops.zeros_like(x)
    for term in reversed(terms):
        polynomial = (polynomial + term) * square
    small = x * (square * (series + polynomial))
    return ops.where(ops.abs(x) < 0.5, small, x - t), t * t


def gelu(x: Any) -> tuple[Any, Any]:
    """X times the normal distribution function of x.

    Below -1 by formula 7.1.26 of Abramowitz and Stegun, whose error of 1.5e-7 is
    less than what 1 + erf(x) would lose.
    """
    z = _bounded(x)
    high = 0.5 * (1 + ops.erf(z * math.sqrt(0.5)))
    bell = ops.exp(-0.5 * (z * z))
    share = 1 / (1 + (0.3275911 * math.sqrt(0.5)) * ops.abs(z))
    tail = ops.zeros_like(x)
    for term in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        tail = (tail + term) * share
    below = ops.where(z < -1, 0.5 * tail * bell, high)
    return x * below, below + z * bell * (1 / math.sqrt(2 * math.pi))


def approximate_gelu(x: Any) -> tuple[Any, Any]:
    """Gelu by a tanh, that is x times a sigmoid (Hendrycks, arXiv 1606.08415)."""
    z = _bounded(x)
    factor, cubic = 2 * math.sqrt(2 / math.pi), 0.044715
    inner = factor * z * (1 + cubic * z * z)
    own, slope = sigmoid(inner)
    return x * own, own + z * slope * (factor * (1 + 3 * cubic * z * z))


def _bounded(x: Any) -> Any:
    """X where an exponential of it is not 0 or 1 already: squares stay finite."""
    return ops.clip(x, -20.0, 20.0)
