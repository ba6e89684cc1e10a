"""Which layers and optimizers a precision is made of: a column of its table.

"keras16" is this library's own. "plain" is float16 with nothing added. "stock" has
Keras' batch normalization, as the papers' released models: no precision has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import ops

from keras16 import catalog
from keras16.layers.batch_normalization import BatchNormalization
from keras16.layers.plain_batch_normalization import PlainBatchNormalization
from keras16.optimizers import _plain

_OPTIMIZERS: Mapping[str, Callable[[str], Any]] = {
    "keras16": lambda name: catalog.part("optimizers", name),
    "plain": _plain.get,
}


def _stock(config: dict[str, Any]) -> keras.layers.Layer:
    """Keras' own layer, its weights and arithmetic in float32."""
    policy = keras.dtype_policies.deserialize(config["dtype"])
    wide = {"float16": "mixed_float16", "bfloat16": "mixed_bfloat16"}
    dtype = wide.get(policy.name, policy.name)
    return keras.layers.BatchNormalization.from_config({**config, "dtype": dtype})


_LAYERS: Mapping[str, Mapping[type, Callable[[dict[str, Any]], Any]]] = {
    "keras16": {},
    "plain": {BatchNormalization: PlainBatchNormalization.from_config},
    "stock": {BatchNormalization: _stock},
}


def optimizer(name: str, parts: str) -> Any:
    """What has the `DEFAULTS` and the `build` of an optimizer.

    Args:
        name: As on the command line.
        parts: "keras16" or "plain".

    Raises:
        UserError: There is no such optimizer among these parts.
    """
    return _OPTIMIZERS[parts](name)


def with_layers(model: keras.Model, parts: str) -> keras.Model:
    """A model of keras16's layers with the layers of other parts in their place.

    Args:
        model: Sequential or functional, built; its initial weights are kept. Models
            inside it are taken apart, too.
        parts: "keras16" (the model as it is), "plain" or "stock".
    """
    swaps = _LAYERS[parts]
    if not swaps:
        return model

    def swapped(layer: keras.layers.Layer) -> keras.layers.Layer:
        make = swaps.get(type(layer), type(layer).from_config)
        return make(layer.get_config())

    twin = keras.models.clone_model(model, clone_function=swapped, recursive=True)
    for old, new in zip(_flat(model), _flat(twin), strict=True):
        for before, after in _pairs(old, new):
            after.assign(ops.convert_to_numpy(before))
    return twin


def wide_on_purpose(model: keras.Model) -> list[Any]:
    """The variables of Keras' own batch normalization in a model, for "stock"."""
    return [
        variable
        for layer in _flat(model)
        if type(layer) is keras.layers.BatchNormalization
        for variable in layer.variables
    ]


def _flat(model: keras.Model) -> list[Any]:
    """The layers of a model and of those inside it."""
    found = []
    for layer in model.layers:
        inner = isinstance(layer, keras.Sequential) or hasattr(layer, "operations")
        found += _flat(layer) if inner else [layer]
    return found


def _pairs(old: Any, new: Any) -> list[tuple[Any, Any]]:
    """The variables that a layer and the one in its place both have.

    Of one class they go by order: attention has several of one name.
    """
    if type(old) is type(new):
        return list(zip(old.variables, new.variables, strict=True))
    named = {variable.name: variable for variable in old.variables}
    return [(named[v.name], v) for v in new.variables if v.name in named]
