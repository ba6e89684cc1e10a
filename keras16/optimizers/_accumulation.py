"""Gradient accumulation: an exact mean over several steps, and one update."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from keras16.backend import optimizer as private
from keras16.numerics import bits, fixed


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
    sums = [
        _sum(optimizer, ops.cast(private.dense(g), bits.name_of(v)), v)
        for g, v in zip(gradients, variables, strict=True)
    ]

    def update() -> None:
        means = [_mean(sum_[0], steps) for sum_ in sums]
        means = optimizer._clip_gradients(means)
        optimizer._apply_weight_decay(variables)
        optimizer._backend_update_step(means, variables, optimizer.learning_rate)
        _store(optimizer, variables, [tuple(map(ops.zeros_like, s)) for s in sums])

    ops.cond(is_update, update, lambda: _store(optimizer, variables, sums))
    if optimizer.use_ema:
        private.move_weight_averages(optimizer)


def _sum(optimizer: Any, gradient: Any, variable: Any) -> tuple[Any, Any]:
    """The accumulator and its fraction with one more gradient added."""
    slot = optimizer.slot(optimizer._accumulated_gradients, variable)
    fraction = optimizer.slot(optimizer.accumulated_fractions, variable)
    held = ops.convert_to_tensor(slot)
    share = -_power_above(optimizer.gradient_accumulation_steps)
    sum_ = fixed.total(
        fixed.fixed(held, ops.convert_to_tensor(fraction)),
        fixed.fixed(gradient, exponent=share),
    )
    rounded, left = fixed.nearest(sum_, bits.name_of(held))
    return fixed.finite_or_sum(rounded, held, gradient), left


def _mean(sum_: Any, steps: int) -> Any:
    return sum_ * (2 ** _power_above(steps) / steps)


def _power_above(steps: int) -> int:
    return (steps - 1).bit_length()


def _store(optimizer: Any, variables: Sequence[Any], sums: Sequence[Any]) -> None:
    for variable, (held, left) in zip(variables, sums, strict=True):
        slots = optimizer._accumulated_gradients, optimizer.accumulated_fractions
        optimizer.slot(slots[0], variable).assign(held)
        optimizer.slot(slots[1], variable).assign(left)
