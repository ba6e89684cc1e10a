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


def inputs(model: Any) -> Any:
    """The symbolic inputs of a Sequential or functional model, in their structure."""
    import keras

    is_list = isinstance(model, keras.Sequential)
    return model.inputs[0] if is_list else model.input


def input_shape(model: Any) -> Any:
    """The shape that a model was built with by its first call; None if unknown.

    Keras notes it for the sake of saving and has no public way to ask for it.
    """
    noted = getattr(model, "_build_shapes_dict", None) or {}
    shapes = list(noted.values())
    return shapes[0] if len(shapes) == 1 else None


def input_layer(tensor: Any) -> Any:
    """The layer that an input of a functional model comes from.

    Its name may be another than the tensor's, and it alone knows whether the input
    may be None.
    """
    return tensor._keras_history.operation
