"""The net itself, written to a folder: for stock Keras as a model, for others a list.

Every contender starts from the same weights: keras16's draw them by the same seed,
and the others get what was drawn at precision 32.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras16 import training, user_code
from keras16.benchmark import work
from keras16.benchmark.architecture_files import CALLS, MODEL, SETTINGS, WEIGHTS
from keras16.convert import convert
from keras16.errors import UserError
from keras16.study import Run


def write(run: Run, folder: pathlib.Path) -> dict[str, Any]:
    """Builds the net of a run as stock Keras' layers in float32 and writes it down.

    Args:
        run: Names the net, the data and the optimizer.
        folder: Gets the model, the list of calls, the weights, and the run with its
            defaults filled in.

    Returns:
        "flops" of a training step, "traffic" in numbers that it must at least read or
        write, "parameters" and "settings".

    Raises:
        UserError: The run can't be started as it was asked for.
    """
    prepared = training.prepare(dataclasses.replace(run, precision="32"))
    model = convert(prepared.model, "32")
    model.save(folder / MODEL)
    stock = _read(folder, run.model)
    found, weights = calls(stock)
    np.savez(folder / WEIGHTS, **weights)  # type: ignore[arg-type]
    (folder / CALLS).write_text(json.dumps(found))
    settings = prepared.run.fields()
    del settings["precision"]  # each contender has its own
    (folder / SETTINGS).write_text(json.dumps(settings))
    return {
        "flops": run.batch_size * work.training_flops(found["calls"]),
        "activations": run.batch_size * work.activations(found["calls"]),
        "parameters": stock.count_params(),
        "settings": settings,
    }


def loaded(folder: pathlib.Path, policy: str, floatx: str) -> Any:
    """The written model with another dtype policy in all its layers.

    Args:
        folder: That `write` filled.
        policy: Keras' dtype policy.
        floatx: The dtype of floating inputs.
    """
    name = json.loads((folder / SETTINGS).read_text())["model"]
    model = _read(folder, name)
    if policy == "float32":
        return model
    config = keras.saving.serialize_keras_object(model)
    with keras.saving.custom_object_scope(_own_layers(name)):
        twin = keras.saving.deserialize_keras_object(
            _with_policy(config, policy, floatx)
        )
    twin.set_weights(model.get_weights())
    return twin


def _read(folder: pathlib.Path, name: str) -> Any:
    """The written model, in float32.

    Raises:
        UserError: It has a layer of the user's that Keras can't make again.
    """
    try:
        with keras.saving.custom_object_scope(_own_layers(name)):
            return keras.models.load_model(folder / MODEL, compile=False)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{name} has a layer that Keras can't make again ({_cause(error)}): give "
            "it a get_config, and define its class outside of functions or register it "
            "with @keras.saving.register_keras_serializable()."
        ) from error


def _own_layers(name: str) -> dict[str, type]:
    """The classes of layers in the file of `FILE.py:function`, by name."""
    if ".py:" not in name:
        return {}
    return {
        name: found
        for name, found in vars(user_code.module_of(name)).items()
        if isinstance(found, type) and issubclass(found, keras.layers.Layer)
    }


def _cause(error: Exception) -> str:
    """The first sentence of what was wrong inside: Keras hangs its configs on it."""
    inside = str(error).rpartition("Exception encountered: ")[2]
    return user_code.reason(type(error)(inside.partition(". ")[0]))


def _with_policy(config: Any, policy: str, floatx: str) -> Any:
    if isinstance(config, list | tuple):
        return [_with_policy(each, policy, floatx) for each in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "DTypePolicy":
        return {**config, "config": {"name": policy}}
    is_input = config.get("class_name") == "InputLayer"
    inner = {key: _with_policy(each, policy, floatx) for key, each in config.items()}
    if is_input and inner["config"].get("dtype") == "float32":
        inner["config"]["dtype"] = floatx
    return inner


def calls(model: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A Sequential or functional model as the calls of its layers, nested ones too.

    Args:
        model: Built, of one input and one output.

    Returns:
        {"input", "output", "calls"} of plain values, each call with "kind", "name",
        "config", "weights" (keys by the variables' names), "inputs" and "output"
        (numbers of tensors) and their shapes; and the weights by key, float32.
    """
    spy = _Spy()
    source = keras.Input(batch_shape=model.inputs[0].shape, dtype=model.inputs[0].dtype)
    output = spy.model(model, source)
    found = {
        "input": spy.number(source),
        "output": spy.number(output),
        "calls": spy.calls,
    }
    return found, spy.weights


class _Spy:
    """Calls a model's layers once more and writes each call down."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.weights: dict[str, np.ndarray] = {}
        self._numbers: dict[int, int] = {}
        self._kept: list[Any] = []  # their identities must stay theirs

    def number(self, tensor: Any) -> int:
        if id(tensor) not in self._numbers:
            self._kept.append(tensor)
            self._numbers[id(tensor)] = len(self._kept)
        return self._numbers[id(tensor)]

    def alias(self, tensor: Any, known: Any) -> Any:
        """Has a tensor stand for another one."""
        self._kept.append(tensor)
        self._numbers[id(tensor)] = self.number(known)
        return tensor

    def model(self, model: Any, source: Any) -> Any:
        if isinstance(model, keras.Sequential):
            for layer in model.layers:
                source = self(layer, source)
            return source
        twin = keras.models.clone_model(
            model,
            input_tensors=source,
            clone_function=lambda layer: layer,
            call_function=self,
        )
        return twin.output

    def __call__(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        given = {key: value for key, value in kwargs.items() if value is not None}
        output = layer(*args, **given)
        tensors = [t for t in keras.tree.flatten((args, given)) if _is_tensor(t)]
        if isinstance(layer, keras.Sequential) or hasattr(layer, "operations"):
            # Keras makes no model of tensors from the middle of another one.
            (outer,) = tensors
            inner = keras.Input(batch_shape=outer.shape, dtype=outer.dtype)
            return self.alias(output, self.model(layer, self.alias(inner, outer)))
        if _is_tensor(output):
            self._write(layer, tensors, output)
        return output

    def _write(self, layer: Any, inputs: list[Any], output: Any) -> None:
        self.calls.append(
            {
                "kind": type(layer).__name__,
                "name": layer.name,
                "config": _plain(layer.get_config()),
                "weights": dict(self._weights_of(layer)),
                "inputs": [self.number(tensor) for tensor in inputs],
                "output": self.number(output),
                "input_shapes": [list(tensor.shape[1:]) for tensor in inputs],
                "output_shape": list(output.shape[1:]),
            }
        )

    def _weights_of(self, layer: Any) -> Iterator[tuple[str, str]]:
        for variable in getattr(layer, "weights", ()):
            if "float" not in str(variable.dtype):
                continue  # a random seed
            key = f"{variable.path}/{id(variable)}".replace("/", ".")
            self.weights[key] = keras.ops.convert_to_numpy(variable)
            yield variable.name, key


def _is_tensor(value: Any) -> bool:
    return keras.backend.is_keras_tensor(value)


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """What JSON can hold of a configuration; the rest as text."""
    return json.loads(json.dumps(config, default=str))
