"""The moving average of the weights (`use_ema`), which does not stall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from keras16.numerics import fixed, moments
from keras16.numerics import scaled_steps as scaled
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
    average = group.read(averages)
    addend = moments.way(average, group.read_weights(), _share(optimizer, group.dtype))
    sum_ = fixed.total(
        fixed.fixed(average, group.read(optimizer.average_fractions)),
        fixed.fixed(addend.value, exponent=addend.exponent),
        optimizer.random(group, 7),
    )
    moved, fraction = fixed.nearest(sum_, group.dtype)
    group.write(averages, fixed.finite_or_sum(moved, average, addend.value))
    group.write(optimizer.average_fractions, fraction)


def _share(optimizer: Any, dtype: str) -> scaled.Scaled:
    words = scaled.word([1 - optimizer.ema_momentum, 1.0])
    first = ops.cast(ops.equal(optimizer.iterations, 0), "int32")
    return scaled.of_word(ops.take(ops.convert_to_tensor(words), first), dtype)
