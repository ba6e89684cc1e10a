"""Which of Keras' public classes are pure in 16 bits, replaced or refused.

Read from the classes themselves, so that the table of docs/coverage.md can't say
anything else: `python -m keras16.coverage > docs/coverage.md` writes it.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

PURE = "pure as it is"
REPLACED = "replaced"
REFUSED = "refused"
# A folder of Keras and of keras16 -> the base class of what it holds.
KINDS = {
    "layers": "Layer",
    "losses": "Loss",
    "metrics": "Metric",
    "optimizers": "Optimizer",
    "initializers": "Initializer",
    "regularizers": "Regularizer",
    "constraints": "Constraint",
}
BASE = "the base class: it computes nothing of its own"
# Why what stands in none of our tables is pure, or isn't.
_OTHERS = {
    "layers": (PURE, "it moves or compares numbers, or calls layers that are pure"),
    "initializers": (PURE, "drawn before the first step, then cast"),
    "constraints": (PURE, "a maximum is exact"),
    "optimizers": (REFUSED, "keras16 has no 16-bit form of it"),
}
# What a class of ours has over Keras' where its docstring has nothing to add.
_IN_COMMON = {
    "losses": "neither its sum nor the factor 1 / batch leaves float16's range",
    "metrics": "exact over any number of samples",
}


class Row(NamedTuple):
    """One public class of Keras.

    Attributes:
        kind: A key of `KINDS`.
        name: As it stands in keras.layers, keras.losses, ...
        state: `PURE`, `REPLACED` or `REFUSED`.
        reason: In words.
    """

    kind: str
    name: str
    state: str
    reason: str


def rows(kind: str | None = None) -> list[Row]:
    """One row for every public class of Keras, aliases left out.

    Args:
        kind: A key of `KINDS`; None for all.
    """
    kinds = KINDS if kind is None else (kind,)
    return [
        Row(kind, name, *_judged(kind, name, cls))
        for kind in kinds
        for name, cls in _public(kind)
    ]


def markdown() -> str:
    """The table as a page of the documentation."""
    parts = [_HEAD]
    for kind in KINDS:
        found = rows(kind)
        counts = ", ".join(
            f"{sum(row.state == state for row in found)} {state}"
            for state in (PURE, REPLACED, REFUSED)
        )
        lines = [f"| `{row.name}` | {row.state} | {row.reason} |" for row in found]
        parts.append(
            f"## keras.{kind}\n\n{counts}.\n\n| Class | State | Because |\n"
            "| --- | --- | --- |\n" + "\n".join(lines) + "\n"
        )
    return "\n".join(parts)


_HEAD = """# What of Keras is pure in 16 bits

Written by `python -m keras16.coverage > docs/coverage.md` from the classes of Keras
and keras16, and tested to be up to date.

- **pure as it is**: Keras' own class runs in a pure 16-bit step.
- **replaced**: keras16 has a class of the same name that does.
- **refused**: neither; an error or the audit says so, never a silent float32.
"""


def _public(kind: str) -> Iterator[tuple[str, Any]]:
    """The classes of a kind, each under one name."""
    folder = importlib.import_module(f"keras.{kind}")
    base = getattr(folder, KINDS[kind])
    names: dict[Any, list[str]] = {}
    for name, value in sorted(vars(folder).items()):
        if inspect.isclass(value) and issubclass(value, base):
            names.setdefault(value, []).append(name)
    for cls, known in names.items():
        yield (cls.__name__ if cls.__name__ in known else known[0]), cls


def _judged(kind: str, name: str, cls: Any) -> tuple[str, str]:
    """The state of a class, and why."""
    if name == KINDS[kind]:
        return PURE, BASE
    ours = getattr(importlib.import_module(f"keras16.{kind}"), name, None)
    refused = _refused(kind, name, ours)
    if refused:
        return refused
    if ours is not None and ours is not cls:
        return REPLACED, _difference(ours) or _IN_COMMON[kind]
    return _OTHERS[kind]


def _refused(kind: str, name: str, ours: Any) -> tuple[str, str] | None:
    """What the tables of a folder, or the class itself, say against it."""
    reason = getattr(ours, "refused_because", None)
    if kind == "layers":
        from keras16.layers._refused import ABSTRACT
        from keras16.layers._refused import REFUSED as table

        reason = table.get(name)
        if reason == ABSTRACT:
            return PURE, reason
    return (REFUSED, reason) if reason else None


def _difference(ours: Any) -> str:
    """The first paragraph of a class' docstring, less what all of them begin with."""
    sentence = inspect.cleandoc(ours.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    sentence = sentence.rstrip(".")
    for noun in ("layer", "loss", "metric", "constraint", "optimizer"):
        sentence = sentence.removeprefix(f"Keras' {noun} of that name").lstrip(";:, ")
    return sentence


if __name__ == "__main__":
    print(markdown(), end="")
