"""From a name or an object of Keras to keras16's class of the same name."""

from __future__ import annotations

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
        reason = str(error).splitlines()[0]
        raise UserError(f"there is no {kind[:-1]} {identifier!r}: {reason}") from error
    if not type(found).__module__.startswith("keras."):
        return found
    ours = importlib.import_module(f"keras16.{kind}")
    return getattr(ours, type(found).__name__).from_config(found.get_config())
