"""Callbacks of a twin's `fit`, run in the program's floats instead of the twin's.

A callback may build, train or evaluate another model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from keras16.backend import own_floats


def outside(callbacks: Any) -> Any:
    """Callbacks that run in the floats in use now; a list of Keras' own stays."""
    if not callbacks or isinstance(callbacks, keras.callbacks.CallbackList):
        return callbacks
    policy = keras.config.dtype_policy().name
    floats = {"policy": policy, "floatx": keras.config.floatx()}
    given = keras.tree.flatten(callbacks)
    return [_wrapped(callback, floats) for callback in given]


def _wrapped(callback: Any, floats: dict[str, Any]) -> Any:
    """Keras looks for some of its own callbacks by class: those stay."""
    kerass = (keras.callbacks.History, keras.callbacks.ProgbarLogger)
    return callback if isinstance(callback, kerass) else Outside(callback, floats)


class Outside(keras.callbacks.Callback):
    """Hands every call on to a callback, in floats of its own."""

    def __init__(self, callback: Any, floats: dict[str, Any]) -> None:
        self.callback, self.floats = callback, floats

    def set_params(self, params: Any) -> None:
        """Hands on."""
        self.params = params
        self.callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Hands on."""
        super().set_model(model)
        self.callback.set_model(model)


def _handed_on(name: str) -> Callable[..., Any]:
    def method(self: Outside, *args: Any, **kwargs: Any) -> Any:
        with own_floats.used(**self.floats):
            return getattr(self.callback, name)(*args, **kwargs)

    method.__name__ = name
    return method


for _name in dir(keras.callbacks.Callback):
    if _name.startswith("on_"):
        setattr(Outside, _name, _handed_on(_name))
