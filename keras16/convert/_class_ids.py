"""Class ids that come as floats: in 16 bits those above 2,048 would be others."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np

from keras16 import losses

_WIDE = ("float32", "float64")


def as_integers(model: Any, bound: inspect.BoundArguments) -> None:
    """Makes integers of the class ids in the arguments of a method of a model.

    Arrays alone: what a data set or a generator yields is cast batch by batch, so
    its class ids have to be integers.

    Args:
        model: Compiled, or not yet.
        bound: Of `fit` and its like; "y" and "validation_data" are replaced.
    """
    given = keras.tree.flatten(getattr(model, "loss", None))
    if not given or not all(map(_takes_class_ids, given)):
        return
    arguments = bound.arguments
    if arguments.get("y") is not None:
        arguments["y"] = keras.tree.map_structure(_whole, arguments["y"])
    held_out = arguments.get("validation_data")
    if isinstance(held_out, tuple | list) and len(held_out) > 1:
        x, y, *rest = held_out
        arguments["validation_data"] = (x, keras.tree.map_structure(_whole, y), *rest)


def _takes_class_ids(loss: Any) -> bool:
    return isinstance(loss, losses.SparseCategoricalCrossentropy)


def _whole(y: Any) -> Any:
    """An array of floats that are whole numbers as int32; anything else as it is."""
    if not isinstance(y, np.ndarray) or y.dtype.name not in _WIDE:
        return y
    return y.astype("int32") if (y == np.rint(y)).all() else y
