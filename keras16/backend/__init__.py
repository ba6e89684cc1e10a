"""The only folder that touches a backend or a private part of Keras.

`module()` is the file of the backend that Keras runs on; its functions are the
contract that every backend's file keeps.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from keras16.errors import UserError

SUPPORTED = ("tensorflow", "jax")


def module() -> ModuleType:
    """The file of this folder for the backend that Keras runs on.

    Raises:
        UserError: Keras runs on a backend that keras16 doesn't support.
    """
    import keras

    name = keras.backend.backend()
    if name not in SUPPORTED:
        raise UserError(
            f"KERAS_BACKEND={name} is not supported: use {' or '.join(SUPPORTED)}."
        )
    return importlib.import_module(f"keras16.backend.{name}")


@functools.cache
def one_pass(rule: Callable[..., Any], *settings: Any) -> Callable[..., Any]:
    """A function of element-wise operations as one loop, made once for each rule.

    Args:
        rule: A function of a module, of the settings and of tensors.
        settings: Hashable; what its first arguments are.
    """
    return module().one_pass(functools.partial(rule, *settings))


def configure() -> None:
    """Sets what the backend needs process-wide, TF32 off among it."""
    module().configure()
