"""The only folder that touches a backend or a private part of Keras.

`module()` is the file of the backend that Keras runs on; its functions are the
contract that every backend's file keeps.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable, Collection
from types import ModuleType
from typing import Any

from keras16.errors import UserError

SUPPORTED = ("tensorflow", "jax")
_WIDTH = "xla_cpu_prefer_vector_width"


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


def unseeded_state() -> Any:
    """The variable behind `keras.random` where no seed is named; made if need be."""
    from keras.src.random.seed_generator import global_seed_generator

    return global_seed_generator().state


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


def fill_registers(cpu_flags: Collection[str]) -> None:
    """Has XLA compile for all 512 bits of the CPU's registers; by itself it takes 256.

    Not on CPUs with AVX-512 from before AVX512-BF16, which slow their clock for it, nor
    with another version than was tried: XLA ends the process at a flag that it doesn't
    know. It reads its flags once, when it compiles first; what the user set stays.

    Args:
        cpu_flags: As Linux calls them.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if "avx512_bf16" in cpu_flags and module().IS_TRIED and _WIDTH not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --{_WIDTH}=512".lstrip()


def configure() -> None:
    """Sets what the backend needs process-wide, TF32 off among it."""
    module().configure()
