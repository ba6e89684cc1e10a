"""The moving average of the weights (`use_ema`), which does not stall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from keras16.numerics import moments, softfloat
from keras16.optimizers._group import Group


def build(optimizer: Any, variables: Sequence[Any]) -> None:
    """Gives each average 16 more bits, as a whole number."""
    if optimizer.use_ema:
        optimizer.average_fractions = [
            optimizer.add_fraction(variable, "average_fraction")
            for variable in variables
        ]


def update(optimizer: Any, group: Group) -> None:
    """Moves each average towards its weight; the first step puts it there."""
    averages = optimizer._model_variables_moving_average
    random = optimizer.random(group, 7)
    average = softfloat.of(
        group.read(averages), group.read(optimizer.average_fractions)
    )
    weight = softfloat.of(group.read_weights())
    moved = moments.moved(average, weight, _share(optimizer))
    rounded, fraction = moved.rounded_with_fraction(group.dtype, random)
    group.write(averages, rounded)
    group.write(optimizer.average_fractions, fraction)


def _share(optimizer: Any) -> softfloat.SoftFloat:
    words = softfloat.word([1 - optimizer.ema_momentum, 1.0])
    first = ops.cast(ops.equal(optimizer.iterations, 0), "int32")
    return softfloat.of_word(ops.take(ops.convert_to_tensor(words), first))
