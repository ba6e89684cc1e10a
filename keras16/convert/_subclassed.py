"""What of a subclassed model can be converted: a `call` that is a graph of layers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras16.backend import layer as private
from keras16.errors import UserError

METHODS = (
    "compute_loss",
    "compute_metrics",
    "fit",
    "make_predict_function",
    "make_test_function",
    "make_train_function",
    "predict_step",
    "test_step",
    "train_step",
)
ADVICE = (
    "build it of keras16.layers after keras16.use('16'), or write it as a functional "
    "model"
)


def check_methods(model: Any) -> None:
    """Refuses a model whose own training the twin would silently not have.

    Raises:
        UserError: The text names the methods.
    """
    found = private.overridden(model, METHODS)
    if found and not hasattr(model, "own_floats"):
        raise UserError(
            f"model {model.name!r} ({type(model).__name__}) has a {found[0]} of its "
            "own, which its twin would not have: convert a plain keras.Model of the "
            "same layers, or derive yours from keras16.convert.twin.Twin."
        )


def as_graph(model: Any) -> Any:
    """A subclassed model as a functional one of the very same layers.

    Its `call` is traced with a symbolic input.

    Raises:
        UserError: It can't be, or the graph would not compute what the model does.
    """
    inputs = _inputs(model)
    try:
        graphs = [_traced(model, inputs, training) for training in (True, False)]
    except UserError:
        raise
    except Exception as error:  # of any kind: a call is anyone's code
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise _refusal(model, f"its call can't be traced: {reason}") from error
    if _steps(graphs[0]) != _steps(graphs[1]):
        raise _refusal(model, "its call does something else in training")
    _check_weights(model, graphs[1])
    _check_outputs(model, graphs[1])
    return graphs[1]


def _inputs(model: Any) -> Any:
    shape = private.input_shape(model)
    if shape is None:
        raise _refusal(model, "the shape of its inputs is not known: call it once")
    if isinstance(shape, dict):
        return {key: _input(one) for key, one in shape.items()}
    if shape and isinstance(shape[0], list | tuple):
        return [_input(one) for one in shape]
    return _input(shape)


def _input(shape: Any) -> Any:
    return keras.Input(batch_shape=(None, *shape[1:]))


def _traced(model: Any, inputs: Any, training: bool) -> Any:
    """Called without `__call__`, which would make one layer of the model."""
    passed = {"training": training} if model._call_has_training_arg else {}
    return keras.Model(inputs, model.call(inputs, **passed), name=model.name)


def _steps(graph: Any) -> list[str]:
    return [type(operation).__name__ for operation in graph.operations]


def _check_weights(model: Any, graph: Any) -> None:
    held = {id(variable) for variable in graph.variables}
    missing = [v.path for v in model.variables if id(v) not in held]
    if missing:
        raise _refusal(model, f"its weight {missing[0]} belongs to none of its layers")


def _check_outputs(model: Any, graph: Any) -> None:
    draws = np.random.default_rng(0)
    x = keras.tree.map_structure(
        lambda t: ops.convert_to_tensor(
            draws.random([size or 2 for size in t.shape]), dtype=t.dtype
        ),
        graph.input,
    )
    found = [keras.tree.flatten(each(x, training=False)) for each in (model, graph)]
    for own, new in zip(*found, strict=True):
        both = ops.convert_to_numpy(own), ops.convert_to_numpy(new)
        if not np.array_equal(*both, equal_nan=True):
            raise _refusal(model, "the graph of its layers computes something else")


def _refusal(model: Any, reason: str) -> UserError:
    return UserError(
        f"subclassed model {model.name!r} can't be converted: {reason}; {ADVICE}."
    )
