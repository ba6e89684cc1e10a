"""Gradient accumulation: an exact mean over several steps, and one update."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from keras16.backend import optimizer as private
from keras16.numerics import softfloat
from keras16.optimizers._group import Group


def build(optimizer: Any, variables: Sequence[Any]) -> None:
    """Gives each accumulator 16 more bits, as a whole number."""
    if optimizer.gradient_accumulation_steps:
        optimizer.accumulated_fractions = [
            optimizer.add_fraction(variable, "gradient_accumulator_fraction")
            for variable in variables
        ]


def apply(optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
    """What Keras' `_backend_apply_gradients` does where it accumulates.

    The accumulators hold the sum divided by the power of two above the number of
    steps, so that it can't overflow, with 27 bits.
    """
    steps = optimizer.gradient_accumulation_steps
    is_update = (optimizer._iterations + 1) % steps == 0
    of = {id(v): g for g, v in zip(gradients, variables, strict=True)}
    groups = optimizer.groups(variables)
    sums = [_sum(optimizer, group, of) for group in groups]

    def update() -> None:
        mean: dict[int, Any] = {}
        for group, (held, _) in zip(groups, sums, strict=True):
            means = group.parts(held * (2 ** _power_above(steps) / steps))
            mean.update(zip(map(id, group.variables), means, strict=True))
        clipped = optimizer._clip_gradients([mean[id(v)] for v in variables])
        optimizer._backend_update_step(clipped, variables, optimizer.learning_rate)
        _store(optimizer, groups, [tuple(map(ops.zeros_like, sum_)) for sum_ in sums])

    private.either(is_update, update, lambda: _store(optimizer, groups, sums))
    if optimizer.use_ema:
        private.move_weight_averages(optimizer)


def _sum(optimizer: Any, group: Group, gradients: dict[int, Any]) -> tuple[Any, Any]:
    """The accumulators and their fractions with one more gradient added."""
    held = group.read(optimizer._accumulated_gradients)
    found = [private.dense(gradients[id(v)]) for v in group.variables]
    gradient = ops.cast(group.flat(found), group.dtype)
    share = -_power_above(optimizer.gradient_accumulation_steps)
    sum_ = softfloat.of(held, group.read(optimizer.accumulated_fractions))
    sum_ = sum_ + softfloat.of(gradient).times_power_of_two(share)
    return sum_.rounded_with_fraction(group.dtype, optimizer.random(group, 6))


def _power_above(steps: int) -> int:
    return (steps - 1).bit_length()


def _store(optimizer: Any, groups: Sequence[Group], sums: Sequence[Any]) -> None:
    for group, (held, left) in zip(groups, sums, strict=True):
        group.write(optimizer._accumulated_gradients, held)
        group.write(optimizer.accumulated_fractions, left)
