"""The private parts of Keras' optimizers that a subclass needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from keras16 import backend


def index(optimizer: Any, variable: Any) -> int:
    """The place of a variable among those that the optimizer was built with.

    Keras hands `update_step` the backend's own variable, and only this private
    method finds the slots of it.
    """
    return optimizer._get_variable_index(variable)


def weight_decay(optimizer: Any, variable: Any) -> float:
    """The decoupled weight decay of a variable; 0 where it is excluded."""
    if not optimizer.weight_decay or not optimizer._use_weight_decay(variable):
        return 0.0
    return float(optimizer.weight_decay)


def fused(function: Callable[..., None]) -> Callable[..., None]:
    """A function of tensors that updates variables, compiled by XLA by itself.

    Outside XLA its hundreds of small operations are as many passes over memory: on
    a CPU a step of a net of 535,818 weights took 55 ms, and takes a tenth so.
    """
    return backend.module().fused(function)


def dense(gradient: Any) -> Any:
    """A gradient as one tensor: an embedding's comes as rows and their places."""
    return ops.convert_to_tensor(gradient)


def path(variable: Any) -> str:
    """The name of a variable with that of its layer, as Keras names slots."""
    name = getattr(variable, "path", None) or variable.name
    return name.replace("/", "_").replace(":", "_")


def move_weight_averages(optimizer: Any) -> None:
    """What `_backend_apply_gradients` does after an update with `use_ema`.

    It stands in that private method beside what keras16 replaces there.
    """
    variables = optimizer._trainable_variables
    optimizer._update_model_variables_moving_average(variables)
    frequency = optimizer.ema_overwrite_frequency
    if frequency:
        ops.cond(
            (optimizer.iterations + 1) % frequency == 0,
            lambda: optimizer._overwrite_model_variables_with_average_value(variables),
            lambda: None,
        )
