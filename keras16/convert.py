"""A model in another precision: the same layers, weights and names."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras16 import registration
from keras16.errors import UserError
from keras16.layers.batch_normalization import BatchNormalization
from keras16.numerics import bits
from keras16.precision import Precision


def adapted(model: keras.Model, precision: Precision) -> keras.Model:
    """A copy of a model whose layers have a precision's policy, and logits as output.

    Layers that compute in float32 under a 16-bit policy become keras16's of the
    same class name. A subclassed model can't be copied and is returned as it is.

    Args:
        model: A built model.
        precision: What its layers shall be.

    Raises:
        UserError: The model is not built, or a layer can't be copied.
    """
    if not model.built:
        raise UserError(
            f"model {model.name!r} is not built: give it an Input, or call it once."
        )
    if not isinstance(model, (keras.Sequential, keras.Model)) or not _is_graph(model):
        return model
    last = model.layers[-1]

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        return _copied(layer, precision, logits=layer is last)

    try:
        twin = keras.models.clone_model(model, clone_function=copy, recursive=True)
    except (TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"model {model.name!r} can't be copied to {precision.policy}: {reason}"
        ) from error
    for old, new in zip(_leaves(model), _leaves(twin), strict=True):
        transfer(old, new)
    return twin


def transfer(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    """Gives a layer the weights of its twin, cast to its dtypes.

    Raises:
        UserError: A finite weight is beyond float16's range.
    """
    values = {v.name: ops.convert_to_numpy(v) for v in source.variables}
    if isinstance(target, BatchNormalization) and "moving_variance" in values:
        values["moving_deviation"] = np.sqrt(values["moving_variance"])
    if bits.is_16_bit(target.compute_dtype):
        # What a layer of ours keeps in another form than Keras' of the same name.
        values = getattr(target, "values_from", dict)(values)
    for variable in target.variables:
        if variable.name not in values:
            continue
        value = values[variable.name]
        _check_range(value, variable)
        variable.assign(value)


def _check_range(value: np.ndarray, variable: Any) -> None:
    if str(variable.dtype) != "float16" or not value.size:
        return
    largest = float(np.max(np.abs(value.astype("float64"))))
    if np.isfinite(largest) and largest > 65504:
        raise UserError(
            f"weight {variable.path} reaches {largest:.4g}, beyond float16's 65,504: "
            "train it in bf16."
        )


def _is_graph(model: keras.Model) -> bool:
    return isinstance(model, keras.Sequential) or hasattr(model, "operations")


def _copied(
    layer: keras.layers.Layer, precision: Precision, logits: bool
) -> keras.layers.Layer:
    config = layer.get_config()
    if "dtype" in config and not isinstance(layer, keras.layers.InputLayer):
        config["dtype"] = precision.policy
    if logits and config.get("activation") == "softmax":
        config["activation"] = "linear"
    cls = type(layer)
    if precision.pure:
        cls = _replacements().get(cls, cls)
    return cls.from_config(config)


def _replacements() -> dict[type, type]:
    """Keras' layer classes that keras16 has a class of the same name for."""
    registration.register()
    found = {}
    for cls in _below(keras.layers.Layer):
        if cls.__module__.startswith("keras16.layers"):
            for base in cls.__mro__[1:]:
                if base.__name__ == cls.__name__:
                    found[base] = cls
    return found


def _below(cls: type) -> list[type]:
    direct: list[type] = cls.__subclasses__()
    return direct + [deeper for one in direct for deeper in _below(one)]


def _leaves(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a model and of the models in it, in order."""
    leaves: list[keras.layers.Layer] = []
    for layer in model.layers:
        leaves += _leaves(layer) if isinstance(layer, keras.Model) else [layer]
    return leaves
