"""Where an operation of a traced step comes from: layer, line or part of Keras."""

from __future__ import annotations

import ast
import collections
import functools
import importlib.util
import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any

Scopes = dict[tuple[Any, str], Any]
"""(graph, name scope) -> the Keras object that opened it."""

# Folders of keras/src whose functions say what part of a step they are.
PARTS = {
    "activations": "activation",
    "constraints": "constraint",
    "initializers": "initializer",
    "layers": "layer",
    "losses": "loss",
    "metrics": "metrics",
    "optimizers": "optimizer",
    "regularizers": "regularizer",
}
FRAMEWORKS = ("keras", "tensorflow", "optree", "tree")
GRADIENT_SCOPE = "gradient_tape/"
FORWARD_NAME = "forward_function_name"  # TensorFlow's mark on a gradient function
UNKNOWN = "training step"
STANDARD_LIBRARY = os.path.dirname(os.__file__)
BACKEND = os.path.dirname(__file__) + os.sep
TRACER = BACKEND + "tensorflow_graph.py"
LAYER_CALL = os.path.join("keras", "src", "layers", "layer.py")
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
        return self._source(operation) or _line(_step_frames(operation)) or UNKNOWN

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
            or _code(operation, owners)
            or self._origin(operation)
            or _innermost(owners)
        )

    def _owners(self, operation: Any) -> list[Any]:
        """The Keras objects whose scopes the operation is in, the outermost first."""
        call = self._callers.get(operation.graph) or self._forward_call(operation)
        owners = [] if call is None else self._owners(call)
        for scope in reversed(_prefixes(_without_gradient(operation.name))):
            owner = self._scopes.get((operation.graph, scope))
            if owner is not None and not any(owner is known for known in owners):
                owners.append(owner)
        return owners

    def _layer(self, operation: Any, owners: list[Any]) -> str:
        """`block/dense (keras Dense)`; with the line where a user's code is at work."""
        layers = [owner for owner in owners if _is_layer(owner, self._model)]
        if not layers:
            return ""
        path = "/".join(layer.name for layer in layers)
        line = _line(_after(_frames(operation), _is_layer_call))
        forward = self._forward(operation)
        if not line and forward is not None:
            line = _line(_after(_frames(forward), _is_layer_call))
        return f"{path} ({_kind(layers[-1])}{', ' if line else ''}{line})"

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


def _code(operation: Any, owners: list[Any]) -> str:
    """`focal.py:12 in focal`, `loss (keras MeanSquaredError.call)`, or both."""
    frames = _frames(operation)
    line = _line(frames)
    for frame in reversed(_after(frames, _is_own)):
        folder = _keras_folder(frame.filename)
        if folder in PARTS:
            where = line or PARTS[folder]
            return f"{where} (keras {_function(frame, owners)})"
    return line


def _function(frame: Any, owners: list[Any]) -> str:
    """`Adam.apply`: the class in use, though its base may hold the code."""
    name = _class(frame.filename, frame.lineno)
    for owner in owners:
        if name in (base.__name__ for base in type(owner).__mro__):
            name = type(owner).__name__
    function = "" if frame.name.startswith("<") else frame.name  # a lambda
    return ".".join(filter(None, (name, function))) or frame.name


def _class(filename: str, line: int) -> str:
    around = [
        (first, name)
        for first, last, name in _classes(filename)
        if first <= line <= last
    ]
    return max(around)[1] if around else ""


@functools.cache
def _classes(filename: str) -> list[tuple[int, int, str]]:
    tree = ast.parse(pathlib.Path(filename).read_text(encoding="utf-8"))
    return [
        (node.lineno, node.end_lineno or node.lineno, node.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    ]


def _innermost(owners: list[Any]) -> str:
    return f"{owners[-1].name} ({_kind(owners[-1])})" if owners else ""


def _is_layer(owner: Any, model: Any) -> bool:
    import keras

    return isinstance(owner, keras.layers.Layer) and owner is not model


def _kind(owner: Any) -> str:
    """`keras Dense`, `keras16 Dense`, or the bare name of a user's class."""
    package = type(owner).__module__.partition(".")[0]
    name = type(owner).__name__
    return f"{package} {name}" if package in ("keras", "keras16") else name


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
    for prefix in _prefixes(operation.name.removeprefix(GRADIENT_SCOPE)):
        if prefix in named:
            found = named[prefix]
            best = next((op for op in found if _line(_frames(op))), found[0])
            named[prefix] = [best]  # a scope may be large: search it once
            return best
    return None


def _named(graph: Any) -> dict[str, list[Any]]:
    """Name -> that operation; name scope -> the operations in it."""
    named = collections.defaultdict(list)
    for operation in graph.get_operations():
        if not operation.name.startswith(GRADIENT_SCOPE):
            for scope in _prefixes(operation.name)[1:]:
                named[scope].append(operation)
    return named | {operation.name: [operation] for operation in graph.get_operations()}


def _prefixes(name: str) -> list[str]:
    """`a/b/c` -> `a/b/c`, `a/b`, `a`."""
    steps = name.split("/")
    return ["/".join(steps[:end]) for end in range(len(steps), 0, -1)]


def _step_frames(operation: Any) -> list[Any]:
    """The Python frames of the step itself, the innermost last."""
    return _after(list(operation.traceback), lambda frame: frame.filename == TRACER)


def _frames(operation: Any) -> list[Any]:
    """The same; those of a gradient from below TensorFlow's tape on.

    What lies above says where gradients were asked for, not what they are of.
    """
    frames = _step_frames(operation)
    return _after(frames, lambda frame: frame.filename.endswith(TAPE))


def _after(frames: list[Any], marks: Callable[[Any], bool]) -> list[Any]:
    """What follows the last frame that `marks`; all of them where none does."""
    last = max(
        (index for index, frame in enumerate(frames) if marks(frame)), default=-1
    )
    return frames[last + 1 :]


def _is_layer_call(frame: Any) -> bool:
    return frame.filename.endswith(LAYER_CALL)


def _line(frames: list[Any]) -> str:
    """`file.py:12 in function`, of the innermost frame outside the frameworks."""
    own = [frame for frame in frames if _is_own(frame)]
    if not own:
        return ""
    return f"{_relative(own[-1].filename)}:{own[-1].lineno} in {own[-1].name}"


def _is_own(frame: Any) -> bool:
    """Whether neither a framework, nor the standard library, nor our backend is it."""
    standard = os.path.dirname(frame.filename) == STANDARD_LIBRARY
    return not standard and not frame.filename.startswith(_frameworks())


@functools.cache
def _frameworks() -> tuple[str, ...]:
    specifications = map(importlib.util.find_spec, FRAMEWORKS)
    origins = (found.origin for found in specifications if found and found.origin)
    return (*(os.path.dirname(origin) + os.sep for origin in origins), BACKEND)


def _keras_folder(filename: str) -> str:
    """`losses` of .../keras/src/losses/loss.py; "" outside Keras."""
    source = os.path.join(_frameworks()[0], "src", "")
    if not filename.startswith(source):
        return ""
    return filename.removeprefix(source).partition(os.sep)[0]


def _relative(filename: str) -> str:
    """The path below the nearest folder that Python imports from: never absolute."""
    roots = [os.path.join(os.path.abspath(root), "") for root in ["", *sys.path]]
    inside = [root for root in roots if filename.startswith(root)]
    if not inside:
        return os.path.basename(filename)
    return filename.removeprefix(max(inside, key=len))
