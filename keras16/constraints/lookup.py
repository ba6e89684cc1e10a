"""From what a layer's `kernel_constraint=` takes to keras16's of the same meaning."""

from __future__ import annotations

import importlib
from typing import Any

import keras

from keras16.errors import UserError


def get(identifier: Any) -> Any:
    """The constraint of keras16 that does what Keras' own would.

    Args:
        identifier: A name ("max_norm"), a config, an object of Keras or keras16, a
            function of your own (which is given back as it is), or None.

    Raises:
        UserError: There is no such constraint.
    """
    try:
        found = keras.constraints.get(identifier)
    except (TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"there is no constraint {identifier!r}: {reason}") from error
    if not type(found).__module__.startswith("keras."):
        return found
    ours = importlib.import_module("keras16.constraints")
    return getattr(ours, type(found).__name__).from_config(found.get_config())
