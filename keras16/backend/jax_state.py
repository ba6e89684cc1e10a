"""Functions that move Keras' variables, as pure functions that JAX compiles."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax
import keras
from keras.src.backend.common.stateless_scope import get_stateless_scope


class Scope(keras.StatelessScope):
    """A block in which variables move without being touched.

    Keras' own forgets what the scope around it holds, and tells only of variables
    that it is asked about; it has no public way to find the scope around it.

    Args:
        values: (variable, tensor) pairs to begin with.
        initialize: Whether variables that are made in it get their first values when
            it ends; else Keras would give them some when a later scope ends, over
            what they hold by then.

    Attributes:
        variables: Every variable that was read or moved, by its identity.
        moved: Those that were moved, likewise.
    """

    def __init__(
        self, values: Iterable[tuple[Any, Any]] = (), initialize: bool = False
    ) -> None:
        super().__init__(values, initialize_variables=initialize)
        self.variables: dict[int, Any] = {}
        self.moved: dict[int, Any] = {}
        self._around = get_stateless_scope()

    def get_current_value(self, variable: Any) -> Any:
        """What a variable holds here; None where it holds its own value."""
        self.variables[id(variable)] = variable
        value = super().get_current_value(variable)
        if value is None and self._around is not None:
            return self._around.get_current_value(variable)
        return value

    def add_update(self, update: tuple[Any, Any]) -> None:
        """Keras' way of assigning here."""
        self.variables[id(update[0])] = self.moved[id(update[0])] = update[0]
        super().add_update(update)


class Compiled:
    """A function of tensors that may read and move variables, compiled as one.

    After a call the variables hold what the function gave them. Inside a step that
    is being traced it is a part of that step.

    Args:
        function: Takes tensors and returns a nest of tensors and variables.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._variables: list[Any] | None = None
        self._jitted = jax.jit(self._pure)

    def __call__(self, *tensors: Any) -> Any:
        """The function's results as tensors."""
        if get_stateless_scope() is not None:
            return self._function(*tensors)
        results, values = self._jitted(self._values(tensors), *tensors)
        for variable, value in zip(self._variables or (), values, strict=True):
            variable.assign(value)
        return results

    def lowered(self, *tensors: Any) -> Any:
        """Its program, as JAX hands it to the compiler."""
        return self._jitted.lower(self._values(tensors), *tensors)

    def _values(self, tensors: tuple[Any, ...]) -> list[Any]:
        if self._variables is None:
            with Scope(initialize=True) as scope:
                jax.eval_shape(self._results, *tensors)
            self._variables = list(scope.variables.values())
        return [variable.value for variable in self._variables]

    def _results(self, *tensors: Any) -> Any:
        return tensors_of(self._function(*tensors))

    def _pure(self, values: list[Any], *tensors: Any) -> tuple[Any, list[Any]]:
        pairs = list(zip(self._variables or (), values, strict=True))
        with Scope(pairs) as scope:
            results = self._results(*tensors)
        return results, [
            like(scope.get_current_value(variable), value) for variable, value in pairs
        ]


def either(
    condition: Any, then: Callable[[], None], otherwise: Callable[[], None]
) -> None:
    """Moves variables as one function or the other does.

    Args:
        condition: A boolean scalar tensor.
        then: Moves variables where it is true.
        otherwise: Moves them where it is false.
    """
    moved: dict[int, Any] = {}

    def note() -> None:
        for branch in (then, otherwise):
            with Scope() as scope:
                branch()
            moved.update(scope.moved)

    jax.eval_shape(note)

    def values(branch: Callable[[], None]) -> list[Any]:
        before = [variable.value for variable in moved.values()]
        with Scope() as scope:
            branch()
        found = map(scope.get_current_value, moved.values())
        pairs = zip(found, before, strict=True)
        return [old if new is None else like(new, old) for new, old in pairs]

    chosen = jax.lax.cond(condition, lambda: values(then), lambda: values(otherwise))
    for variable, value in zip(moved.values(), chosen, strict=True):
        variable.assign(value)


def tensors_of(results: Any) -> Any:
    """A nest of tensors and variables, the variables read."""
    return keras.tree.map_structure(
        lambda one: None if one is None else keras.ops.convert_to_tensor(one), results
    )


def like(value: Any, before: Any) -> Any:
    """A value in the dtype that a loop carries it in."""
    return jax.lax.convert_element_type(value, before.dtype)
