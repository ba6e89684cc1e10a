"""A layer's configuration in another precision: dtypes, and the classes within it."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import keras

from keras16 import registration
from keras16.precision import Precision

# Folders whose classes have the name of the class of Keras that they stand for.
KINDS = ("layers", "regularizers", "constraints", "initializers")


def counterpart(cls: type, row: Precision) -> type:
    """The class that stands for another one in a precision; most often itself.

    16-bit precisions have keras16's, all others Keras' own.
    """
    ours = replacements()
    if row.pure:
        return ours.get(cls, cls)
    stock = {mine: kerass for kerass, mine in ours.items()}
    return stock.get(cls, cls)


@functools.cache
def replacements() -> dict[type, type]:
    """Keras' classes that keras16 has a class of the same name for."""
    registration.register()
    found = {}
    for kind in KINDS:
        for cls in _public(kind):
            for base in cls.__mro__[1:]:
                if base.__name__ == cls.__name__ and _is_kerass(base):
                    found[base] = cls
    return found


def translated(config: Any, row: Precision) -> Any:
    """A configuration with a precision's policy and classes, inner layers included.

    Args:
        config: What `get_config` gave, or any part of it.
        row: The precision.
    """
    if isinstance(config, list | tuple):
        return type(config)(translated(part, row) for part in config)
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "__lambda__":
        return config
    inner = {
        key: _policy(part, row) if key == "dtype" else translated(part, row)
        for key, part in config.items()
    }
    return _renamed(inner, row)


def _renamed(config: dict[str, Any], row: Precision) -> dict[str, Any]:
    """A serialized object as one of the class that stands for its own."""
    cls = _class_of(config)
    if cls is None or counterpart(cls, row) is cls:
        return config
    return {**config, **_address(counterpart(cls, row))}


def _class_of(config: dict[str, Any]) -> type | None:
    """The class that a serialized layer, regularizer or the like is of."""
    registered = str(config.get("registered_name") or "")
    if registered.startswith(f"{registration.PREFIX}>"):
        found: type | None = keras.saving.get_registered_object(registered)
        return found
    kind = str(config.get("module") or "").removeprefix("keras.")
    if kind not in KINDS or not isinstance(config.get("class_name"), str):
        return None
    return getattr(getattr(keras, kind), config["class_name"], None)


def _address(cls: type) -> dict[str, Any]:
    """How a saved model names a class."""
    if not _is_kerass(cls):
        name = keras.saving.get_registered_name(cls)
        address = {"module": cls.__module__, "class_name": cls.__name__}
        return {**address, "registered_name": name}
    kind = next(k for k in KINDS if getattr(getattr(keras, k), cls.__name__, 0) is cls)
    address = {"module": f"keras.{kind}", "class_name": cls.__name__}
    return {**address, "registered_name": None}


def _public(kind: str) -> list[type]:
    try:
        module = importlib.import_module(f"keras16.{kind}")
    except ModuleNotFoundError:
        return []
    return [part for part in vars(module).values() if isinstance(part, type)]


def _is_kerass(cls: type) -> bool:
    return cls.__module__.startswith("keras.")


def _policy(dtype: Any, row: Precision) -> Any:
    """What stands for a dtype in a configuration: integers stay."""
    name = dtype["config"].get("name") if isinstance(dtype, dict) else dtype
    return row.policy if "float" in str(name) else dtype
