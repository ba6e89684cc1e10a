"""A net in a format that no kernel here computes in.

The net computes in float32. Its weights are rounded to the format, and so is what each
layer puts out: once, however many roundings a layer of that format would take inside.
Inputs are taken as they are. Sums inside a layer are float32's, as those of the
hardware that has such formats.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras16.tolerance import formats, measured, nets
from keras16.tolerance.formats import Format
from keras16.tolerance.measured import Comparison

Rounding = Callable[[np.ndarray], np.ndarray]


def layerwise(model: keras.Model, rounding: Rounding) -> keras.Model:
    """A copy of a model whose layers round what they put out.

    It runs operation by operation: called in a `tf.function` it fails.

    Args:
        model: Sequential or functional, models inside it included.
        rounding: From an array to one of the same shape.
    """
    copy = cloned(model)
    for layer in nets.leaves(copy):
        if not isinstance(layer, keras.layers.InputLayer):
            layer.call = after(layer.call, functools.partial(_rounded, rounding))
    return copy


def simulated(model: keras.Model, to: Format) -> keras.Model:
    """A copy of a float32 model with weights and layers rounded to a format.

    Args:
        model: Sequential or functional, models inside it included.
        to: The format.
    """
    copy = layerwise(model, functools.partial(formats.rounded, to=to))
    for variable in copy.weights:
        if "float" in str(variable.dtype):
            variable.assign(
                _rounded(functools.partial(formats.rounded, to=to), variable)
            )
    return copy


def by_format(
    model: keras.Model, x: np.ndarray, several: Sequence[Format]
) -> list[Comparison]:
    """A float32 net beside itself in other formats.

    Args:
        model: In float32.
        x: [examples, ...] as the net takes them.
        several: The formats.

    Returns:
        One comparison a format, its kind the format's name.
    """
    p = nets.probabilities(model, x)
    found = []
    for one in several:
        with np.errstate(all="ignore"):  # what overflows is what shall be seen
            q = nets.probabilities(simulated(model, one), x)
        found.append(measured.compared(one.name, p, q))
    return found


def cloned(model: keras.Model) -> keras.Model:
    """A copy of a model, weights and inner models included."""
    copy = keras.models.clone_model(model, clone_function=_copied, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def after(call: Callable[..., Any], change: Callable[[Any], Any]) -> Callable[..., Any]:
    """A layer's `call` with something done to every tensor that it puts out."""

    @functools.wraps(call)
    def changed(*given: Any, **named: Any) -> Any:
        return keras.tree.map_structure(change, call(*given, **named))

    return changed


def _copied(layer: Any) -> Any:
    return type(layer).from_config(layer.get_config())


def _rounded(rounding: Rounding, x: Any) -> Any:
    """A tensor or variable rounded; integers are left as they are."""
    if "float" not in keras.backend.standardize_dtype(x.dtype):
        return x
    value = keras.ops.convert_to_numpy(x)
    return keras.ops.convert_to_tensor(rounding(value).astype(value.dtype))
