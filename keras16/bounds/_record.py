"""What each operation of a net was given and gave, on one batch."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras16.layers._activations import stock

LINEAR, ACTIVATION, WHOLE = "linear", "activation", "whole"


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of one layer or operation.

    Attributes:
        operation: That was called.
        part: "linear" for a layer without its activation, "activation" for that
            alone, "whole" for all else.
        inputs: The tensors that it was given.
        others: The numbers that it was given besides.
        output: The tensor that it gave; None where it is none or several.
    """

    operation: Any
    part: str
    inputs: tuple[Any, ...]
    others: tuple[Any, ...]
    output: Any

    @property
    def name(self) -> str:
        """Of the layer or operation."""
        suffix = " activation" if self.part == ACTIVATION else ""
        return f"{self.operation.name}{suffix}"


@dataclasses.dataclass(frozen=True)
class Recording:
    """All calls of a net, in their order.

    Attributes:
        calls: In their order.
        input: The tensor that the net was given.
        output: The tensor that it gave; logits, where a softmax was its last call.
    """

    calls: tuple[Call, ...]
    input: Any
    output: Any


def record(model: Any, x: Any) -> Recording:
    """Calls a net, operation by operation, and keeps what each gave.

    Args:
        model: Made of layers and of operations of Keras.
        x: [n, ...] of the dtype that the net computes in.
    """
    calls: list[Call] = []
    x = keras.ops.convert_to_tensor(x)
    with _watched(model, calls):
        output = model(x, training=False)
    if calls and calls[-1].output is output and is_softmax(calls[-1]):
        output = calls.pop().inputs[0]
    return Recording(tuple(calls), x, output)


def operations(model: Any) -> Iterator[Any]:
    """The layers and operations of a net, those of nested nets included."""
    for operation in getattr(model, "operations", model.layers):
        if isinstance(operation, keras.layers.InputLayer):
            continue
        if isinstance(operation, keras.Model):
            yield from operations(operation)
        else:
            yield operation


def values(tensor: Any) -> np.ndarray:
    """The numbers of a tensor, float64."""
    return np.asarray(keras.ops.convert_to_numpy(tensor)).astype("float64")


@contextlib.contextmanager
def _watched(model: Any, calls: list[Call]) -> Iterator[None]:
    watched = {id(operation): operation for operation in operations(model)}
    for operation in watched.values():
        operation.call = _watching(operation, calls)
    try:
        yield
    finally:
        for operation in watched.values():
            del operation.call


def _watching(operation: Any, calls: list[Call]) -> Any:
    original = operation.call

    def call(*arguments: Any, **named: Any) -> Any:
        given = keras.tree.flatten((arguments, named))
        inputs = tuple(one for one in given if keras.ops.is_tensor(one))
        others = tuple(one for one in given if type(one) in (int, float))
        if not _has_activation(operation):
            output = original(*arguments, **named)
            calls.append(Call(operation, WHOLE, inputs, others, _single(output)))
            return output
        activation, operation.activation = operation.activation, None
        try:
            linear = original(*arguments, **named)
        finally:
            operation.activation = activation
        output = activation(linear)
        calls.append(Call(operation, LINEAR, inputs, others, linear))
        calls.append(Call(operation, ACTIVATION, (linear,), (), output))
        return output

    return call


def _has_activation(operation: Any) -> bool:
    """Whether it is a layer that ends with an activation and does without it."""
    if isinstance(operation, keras.layers.Activation):
        return False
    activation = getattr(operation, "activation", None)
    is_product = hasattr(operation, "kernel")
    return is_product and activation not in (None, keras.activations.linear)


def _single(output: Any) -> Any:
    return output if keras.ops.is_tensor(output) else None


def is_softmax(call: Call) -> bool:
    """Whether a call is a softmax along the last axis, of its own or in a layer."""
    operation = call.operation
    if call.part == WHOLE and isinstance(operation, keras.layers.Softmax):
        return operation.axis == -1
    if call.part == LINEAR or not hasattr(operation, "activation"):
        return False
    return stock(operation.activation) is keras.activations.softmax
