"""Activations: their exact values and slopes, and how far they bend.

What a 16-bit activation rounds is not bounded but known: its inputs are at hand, and
float64 gives the function to twelve digits more. Between x and x* with |x - x*| <= e,

    f(x) - f(x*) - f'(x) (x - x*)

is at most curvature / 2 e^2, and for each kink in between the jump of the slope there
times what lies beyond it; and f(x) - f(x*) is at most lipschitz e.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers
from scipy import special

from keras16.bounds._record import ACTIVATION, Call
from keras16.bounds._step import Array, Step, combined, distance
from keras16.layers._activations import stock


@dataclasses.dataclass(frozen=True)
class Function:
    """A function of one number.

    Attributes:
        value: float64 -> float64.
        slope: Its derivative; either one at a kink.
        lipschitz: At least every |slope|.
        curvature: At least every second derivative, where there is one.
        kinks: (place, how much the slope jumps there).
        convex: Whether its slope nowhere falls.
    """

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    lipschitz: float
    curvature: float = 0.0
    kinks: tuple[tuple[float, float], ...] = ()
    convex: bool = False


def function_of(call: Call) -> Function | None:
    """What a call computes elementwise; None if it is not known to be anything."""
    operation = call.operation
    if call.part == ACTIVATION or isinstance(operation, layers.Activation):
        return _of_keras(operation.activation)
    if isinstance(operation, layers.ReLU):
        return _relu_layer(operation)
    if isinstance(operation, layers.LeakyReLU):
        return _relu(float(operation.negative_slope))
    if isinstance(operation, layers.ELU):
        return _elu(float(operation.alpha))
    if isinstance(operation, layers.Layer) or call.others:
        return None
    return _NAMED.get(_OPERATIONS.get(type(operation).__name__, ""))


def _of_keras(activation: Any) -> Function | None:
    """One of Keras' activations or its 16-bit equal, with its default arguments."""
    own = stock(activation)
    name = getattr(own, "__name__", "")
    if getattr(keras.activations, name, None) is not own:
        return None
    return _NAMED.get(name)


def step(function: Function, x: Array, error: Array, y: Array) -> Step:
    """The step of an elementwise function.

    Args:
        function: What it computes.
        x: float64, what it was given.
        error: The bound on that.
        y: float64, what it gave.
    """
    slope = function.slope(x)
    steep = np.abs(slope) * error
    bend = np.minimum(_bend(function, x, error), function.lipschitz * error + steep)
    local = distance(y, function.value(x))
    moved = np.minimum(steep + bend, function.lipschitz * error)
    one_sided = function.convex
    stepped = combined(
        steep, local if one_sided else local + bend, _by(slope.astype("float32"))
    )
    return dataclasses.replace(
        stepped, error=moved + local, drop=bend if one_sided else None
    )


def softmax(x: Array, error: Array, y: Array) -> Step:
    """The step of a softmax along the last axis.

    Between x and x* with |x - x*| <= c, no probability p changes by more than the
    factor exp(2 c), and the second derivative along a direction e, which is
    p ((e - mean)^2 - variance) under p, is at most p (2 c)^2 at x.
    """
    exact = special.softmax(x, axis=-1)
    largest = np.max(error, axis=-1, keepdims=True)
    growth = np.exp(2 * largest)
    bend = 2 * exact * growth * largest**2
    local = distance(y, exact)
    mean = np.sum(exact * error, axis=-1, keepdims=True)
    moved = exact * (error + mean)
    most = np.minimum(exact * (growth - 1), 1.0)
    narrow = exact.astype("float32")

    def pull(slopes: Array) -> tuple[Array]:
        along = np.sum(slopes * narrow, axis=-1, keepdims=True)
        return (narrow * (slopes - along),)

    stepped = combined(moved, local + np.minimum(bend, most + moved), pull, x.shape[-1])
    return dataclasses.replace(stepped, error=np.minimum(moved + bend, most) + local)


