"""Functions whose gradients are written by hand.

Autograd goes wrong in 16 bits: it squares what then overflows, and adds what then
stalls. A gradient by hand is a function like any other, and autograd differentiates
it again where it is made of floats alone. Where it reads the bits of a float it is not:
a bit has no derivative, and what came out would lack a part, or be 0, without a word.
Such a gradient refuses instead.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras16.errors import no_second_derivative

# Of tensors, to (outputs, backward); backward takes the gradient of the first output
# and gives one for each tensor.
ByHand = Callable[..., tuple[Any, Callable[[Any], Any]]]


def by_hand(function: ByHand) -> Callable[..., Any]:
    """A function with its gradient by hand, which autograd may differentiate again.

    Args:
        function: Of 16-bit tensors, to (outputs, backward). What backward takes is the
            gradient of the first output: the others have none.
    """

    @ops.custom_gradient
    @functools.wraps(function)
    def differentiable(*tensors: Any) -> Any:
        outputs, backward = function(*tensors)
        # One argument for each output, or one that holds them all (JAX).
        return outputs, lambda *upstream: backward(keras.tree.flatten(upstream)[0])

    return differentiable


def by_hand_once(what: str) -> Callable[[ByHand], Callable[..., Any]]:
    """As `by_hand`, for a gradient that reads bits: its own gradient is an error.

    Args:
        what: What the user will be told has no second derivative.
    """

    def refuse(*_: Any) -> Any:
        raise no_second_derivative(what)

    # Of all that the gradients depend on: where bits were read, nothing is left in the
    # gradients themselves for autograd to follow.
    @ops.custom_gradient
    def final(gradients: Any, *_: Any) -> Any:
        return gradients, refuse

    def decorate(function: ByHand) -> Callable[..., Any]:
        @by_hand
        @functools.wraps(function)
        def once(*tensors: Any) -> Any:
            outputs, backward = function(*tensors)
            return outputs, lambda upstream: final(
                backward(upstream), upstream, *tensors
            )

        return once

    return decorate
