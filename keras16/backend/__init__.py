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

    It is compiled anew for each shape. So only the number of examples may be unknown
    when it is traced, the first axis: else its operations stay as they are.

    Args:
        rule: A function of a module, of the settings and of tensors.
        settings: Hashable; what its first arguments are.
    """
    as_it_is = functools.partial(rule, *settings)
    compiled = module().one_pass(as_it_is)

    def run(*given: Any) -> Any:
        shapes = (getattr(each, "shape", ()) for each in given)
        is_open = any(None in tuple(shape)[1:] for shape in shapes)
        return (as_it_is if is_open else compiled)(*given)

    return run


def configure() -> None:
    """Sets what the backend needs process-wide, TF32 off among it."""
    module().configure()
