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

PROBABILITIES = ("softmax", "sigmoid")


def adapted(model: keras.Model, precision: Precision) -> keras.Model:
    """A copy of a model whose layers have a precision's policy, and logits as output.

    Layers that compute in float32 under a 16-bit policy become keras16's of the
    same class name; a softmax or sigmoid at the very end is left out. A subclassed
    model can't be copied and is returned as it is.

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
    if not is_graph(model):
        return model
    try:
        twin = _twin(model, precision, _last(model))
    except (TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"model {model.name!r} can't be copied to {precision.policy}: {reason}"
        ) from error
    for old, new in zip(_leaves(model), _leaves(twin), strict=True):
        if old is not new:
            transfer(old, new)
    return twin


def is_graph(model: keras.Model) -> bool:
    """Whether a model is Sequential or functional: its layers are known."""
    return isinstance(model, keras.Sequential) or hasattr(model, "operations")


def transfer(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    """Gives a layer the weights of its twin, cast to its dtypes.

    Raises:
        UserError: A finite weight is beyond float16's range, or the layers don't
            have the same weights.
    """
    for variable, value in _pairs(source, target):
        _check_range(value, variable)
        variable.assign(value)
    if hasattr(target, "finalize_state"):
        target.finalize_state()  # Normalization keeps a copy beside its variables


def _pairs(
    source: keras.layers.Layer, target: keras.layers.Layer
) -> list[tuple[Any, np.ndarray]]:
    """Each variable of the target and its value."""
    if isinstance(target, BatchNormalization):
        values = _statistics(source)
        # Fractions count units in the last place, so each dtype has its own.
        return [(v, values.get(v.name, np.zeros(v.shape))) for v in target.variables]
    if bits.is_16_bit(target.compute_dtype) and hasattr(target, "values_from"):
        # What a layer of ours keeps in another form than Keras' of the same name.
        named = {v.name: ops.convert_to_numpy(v) for v in source.variables}
        values = target.values_from(named)
        return [(v, values[v.name]) for v in target.variables if v.name in values]
    # By position: within a composite layer many weights are called "kernel".
    if [tuple(v.shape) for v in source.variables] != [
        tuple(v.shape) for v in target.variables
    ]:
        raise UserError(
            f"layer {source.name!r} has other weights in the new precision: build the "
            "model in FILE.py:function instead."
        )
    found = [ops.convert_to_numpy(v) for v in source.variables]
    return list(zip(target.variables, found, strict=True))


def _statistics(layer: keras.layers.Layer) -> dict[str, np.ndarray]:
    """The weights of a batch normalization, its spread in both forms."""
    values = {v.name: ops.convert_to_numpy(v) for v in layer.variables}
    if "moving_variance" in values:
        values["moving_deviation"] = np.sqrt(values["moving_variance"])
    elif "moving_deviation" in values:
        values["moving_variance"] = values["moving_deviation"].astype("float32") ** 2
    return values


def _check_range(value: np.ndarray, variable: Any) -> None:
    if str(variable.dtype) != "float16" or not value.size:
        return
    largest = float(np.max(np.abs(value.astype("float64"))))
    if np.isfinite(largest) and largest > 65504:
        raise UserError(
            f"weight {variable.path} reaches {largest:.4g}, beyond float16's 65,504: "
            "train it with --precision bf16."
        )


def _twin(model: keras.Model, precision: Precision, last: Any) -> keras.Model:
    def copy(layer: Any) -> Any:
        if not isinstance(layer, keras.Model):
            return _copied(layer, precision, logits=layer is last)
        return _twin(layer, precision, last) if is_graph(layer) else layer

    model = _without_probabilities(model, last)
    inputs = keras.tree.map_structure(
        lambda x: keras.Input(
            batch_shape=x.shape, dtype=_recast(x.dtype, precision), name=x.name
        ),
        _inputs(model),
    )
    return keras.models.clone_model(model, input_tensors=inputs, clone_function=copy)


def _without_probabilities(model: keras.Model, last: Any) -> keras.Model:
    """The model up to its softmax, where that is a layer or an operation at its end."""
    is_end = _operations(model)[-1] is last
    if not is_end or type(last).__name__.lower() not in PROBABILITIES:
        return model
    return keras.Model(_inputs(model), last.input, name=model.name)


def _inputs(model: keras.Model) -> Any:
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def _operations(model: keras.Model) -> list[Any]:
    graph = isinstance(model, keras.Sequential)
    return model.layers if graph else model.operations


def _last(model: keras.Model) -> Any:
    """The operation that gives a model's output, inside nested models too."""
    last = _operations(model)[-1]
    return _last(last) if isinstance(last, keras.Model) and is_graph(last) else last


def _copied(operation: Any, precision: Precision, logits: bool) -> Any:
    config = operation.get_config()
    if logits and config.get("activation") in PROBABILITIES:
        config["activation"] = "linear"
    cls = type(operation)
    if precision.pure:
        cls = _replacements().get(cls, cls)
    return cls.from_config(_with_dtype(config, precision))


def _with_dtype(config: Any, precision: Precision) -> Any:
    """A layer's configuration with the precision's policy, inner layers included."""
    if isinstance(config, list | tuple):
        return type(config)(_with_dtype(part, precision) for part in config)
    if not isinstance(config, dict):
        return config
    return {
        key: _policy(part, precision)
        if key == "dtype"
        else _with_dtype(part, precision)
        for key, part in config.items()
    }


def _policy(dtype: Any, precision: Precision) -> Any:
    """What stands for a dtype in a configuration: integers stay."""
    name = dtype["config"].get("name") if isinstance(dtype, dict) else dtype
    return precision.policy if "float" in str(name) else dtype


def _recast(dtype: str, precision: Precision) -> str:
    return precision.floatx if "float" in dtype else dtype


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
    """The layers with weights of a model and of the models in it, in order."""
    leaves: list[keras.layers.Layer] = []
    for layer in model.layers:
        leaves += _leaves(layer) if isinstance(layer, keras.Model) else [layer]
    return [layer for layer in leaves if layer.variables]
