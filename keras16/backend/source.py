"""Names of what an operation of a traced step comes from, as the audit prints them.

A frame is one line of Python that was running when an operation was made. It has
`.filename`, `.lineno` and `.name`; the innermost is the last of a list.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any

# Folders of keras/src whose functions say what part of a step they are.
PARTS = {
    "activations": "activation",
    "constraints": "constraint",
    "initializers": "initializer",
    "layers": "layer",
    "losses": "loss",
    "metrics": "metrics",
    "ops": "operation",
    "optimizers": "optimizer",
    "regularizers": "regularizer",
}
FRAMEWORKS = ("keras", "tensorflow", "jax", "jaxlib", "optree", "tree")
UNKNOWN = "training step"
STANDARD_LIBRARY = os.path.dirname(os.__file__)
BACKEND = os.path.dirname(__file__) + os.sep
# Its methods are Keras' own, run in another float.
TWIN = os.path.join(os.path.dirname(os.path.dirname(__file__)), "convert", "twin.py")
LAYER_CALL = os.path.join("keras", "src", "layers", "layer.py")


def code(frames: list[Any], owners: list[Any]) -> str:
    """`focal.py:12 in focal`, `loss (keras MeanSquaredError.call)`, or both."""
    line = line_of(frames)
    for frame in reversed(after(frames, _is_own)):
        folder = _keras_folder(frame.filename)
        # Of operations only those that a functional model is made of: others are in
        # a line of the user's, which says more.
        if folder in PARTS and (folder != "ops" or frame.name == "call"):
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


def innermost(owners: list[Any]) -> str:
    """The innermost Keras object at work, or ""."""
    return f"{owners[-1].name} ({kind(owners[-1])})" if owners else ""


def layers_of(owners: list[Any], model: Any) -> list[Any]:
    """The layers among Keras objects, without the model itself."""
    import keras

    return [
        owner
        for owner in owners
        if isinstance(owner, keras.layers.Layer) and owner is not model
    ]


def in_layers(layers: list[Any], line: str) -> str:
    """`block/dense (keras Dense)`; with the line where a user's code is at work."""
    path = "/".join(layer.name for layer in layers)
    return f"{path} ({kind(layers[-1])}{', ' if line else ''}{line})"


def kind(owner: Any) -> str:
    """`keras Dense`, `keras16 Dense`, or the bare name of a user's class."""
    package = type(owner).__module__.partition(".")[0]
    name = type(owner).__name__
    return f"{package} {name}" if package in ("keras", "keras16") else name


def prefixes(name: str) -> list[str]:
    """`a/b/c` -> `a/b/c`, `a/b`, `a`."""
    steps = name.split("/")
    return ["/".join(steps[:end]) for end in range(len(steps), 0, -1)]


def after(frames: list[Any], marks: Callable[[Any], bool]) -> list[Any]:
    """What follows the last frame that `marks`; all of them where none does."""
    last = max(
        (index for index, frame in enumerate(frames) if marks(frame)), default=-1
    )
    return frames[last + 1 :]


def is_layer_call(frame: Any) -> bool:
    """Whether a frame is Keras calling a layer."""
    return frame.filename.endswith(LAYER_CALL)


def line_of(frames: list[Any]) -> str:
    """`file.py:12 in function`, of the innermost frame outside the frameworks."""
    own = [frame for frame in frames if _is_own(frame)]
    if not own:
        return ""
    return f"{_relative(own[-1].filename)}:{own[-1].lineno} in {own[-1].name}"


def _is_own(frame: Any) -> bool:
    """Whether neither a framework, nor the standard library, nor our backend is it."""
    if frame.filename == TWIN:
        return False
    standard = os.path.dirname(frame.filename) == STANDARD_LIBRARY
    return not standard and not frame.filename.startswith(_frameworks())


@functools.cache
def _frameworks() -> tuple[str, ...]:
    origins = filter(None, map(_origin, FRAMEWORKS))
    return (*(os.path.dirname(origin) + os.sep for origin in origins), BACKEND)


def _origin(package: str) -> str:
    """The file of a package; "" where it is missing, or an import hook refuses it."""
    try:
        found = importlib.util.find_spec(package)
    except ImportError:
        return ""
    return found.origin or "" if found else ""


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
