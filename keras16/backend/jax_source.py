"""Where an operation of a step that JAX traced comes from: layer, line, part of Keras.

MLIR writes a location as text, which is the same in all versions of its bindings: the
name scopes, and the lines of Python that were running, the innermost first:
`"jit(step)/jvp(k16_3)/mul"(callsite("call"("net.py":4:1 to :9) at ...))`.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

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
)

Scopes = dict[int, Any]
"""Number in the name of a scope -> the Keras object that opened it."""

TRACER = BACKEND + "jax_graph.py"
NUMBER = re.compile(r"\bk16_(\d+)\b")
FRAME = re.compile(r'"([^"]*)"\("([^"]*)":(\d+):')


class Frame(NamedTuple):
    """A line of Python that was running when an operation was made."""

    filename: str
    lineno: int
    name: str


def scope_name(number: int) -> str:
    """The name of a scope, as `Sources` finds it again."""
    return f"k16_{number}"


class Sources:
    """Names the source of operations: the layer, else the line, else Keras' part.

    Whoever walks the functions notes each call before asking about what it calls.
    """

    def __init__(self, model: Any, scopes: Scopes) -> None:
        self._model = model
        self._scopes = scopes
        self._callers: dict[str, tuple[str, Any]] = {}

    def note_call(self, function: str, location: Any, callee: str) -> None:
        """Takes down that a function calls another; the first call stands."""
        self._callers.setdefault(callee, (function, location))

    def of(self, function: str, location: Any) -> str:
        """The source of an operation of a function; never empty."""
        texts = [str(location)]
        while function in self._callers:
            function, location = self._callers[function]
            texts.append(str(location))
        frames = [frame for text in reversed(texts) for frame in _frames(text)]
        owners = self._owners(reversed(texts))
        return (
            self._layer(owners, frames)
            or code(frames, owners)
            or innermost(owners)
            or UNKNOWN
        )

    def _owners(self, texts: Any) -> list[Any]:
        """The Keras objects whose scopes an operation is in, the outermost first."""
        found: list[Any] = []
        for text in texts:
            scopes = text.partition("(callsite")[0]
            for number in NUMBER.findall(scopes):
                owner = self._scopes.get(int(number))
                if owner is not None and not any(owner is known for known in found):
                    found.append(owner)
        return found

    def _layer(self, owners: list[Any], frames: list[Frame]) -> str:
        layers = layers_of(owners, self._model)
        line = line_of(after(frames, is_layer_call))
        return in_layers(layers, line) if layers else ""


def _frames(location: str) -> list[Frame]:
    """The lines of the step itself, the innermost last."""
    found = [
        Frame(filename, int(line), name.rpartition(".")[2])
        for name, filename, line in FRAME.findall(location)
    ]
    return after(found[::-1], lambda frame: frame.filename == TRACER)
