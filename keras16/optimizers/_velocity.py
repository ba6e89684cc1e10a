"""A velocity that holds steps, learning rate and all, times a power of two."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from keras16.numerics import bits, fixed, noise
from keras16.numerics import scaled_steps as scaled
from keras16.numerics.scaled_steps import Scaled
from keras16.optimizers._group import Group


def build(optimizer: Any) -> None:
    """Adds the power: 2**-k is about the largest rate over (1 - momentum).

    The velocity is then as large as the gradients that it averages. It is a
    variable, since it has to be saved with the velocities that it scales.
    """
    if not optimizer.momentum:
        return
    reach = optimizer.peak_rate / max(1 - optimizer.momentum, 2.0**-12)
    exponent = math.frexp(reach)[1] if reach else 0
    optimizer.velocity_exponent = optimizer._scalar(exponent, "velocity_exponent")


def moved(optimizer: Any, slots: Any, group: Group, step: Scaled) -> Scaled:
    """Velocity = momentum velocity + step, rounded by chance.

    Args:
        optimizer: Has `momentum`.
        slots: All its velocities.
        group: Whose they are.
        step: What is added to the velocity.

    Returns:
        The velocity as it is kept now.
    """
    exponent = ops.convert_to_tensor(optimizer.velocity_exponent)
    velocity = added(
        group.read(slots),
        optimizer.momentum,
        Scaled(step.value, step.exponent - exponent),
        optimizer.random(group, 1),
    )
    group.write(slots, velocity)
    return Scaled(velocity, exponent)


def added(velocity: Any, momentum: float, step: Scaled, random: Any) -> Any:
    """Momentum velocity + step, rounded once."""
    dtype = bits.name_of(velocity)
    lost = scaled.normal(velocity).times(scaled.number(1 - momentum, dtype))
    sum_ = fixed.fixed(velocity)
    for value, exponent in ((-lost.value, lost.exponent), step):
        addend = fixed.fixed(value, exponent=exponent)
        sum_ = fixed.total(sum_, addend, noise.again(random))
    result = fixed.by_chance(sum_, dtype, random)
    return fixed.finite_or_sum(result, velocity, step.value)