def scaled(x: Array, error: Array, y: Array, slope: Array, offset: Array) -> Step:
    """The step of x slope + offset, whose constants are known in float64."""
    size = np.abs(x * slope) + np.abs(offset)
    local = distance(y, x * slope + offset, size)
    moved = np.abs(slope) * error
    narrow = np.broadcast_to(slope, x.shape).astype("float32")
    return combined(moved, local, _by(narrow))


def _by(slope: Array) -> Callable[[Array], tuple[Array]]:
    return lambda slopes: (slopes * slope,)


def _bend(function: Function, x: Array, error: Array) -> Array:
    bend = function.curvature / 2 * error**2
    for place, jump in function.kinks:
        bend = bend + jump * np.maximum(error - np.abs(x - place), 0)
    return bend


def _relu_layer(layer: layers.ReLU) -> Function | None:
    if layer.threshold:
        return None
    return _relu(float(layer.negative_slope or 0), layer.max_value)


def _relu(below: float, highest: Any = None) -> Function:
    kinks = [(0.0, abs(1 - below))]
    top = math.inf if highest is None else float(highest)
    if highest is not None:
        kinks.append((top, 1.0))
    return Function(
        lambda x: np.minimum(np.where(x > 0, x, below * x), top),
        lambda x: np.where(x > 0, np.where(x < top, 1.0, 0.0), below),
        max(1.0, abs(below)),
        kinks=tuple(kinks),
        convex=highest is None and below <= 1,
    )


def _elu(alpha: float, scale: float = 1.0) -> Function:
    return Function(
        lambda x: scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
        lambda x: scale * np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0))),
        scale * max(1.0, abs(alpha)),
        scale * abs(alpha),
        ((0.0, scale * abs(1 - alpha)),),
        convex=0 <= alpha <= 1,
    )


def _sigmoid_slope(x: Array) -> Array:
    return special.expit(x) * special.expit(-x)


def _hard_sigmoid(x: Array) -> Array:
    return np.clip(x / 6 + 0.5, 0, 1)


def _is_between(x: Array) -> Array:
    return np.where(np.abs(x) < 3, 1.0, 0.0)


_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805
_HARD_SILU = Function(
    lambda x: x * _hard_sigmoid(x),
    lambda x: np.where(x >= 3, 1.0, _is_between(x) * (2 * x + 3) / 6),
    1.5,
    1 / 3,
    ((-3.0, 0.5), (3.0, 0.5)),
)
_NAMED = {
    "linear": Function(lambda x: x, np.ones_like, 1.0),
    "relu": _relu(0.0),
    "relu6": _relu(0.0, 6.0),
    "leaky_relu": _relu(0.2),
    "elu": _elu(1.0),
    "selu": _elu(_SELU_ALPHA, _SELU_SCALE),
    "sigmoid": Function(special.expit, _sigmoid_slope, 0.25, 0.1),
    "tanh": Function(np.tanh, lambda x: 1 - np.tanh(x) ** 2, 1.0, 0.77),
    "silu": Function(
        lambda x: x * special.expit(x),
        lambda x: special.expit(x) + x * _sigmoid_slope(x),
        1.1,
        0.5,
    ),
    "softplus": Function(
        lambda x: np.logaddexp(x, 0), special.expit, 1.0, 0.25, (), True
    ),
    "softsign": Function(
        lambda x: x / (1 + np.abs(x)), lambda x: (1 + np.abs(x)) ** -2.0, 1.0, 2.0
    ),
    "hard_sigmoid": Function(
        _hard_sigmoid,
        lambda x: _is_between(x) / 6,
        1 / 6,
        0.0,
        ((-3, 1 / 6), (3, 1 / 6)),
    ),
    "hard_silu": _HARD_SILU,
    "hard_swish": _HARD_SILU,
    "gelu": Function(
        lambda x: x * special.ndtr(x),
        lambda x: special.ndtr(x) + x * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi),
        1.13,
        0.8,
    ),
}
# Operations without arguments of their own.
_OPERATIONS = {
    name: name.lower()
    for name in ("Relu", "Relu6", "Sigmoid", "Silu", "Softplus", "Softsign", "Tanh")
}
