"""Losses of real numbers: values and derivatives in 16 bits.

Each function takes labels and predictions of one 16-bit dtype and shape [..., n]
and gives `Terms` of shape [...].
"""

from __future__ import annotations

from typing import Any

from keras import ops

from keras16.numerics import scaled
from keras16.numerics.scaled import Scaled
from keras16.numerics.terms import Terms, of_elements

# Keras' own guard against division by 0 and the logarithm of 0.
EPSILON = 1e-7


def squared_error(labels: Any, predictions: Any) -> Terms:
    """(p - y)**2."""
    error = scaled.difference(predictions, labels)
    return of_elements(error * error, error * 2.0)


def absolute_error(labels: Any, predictions: Any) -> Terms:
    """abs(p - y); its derivative at 0 is 0."""
    error = scaled.difference(predictions, labels)
    return of_elements(abs(error), sign(error))


def absolute_percentage_error(labels: Any, predictions: Any) -> Terms:
    """100 abs((y - p) / max(abs(y), 1e-7))."""
    error = scaled.difference(predictions, labels)
    size = at_least_epsilon(ops.abs(labels))
    return of_elements(100.0 * abs(error) / size, 100.0 * sign(error) / size)


def squared_logarithmic_error(labels: Any, predictions: Any) -> Terms:
    """(log(1 + p) - log(1 + y))**2, p and y at least 1e-7.

    The difference of the logarithms is taken as log1p of a quotient: what they
    have in common would take the digits of the rest with it.
    """
    floor = ops.cast(EPSILON, predictions.dtype)
    p, y = ops.maximum(predictions, floor), ops.maximum(labels, floor)
    error = scaled.difference(p, y)
    below = scaled.of(ops.minimum(p, y)) + 1.0
    distance = scaled.log1p(abs(error) / below)
    slope = sign(error) * distance * 2.0 / (scaled.of(p) + 1.0)
    live = predictions >= floor
    return of_elements(distance * distance, scaled.masked(live, slope))


def huber(labels: Any, predictions: Any, delta: float = 1.0) -> Terms:
    """Half the squared error up to delta, linear beyond it."""
    error = scaled.difference(predictions, labels)
    size = abs(error)
    bound = scaled.constant(delta, size.dtype)
    inside = scaled.where(_below(size, bound), size, bound + size * 0.0)
    return of_elements(inside * (size - inside * 0.5), sign(error) * inside)


def log_cosh(labels: Any, predictions: Any) -> Terms:
    """log(cosh(p - y)).

    By its own formula, x + softplus(-2 x) - log(2), all digits of a small result
    cancel. Three ranges instead: x**2 / 2, -log1p(-tanh(x)**2) / 2 and, beyond 1,
    abs(x) plus what is left.
    """
    error = scaled.difference(predictions, labels)
    size = abs(error)
    x = scaled.value(size)
    tanh = scaled.of(ops.tanh(x))
    near = -scaled.of(ops.log1p(-scaled.value(tanh * tanh))) * 0.5
    far = size + scaled.of(ops.log1p(ops.exp(-2 * x)))
    far = far - scaled.LOG_2_HIGH - scaled.LOG_2_LOW
    tiny = size.exponent < -6
    losses = scaled.where(tiny, size * size * 0.5, scaled.where(x < 1, near, far))
    return of_elements(losses, sign(error) * scaled.where(tiny, size, tanh))


def poisson(labels: Any, predictions: Any) -> Terms:
    """P - y log(p + 1e-7)."""
    shifted = scaled.of(predictions) + EPSILON
    error = scaled.difference(predictions, labels) + EPSILON
    losses = scaled.of(predictions) - scaled.of(labels) * scaled.log(shifted)
    return of_elements(losses, error / shifted)


def cosine_similarity(labels: Any, predictions: Any, axis: int = -1) -> Terms:
    """The cosine of the angle between y and p, as Keras' metric has it.

    A vector shorter than 1e-7 is divided by 1e-7 instead of its length.
    """
    y, _, _ = unit_vectors(labels, axis)
    p, length, is_unit = unit_vectors(predictions, axis)
    cosine = scaled.total(y * p, axis, keepdims=True)

    def pull(factor: Scaled) -> Any:
        across = (y - scaled.masked(is_unit, p * cosine)) / length
        return scaled.saturated(across * scaled.expand(factor, axis))

    return Terms(scaled.total(cosine, axis), pull)


def unit_vectors(x: Any, axis: int) -> tuple[Scaled, Scaled, Any]:
    """Vectors along an axis over their length; that length; whether it is 1e-7."""
    entries = scaled.of(x)
    length = scaled.square_root(scaled.total(entries * entries, axis, keepdims=True))
    # 1.5 x 2**-24 lies between the two float16 next to 1e-7.
    is_unit = scaled.value(length) >= EPSILON
    floor = scaled.constant(EPSILON, length.dtype)
    length = scaled.where(is_unit, length, floor)
    return entries / length, length, is_unit


def at_least_epsilon(x: Any) -> Scaled:
    """The larger of a non-negative tensor and 1e-7."""
    floor = scaled.constant(EPSILON, scaled.of(x).dtype)
    # 1.5 x 2**-24: between the two float16 next to 1e-7.
    return scaled.where(x < EPSILON, floor, scaled.of(x))


def sign(a: Scaled) -> Scaled:
    """-1, 0 or 1; NaN of NaN."""
    one = ops.sign(a.x)
    return Scaled(one, scaled.ZERO_EXPONENT * ops.cast(one == 0, "int32"))


def _below(a: Scaled, b: Scaled) -> Any:
    return scaled.value(a) <= scaled.value(b)
