"""Replacing methods of Keras itself: what, where and how to undo it.

The reasons stand where the replacements are made. This file knows only the
private places.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_replaced: list[tuple[type, str, Any]] = []


def installed() -> bool:
    """Whether any method of Keras is replaced."""
    return bool(_replaced)


def replace(owner: type, name: str, method: Callable[..., Any]) -> None:
    """Replaces `owner.name` by `method(original, self, *args, **kwargs)`."""
    original = vars(owner)[name]

    def replacement(self, *args, **kwargs):
        return method(original, self, *args, **kwargs)

    replacement.__name__ = name
    replacement.__doc__ = original.__doc__
    _replaced.append((owner, name, original))
    setattr(owner, name, replacement)


def remove() -> None:
    """Gives Keras its own methods back."""
    while _replaced:
        owner, name, original = _replaced.pop()
        setattr(owner, name, original)


def replace_initialization(method: Callable[..., Any]) -> None:
    """Replaces how a variable draws its first value.

    `method(original, variable, initializer)`; `variable` has `.dtype`. The method
    is private: there is no public place where every variable is drawn.
    """
    import keras

    name = "_initialize_with_initializer"
    owner = next(cls for cls in keras.Variable.__mro__ if name in vars(cls))
    replace(owner, name, method)
