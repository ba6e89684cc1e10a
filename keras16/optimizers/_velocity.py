"""A velocity that holds steps, learning rate and all, times a power of two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from keras16.numerics import bits, fixed, noise, scaled
from keras16.numerics.scaled import Scaled
from keras16.optimizers._group import Group

# Where the largest velocity is kept: two places below the end of float16.
_HIGHEST = 12
_NOTHING = -10_000


def build(optimizer: Any, variables: Sequence[Any]) -> None:
    """Adds the exponents: one whole number for each variable.

    Learning rate x gradient leaves the range of float16 both ways. The exponents
    follow the largest velocity, so that none overflows and 36 doublings below it
    are kept.
    """
    if optimizer.momentum:
        optimizer.velocity_exponents = [
            optimizer.add_exponent(variable, "velocity_exponent")
            for variable in variables
        ]


def moved(
    optimizer: Any, slots: Sequence[Any], group: Group, step: Scaled
) -> tuple[Scaled, Any]:
    """Velocity = momentum velocity + step, rounded by chance.

    Args:
        optimizer: Has `momentum`.
        slots: All its velocities.
        group: Whose they are.
        step: What is added to the velocity.

    Returns:
        The velocity as it is kept now, and its exponent.
    """
    exponents = group.chosen(optimizer.velocity_exponents)
    old = Scaled(group.read(slots), group.repeated(exponents))
    exponent = _shared_exponent(old, step)
    old, step = _relative(old, exponent), _relative(step, exponent)
    velocity = added(old, optimizer.momentum, step, optimizer.random(group, 1))
    group.write(slots, velocity)
    for each in exponents:
        each.assign(exponent)
    return Scaled(velocity, exponent), step


def added(velocity: Scaled, momentum: float, step: Scaled, random: Any) -> Any:
    """Momentum velocity + step, rounded once."""
    dtype = bits.name_of(velocity.value)
    lost = scaled.normal(velocity.value).times(scaled.number(1 - momentum, dtype))
    sum_ = fixed.fixed(velocity.value, exponent=velocity.exponent)
    for value, exponent in ((-lost.value, lost.exponent + velocity.exponent), step):
        addend = fixed.fixed(value, exponent=exponent)
        sum_ = fixed.total(sum_, addend, noise.again(random))
    result = fixed.by_chance(sum_, dtype, random)
    return fixed.finite_or_sum(result, velocity.value, step.value)


def _relative(number: Scaled, exponent: Any) -> Scaled:
    return Scaled(number.value, number.exponent - exponent)


def _shared_exponent(velocity: Scaled, step: Scaled) -> Any:
    """The exponent that keeps the largest of both sums below 2**14."""
    peak = ops.maximum(_top(velocity), _top(step))
    return ops.where(peak == _NOTHING, 0, peak - _HIGHEST)


def _top(number: Scaled) -> Any:
    """The exponent of the largest element that isn't 0."""
    place = bits.biased_exponent(number.value) - bits.format_of(number.value).bias
    place = ops.where(number.value == 0, _NOTHING, place + number.exponent)
    return ops.max(place)
