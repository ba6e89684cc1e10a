"""One update for all large variables of a shape, traced and compiled once.

A deep net has dozens of kernels of one shape, and the update of each is some hundred
operations: seconds to trace and to compile, for every one of them. So the update is
written as a function of values, which all of them share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from keras16 import backend
from keras16.backend import optimizer as private
from keras16.numerics import bits
from keras16.optimizers._group import Group

Update = Callable[..., None]


class SharedUpdate:
    """The update of any group of one variable, by an example of such a group.

    Args:
        optimizer: Built.
        example: A group of one variable.
        update: Moves weights and slots of a group, given (group, word, gradient).
    """

    def __init__(self, optimizer: Any, example: Group, update: Update) -> None:
        self._optimizer, self._example, self._update = optimizer, example, update
        self._moved: tuple[str, ...] = ()
        self._function = backend.module().one_pass(self._of_values)

    def __call__(self, group: Group, word: Any, gradient: Any) -> None:
        """Moves the weights and slots of a group.

        Args:
            group: Of one variable, of the example's shape, dtype and weight decay.
            word: Of the learning rate.
            gradient: Of that variable.
        """
        slots = _slots(self._optimizer, group)
        found = self._function(
            word,
            group.keys(self._optimizer.seed),
            gradient,
            bits.read(group.variables[0]),
            {name: bits.read(slot) for name, slot in slots.items()},
        )
        group.write_weights(found[0])
        for name, value in zip(self._moved, found[1:], strict=True):
            slots[name].assign(value)

    def _of_values(
        self, word: Any, keys: Any, gradient: Any, weight: Any, values: dict[str, Any]
    ) -> list[Any]:
        """The weights after the update, and the slots that it moves."""
        slots = _slots(self._optimizer, self._example)
        held = _Held(self._example, weight, keys)
        pairs = [(slots[name], value) for name, value in values.items()]
        with keras.StatelessScope(state_mapping=pairs) as scope:
            self._update(held, word, gradient)
        after = {name: scope.get_current_value(slots[name]) for name in values}
        self._moved = tuple(n for n in values if after[n] is not values[n])
        return [held.weight, *(after[name] for name in self._moved)]


class _Held(Group):
    """A group of one variable whose weights and keys are tensors."""

    def __init__(self, example: Group, weight: Any, keys: Any) -> None:
        vars(self).update(vars(example))
        self.weight, self._keys = weight, keys

    def key(self, seed: int, draw: int) -> Any:
        return self._keys[draw]

    def weights(self) -> list[Any]:
        return [self.weight]

    def write_weights(self, vector: Any) -> None:
        self.weight = vector


def _slots(optimizer: Any, group: Group) -> dict[str, Any]:
    """The slots of a group of one variable, by the names of the optimizer's lists."""
    lists = private.slot_lists(optimizer)
    return {name: group.chosen(slots)[0] for name, slots in lists.items()}
