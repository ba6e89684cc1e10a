"""The private parts of Keras' optimizers that a subclass needs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
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


def slot_lists(optimizer: Any) -> dict[str, Sequence[Any]]:
    """Its lists of slots by the names of their attributes, sorted.

    Keras keeps them under private names, one slot a variable that it was built with.
    """
    trained = optimizer._trainable_variables
    # Both may be as long as a list of slots.
    others = (trained, optimizer._variables)
    return {
        name: value
        for name, value in sorted(vars(optimizer).items())
        if isinstance(value, list | tuple)
        and len(value) == len(trained)
        and all(isinstance(each, keras.Variable) for each in value)
        and all(value is not other for other in others)
    }


def shares_updates() -> bool:
    """Whether tracing an update is so slow that variables of a shape share it.

    JAX traces in milliseconds, and keeps its variables in scopes of its own.
    """
    return keras.backend.backend() == "tensorflow"


def either(
    condition: Any, then: Callable[[], None], otherwise: Callable[[], None]
) -> None:
    """Moves variables as one function or the other does.

    `ops.cond` does on TensorFlow alone: JAX's functions move none.
    """
    backend.module().either(condition, then, otherwise)


def dense(gradient: Any) -> Any:
    """A gradient as one tensor: an embedding's comes as rows and their places."""
    return ops.convert_to_tensor(gradient)


def second_moments(optimizer: Any) -> list[Any]:
    """The slots that a step is divided by, one a variable; none where there are none.

    Keras names them differently, all privately.
    """
    for name in ("_velocities", "_u", "_accumulators", "_accumulated_grads"):
        if getattr(optimizer, name, None):
            return list(getattr(optimizer, name))
    return []


@contextlib.contextmanager
def float64_twin(optimizer: Any) -> Iterator[tuple[Any, list[Any]]]:
    """An optimizer of the same settings and state whose step is taken in float64.

    Yields:
        The twin, and a float64 copy of each variable that the optimizer was built
        with, in that order.
    """
    floatx = keras.config.floatx()
    keras.config.set_floatx("float64")  # of the learning rate and of constants
    try:
        with backend.module().computing_float64():
            yield _float64_twin(optimizer)
    finally:
        keras.config.set_floatx(floatx)


def _float64_twin(optimizer: Any) -> tuple[Any, list[Any]]:
    rate = float(ops.convert_to_numpy(optimizer.learning_rate))
    config = {**optimizer.get_config(), "learning_rate": rate}
    twin = type(optimizer).from_config(config)
    copies = [
        keras.Variable(_in_float64(v), dtype="float64", name=v.name)
        for v in optimizer._trainable_variables
    ]
    twin.build(copies)
    for slot, other in zip(_slots(optimizer), _slots(twin), strict=True):
        other.assign(_in_float64(slot) if "float" in other.dtype else slot)
    twin.iterations.assign(optimizer.iterations)
    return twin, copies


def _in_float64(variable: Any) -> Any:
    return ops.convert_to_numpy(variable).astype("float64")


def _slots(optimizer: Any) -> list[Any]:
    """Its variables without counter and rate, in the order of `build`."""
    others = {id(optimizer.iterations), id(optimizer._learning_rate)}
    return [v for v in optimizer.variables if id(v) not in others]


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
        either(
            (optimizer.iterations + 1) % frequency == 0,
            lambda: optimizer._overwrite_model_variables_with_average_value(variables),
            lambda: None,
        )
