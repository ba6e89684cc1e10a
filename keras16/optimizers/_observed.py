"""One step of an optimizer, seen from the host: what was meant and what came of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from keras import ops

from keras16.backend import optimizer as private
from keras16.numerics import bits, softfloat
from keras16.optimizers._group import Group
from keras16.optimizers._rate import word_of
from keras16.optimizers._sixteen import SixteenBit


@dataclasses.dataclass(frozen=True)
class Observed:
    """One step of one variable.

    Attributes:
        variable: Keras'.
        gradient: As the step gave it, in its own dtype.
        intended: float64: what the step without rounding adds to the variable.
        applied: float64: what was added to it, Kahan's compensation included.
        second_moment: What the optimizer divides by, after the step; None where it
            keeps none.
    """

    variable: Any
    gradient: np.ndarray
    intended: np.ndarray
    applied: np.ndarray
    second_moment: np.ndarray | None


def observe(
    optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]
) -> list[Observed]:
    """Takes a step, operation by operation, and tells what came of it.

    What keras16's optimizers mean to add is known before they round it. For any
    other optimizer it is what a float64 twin of the same state adds.

    Args:
        optimizer: Built. The step changes its state and the variables.
        gradients: One tensor a variable.
        variables: Of the optimizer.
    """
    pairs = zip(gradients, variables, strict=True)
    narrow = [(g, v) for g, v in pairs if bits.is_16_bit(v.dtype)]
    if narrow and isinstance(optimizer, SixteenBit):
        return list(_sixteen(optimizer, *zip(*narrow, strict=True)))
    return list(_beside_float64(optimizer, gradients, variables))


def _sixteen(
    optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]
) -> Iterator[Observed]:
    word = bits.read(word_of(optimizer.learning_rate))
    clipped = optimizer._clip_gradients([private.dense(g) for g in gradients])
    raw = {id(v): g for v, g in zip(variables, gradients, strict=True)}
    used = {id(v): g for v, g in zip(variables, clipped, strict=True)}
    for group in optimizer.groups(variables):
        found = [used[id(v)] for v in group.variables]
        steps = _group_step(optimizer, group, word, found)
        for variable, intended, applied in zip(group.variables, *steps, strict=True):
            yield Observed(
                variable,
                ops.convert_to_numpy(raw[id(variable)]),
                intended,
                applied,
                _second_moment(optimizer, variable),
            )


def _group_step(
    optimizer: Any, group: Group, word: Any, gradients: Sequence[Any]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What was meant to be added to each variable, and what was added."""
    weight, step = optimizer.intended(group, word, gradients)
    before = softfloat.on_host(weight)
    optimizer._rounding.write(optimizer, group, weight, step)
    after = softfloat.on_host(optimizer._rounding.read(optimizer, group))
    return _parts(group, -softfloat.on_host(step)), _parts(group, after - before)


def _parts(group: Group, vector: np.ndarray) -> list[np.ndarray]:
    shapes = [tuple(v.shape) for v in group.variables]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    pieces = np.split(np.broadcast_to(vector, group.shape).reshape(-1), ends)
    return [x.reshape(shape) for x, shape in zip(pieces, shapes, strict=True)]


def _beside_float64(
    optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]
) -> Iterator[Observed]:
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    scale = _host(optimizer.dynamic_scale) if inner is not optimizer else 1.0
    dense = [private.dense(g) / ops.cast(scale, g.dtype) for g in gradients]
    before = [_host(v) for v in variables]
    with private.float64_twin(inner) as (twin, copies):
        chosen = [copies[private.index(inner, v)] for v in variables]
        twin.apply([ops.convert_to_tensor(_host(g)) for g in dense], chosen)
        wanted = [_host(v) for v in chosen]
    inner.apply(dense, variables)
    for i, variable in enumerate(variables):
        yield Observed(
            variable,
            ops.convert_to_numpy(gradients[i]),
            wanted[i] - before[i],
            _host(variable) - before[i],
            _second_moment(inner, variable),
        )


def _second_moment(optimizer: Any, variable: Any) -> np.ndarray | None:
    slots = private.second_moments(optimizer)
    if not slots:
        return None
    return ops.convert_to_numpy(slots[private.index(optimizer, variable)])


def _host(x: Any) -> np.ndarray:
    return ops.convert_to_numpy(x).astype("float64")
