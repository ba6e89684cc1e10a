"""Variables that are updated together, as one vector.

A step is some hundred small operations. Written for each of a net's 60 variables it
takes a minute to compile, and the time of 60 x 100 kernels to run; written for one
vector of all of them it takes neither. Only joining them takes time, 7 ns an element
and slot on a CPU: so large ones are updated each by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
from keras import ops

from keras16.backend import optimizer as private
from keras16.numerics import bits, noise

# Draws for one group in one step: its weights, and up to seven averages.
_DRAWS = 8

ALONE = 1 << 14  # elements from which a variable is a group of its own


class Group:
    """Some 16-bit variables of an optimizer, of one dtype.

    Attributes:
        variables: In the optimizer's order.
        number: Of the group among the optimizer's groups, from 0.
        dtype: Their name of it.
        shape: Of a tensor of all their elements: of the variable, if it is one.
    """

    def __init__(self, optimizer: Any, variables: Sequence[Any], number: int) -> None:
        self.variables = list(variables)
        self.number = number
        self._count = optimizer._iterations
        self.dtype = bits.name_of(self.variables[0])
        self._places = [private.index(optimizer, v) for v in self.variables]
        self._shapes = [tuple(v.shape) for v in self.variables]
        self._sizes = [_product(shape) for shape in self._shapes]
        is_alone = len(self._shapes) == 1
        self.shape = self._shapes[0] if is_alone else (sum(self._sizes),)

    def key(self, seed: int, draw: int) -> Any:
        """The word that a draw of random words for this group starts from.

        Args:
            seed: Of the optimizer.
            draw: 0 for the weights, 1 to 7 for the averages.
        """
        return noise.key(seed, self.number * _DRAWS + draw)

    def keys(self, seed: int) -> np.ndarray:
        """Those of all draws, [8] int32."""
        return np.array([self.key(seed, draw) for draw in range(_DRAWS)], "int32")

    def flat(self, tensors: Sequence[Any]) -> Any:
        """One tensor a variable -> one vector of them all."""
        if len(tensors) == 1:
            return ops.convert_to_tensor(tensors[0])
        flat = [ops.reshape(ops.convert_to_tensor(x), (-1,)) for x in tensors]
        return self.once(ops.concatenate(flat))

    def once(self, vector: Any) -> Any:
        """The same vector, computed once for all its uses (`bits.computed_once`)."""
        return bits.computed_once(vector, self._count)

    def parts(self, vector: Any) -> list[Any]:
        """One vector -> one tensor a variable, of its shape."""
        if len(self._sizes) == 1:
            return [vector]
        parts, start = [], 0
        vector = self.once(vector)
        for shape, size in zip(self._shapes, self._sizes, strict=True):
            parts.append(ops.reshape(vector[start : start + size], shape))
            start += size
        return parts

    def repeated(self, scalars: Sequence[Any]) -> Any:
        """One scalar a variable -> each repeated for the elements of its variable."""
        if len(self._sizes) == 1:
            return ops.convert_to_tensor(scalars[0])
        pairs = zip(scalars, self._sizes, strict=True)
        return self.once(ops.concatenate([ops.broadcast_to(x, (n,)) for x, n in pairs]))

    def chosen(self, slots: Sequence[Any]) -> list[Any]:
        """The slots of these variables, of those of all variables."""
        return [slots[place] for place in self._places]

    def read(self, slots: Sequence[Any]) -> Any:
        """What the slots of these variables hold, as one vector.

        Args:
            slots: Of all variables of the optimizer.
        """
        return self.flat(self.chosen(slots))

    def write(self, slots: Sequence[Any], vector: Any) -> None:
        """Gives the slots of these variables what a vector holds."""
        for slot, value in zip(self.chosen(slots), self.parts(vector), strict=True):
            slot.assign(value)

    def weights(self) -> list[Any]:
        """The variables themselves, as one tensor each."""
        return [ops.convert_to_tensor(variable) for variable in self.variables]

    def read_weights(self) -> Any:
        """The same as one vector."""
        return self.flat(self.weights())

    def write_weights(self, vector: Any) -> None:
        """Gives the variables themselves what a vector holds."""
        for variable, value in zip(self.variables, self.parts(vector), strict=True):
            variable.assign(value)


def grouped(
    optimizer: Any, variables: Sequence[Any], key: Callable[[Any], Hashable]
) -> list[Group]:
    """Small variables of one dtype and one key together, large ones each alone.

    Args:
        optimizer: Built.
        variables: 16-bit ones of it.
        key: Of a variable; those with different keys are kept apart.
    """
    groups: dict[Hashable, list[Any]] = {}
    for variable in variables:
        large = _product(tuple(variable.shape)) >= ALONE
        name = (bits.name_of(variable), key(variable), id(variable) if large else None)
        groups.setdefault(name, []).append(variable)
    return [Group(optimizer, members, i) for i, members in enumerate(groups.values())]


def _product(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size
