"""The private parts of Keras' layers that a conversion needs."""

from __future__ import annotations

from typing import Any


def inner(layer: Any) -> list[Any]:
    """The layers directly inside a layer, in the order of their making.

    Only models have a public list of them; wrappers, cells and attention don't.
    """
    found: list[Any] = layer._flatten_layers(include_self=False, recursive=False)
    return found


def overridden(model: Any, names: tuple[str, ...]) -> list[str]:
    """Which of Keras' methods a model's class has written anew."""
    return [name for name in names if not _is_kerass(getattr(type(model), name))]


def _is_kerass(method: Any) -> bool:
    return getattr(method, "__module__", "").startswith("keras.")


def input_shape(model: Any) -> Any:
    """The shape that a model was built with by its first call; None if unknown.

    Keras notes it for the sake of saving and has no public way to ask for it.
    """
    noted = getattr(model, "_build_shapes_dict", None) or {}
    shapes = list(noted.values())
    return shapes[0] if len(shapes) == 1 else None


def is_optional(tensor: Any) -> bool:
    """Whether an input of a functional model may be None."""
    return bool(getattr(tensor._keras_history.operation, "optional", False))
