"""From a name or an object of Keras to keras16's class of the same name."""

from __future__ import annotations

import difflib
import importlib
from typing import Any

import keras

from keras16.errors import UserError


def counterpart(kind: str, identifier: Any) -> Any:
    """keras16's object that does what Keras' own would.

    Args:
        kind: What the modules of both are called: "constraints", "regularizers".
        identifier: A name ("l2"), a config, an object of Keras or keras16, a
            function of your own (which is given back as it is), or None.

    Raises:
        UserError: There is nothing of that kind and name.
    """
    try:
        found = getattr(keras, kind).get(identifier)
    except (TypeError, ValueError) as error:
        raise unknown(kind, identifier, error) from error
    if not type(found).__module__.startswith("keras."):
        return found
    ours = importlib.import_module(f"keras16.{kind}")
    return getattr(ours, type(found).__name__).from_config(found.get_config())


def unknown(kind: str, identifier: Any, error: Exception) -> UserError:
    """What is told of a name or a config that Keras makes nothing of.

    Args:
        kind: What Keras' module of such parts is called.
        identifier: What was asked for.
        error: Keras' own.
    """
    told = f"there is no {_singular(kind)} {identifier!r}"
    if not isinstance(identifier, str):
        return UserError(f"{told}: {str(error).splitlines()[0]}")
    names = _names(kind)
    near = difflib.get_close_matches(identifier.lower(), names, 3)
    hint = f" ({', '.join(names[name] for name in near)}?)" if near else ""
    own = "an object of your own"
    if kind in ("losses", "metrics"):
        own = "a function of your own (FILE.py:NAME on the command line)"
    return UserError(f"{told}{hint}: give the name of one of keras.{kind}, or {own}.")


def _singular(kind: str) -> str:
    return kind[:-2] if kind.endswith("sses") else kind[:-1]


def _names(kind: str) -> dict[str, str]:
    """What Keras calls its parts of a kind, by the same in small letters."""
    everything = vars(getattr(keras, kind)).items()
    parts = [name for name, part in everything if callable(part)]
    return {
        name.lower(): name
        for name in parts
        if name not in ("get", "serialize", "deserialize")
    }
