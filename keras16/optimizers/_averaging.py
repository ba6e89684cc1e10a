"""The moving average of the weights (`use_ema`), which does not stall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from keras16.numerics import bits, fixed, moments, scaled


def build(optimizer: Any, variables: Sequence[Any]) -> None:
    """Gives each average 16 more bits, as a whole number."""
    if optimizer.use_ema:
        optimizer.average_fractions = [
            optimizer.add_fraction(variable, "average_fraction")
            for variable in variables
        ]


def update(optimizer: Any, variables: Sequence[Any]) -> None:
    """Moves each average towards its weight; the first step puts it there."""
    averages = optimizer._model_variables_moving_average
    for variable, average, slot in zip(
        variables, averages, optimizer.average_fractions, strict=True
    ):
        if average is not None:
            _update_one(optimizer, variable, average, slot)


def _update_one(optimizer: Any, variable: Any, average: Any, slot: Any) -> None:
    weight, mean = ops.convert_to_tensor(variable), ops.convert_to_tensor(average)
    share = _share(optimizer, bits.name_of(weight))
    addend = moments.way(mean, weight, share)
    sum_ = fixed.total(
        fixed.fixed(mean, ops.convert_to_tensor(slot)),
        fixed.fixed(addend.value, exponent=addend.exponent),
        optimizer.random(variable, 3),
    )
    moved, fraction = fixed.nearest(sum_, bits.name_of(weight))
    average.assign(fixed.finite_or_sum(moved, mean, addend.value))
    slot.assign(fraction)


def _share(optimizer: Any, dtype: str) -> scaled.Scaled:
    words = scaled.word([1 - optimizer.ema_momentum, 1.0])
    first = ops.cast(ops.equal(optimizer.iterations, 0), "int32")
    return scaled.of_word(ops.take(ops.convert_to_tensor(words), first), dtype)
