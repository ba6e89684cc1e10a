"""Where an operation of a traced step comes from: layer, line or part of Keras."""

from __future__ import annotations

import collections
import functools
import os
from typing import Any

from keras16.backend.source import (
    BACKEND,
    UNKNOWN,
    after,
    code,
    in_layers,
    innermost,
    is_layer_call,
    layers_of,
    line_of,
    prefixes,
)

Scopes = dict[tuple[Any, str], Any]
"""(graph, name scope) -> the Keras object that opened it."""

GRADIENT_SCOPE = "gradient_tape/"
FORWARD_NAME = "forward_function_name"  # TensorFlow's mark on a gradient function
TRACER = BACKEND + "tensorflow_graph.py"
TAPE = os.path.join("tensorflow", "python", "eager", "backprop.py")


class Sources:
    """Names the source of operations: the layer, else the line, else Keras' part.

    Whoever walks the graphs notes each call before asking about what it calls.
    """

    def __init__(self, model: Any, scopes: Scopes, inputs: dict[tuple[Any, str], str]):
        self._model = model
        self._scopes = scopes
        self._inputs = inputs
        self._callers: dict[Any, Any] = {}  # graph of a function -> who calls it
        self._calls: dict[str, Any] = {}  # name of a function -> who calls it
        self._forward_names: dict[Any, str] = {}
        self._found: dict[Any, str] = {}
        self._named = functools.cache(_named)

    def note_call(self, operation: Any, function: Any) -> None:
        """Takes down that an operation calls a function; the first call stands."""
        self._callers.setdefault(function.graph, operation)
        self._calls.setdefault(function.name.decode(), operation)
        attributes = function.cached_definition.attr
        if FORWARD_NAME in attributes:  # this is a call of a function's gradient
            self._forward_names[operation] = attributes[FORWARD_NAME].s.decode()

    def of(self, operation: Any) -> str:
        """The source of one operation; never empty."""
        return self._source(operation) or line_of(_step_frames(operation)) or UNKNOWN

    def _source(self, operation: Any) -> str:
        if operation not in self._found:
            self._found[operation] = self._find(operation)
        return self._found[operation]

    def _find(self, operation: Any) -> str:
        key = operation.graph, operation.name
        if key in self._inputs:
            return self._inputs[key]
        owners = self._owners(operation)
        return (
            self._layer(operation, owners)
            or code(_frames(operation), owners)
            or self._origin(operation)
            or innermost(owners)
        )

    def _owners(self, operation: Any) -> list[Any]:
        """The Keras objects whose scopes the operation is in, the outermost first."""
        call = self._callers.get(operation.graph) or self._forward_call(operation)
        owners = [] if call is None else self._owners(call)
        for scope in reversed(prefixes(_without_gradient(operation.name))):
            owner = self._scopes.get((operation.graph, scope))
            if owner is not None and not any(owner is known for known in owners):
                owners.append(owner)
        return owners

    def _layer(self, operation: Any, owners: list[Any]) -> str:
        """`block/dense (keras Dense)`; with the line where a user's code is at work."""
        layers = layers_of(owners, self._model)
        if not layers:
            return ""
        line = line_of(after(_frames(operation), is_layer_call))
        forward = self._forward(operation)
        if not line and forward is not None:
            line = line_of(after(_frames(forward), is_layer_call))
        return in_layers(layers, line)

    def _forward(self, operation: Any) -> Any:
        call = self._forward_call(operation)
        return call or _forward(operation, self._named(operation.graph))

    def _forward_call(self, operation: Any) -> Any:
        return self._calls.get(self._forward_names.get(operation, ""))

    def _origin(self, operation: Any) -> str:
        """The source of what the framework made this operation for."""
        forward = self._forward(operation)
        if forward is not None:
            return self._source(forward)
        call = self._callers.get(operation.graph)
        if call is not None:
            return self._source(call)
        # Such as AddN, which sums the gradients of one tensor.
        return self._source(operation.inputs[0].op) if operation.inputs else ""


def _without_gradient(name: str) -> str:
    while name.startswith(GRADIENT_SCOPE):
        name = name.removeprefix(GRADIENT_SCOPE)
    return name


def _forward(operation: Any, named: dict[str, list[Any]]) -> Any:
    """The operation that this one is the gradient of, by the start of their names.

    TensorFlow names a gradient after the operation, or after its scope alone: then
    a line that the user wrote is the better guess at what it is of.
    """
    if not operation.name.startswith(GRADIENT_SCOPE):
        return None
    for prefix in prefixes(operation.name.removeprefix(GRADIENT_SCOPE)):
        if prefix in named:
            found = named[prefix]
            best = next((op for op in found if line_of(_frames(op))), found[0])
            named[prefix] = [best]  # a scope may be large: search it once
            return best
    return None


def _named(graph: Any) -> dict[str, list[Any]]:
    """Name -> that operation; name scope -> the operations in it."""
    named = collections.defaultdict(list)
    for operation in graph.get_operations():
        if not operation.name.startswith(GRADIENT_SCOPE):
            for scope in prefixes(operation.name)[1:]:
                named[scope].append(operation)
    return named | {operation.name: [operation] for operation in graph.get_operations()}


def _step_frames(operation: Any) -> list[Any]:
    """The Python frames of the step itself, the innermost last."""
    return after(list(operation.traceback), lambda frame: frame.filename == TRACER)


def _frames(operation: Any) -> list[Any]:
    """The same; those of a gradient from below TensorFlow's tape on.

    What lies above says where gradients were asked for, not what they are of.
    """
    frames = _step_frames(operation)
    return after(frames, lambda frame: frame.filename.endswith(TAPE))
