"""A velocity that holds steps, learning rate and all, times a power of two."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from keras16.numerics import softfloat
from keras16.numerics.softfloat import SoftFloat
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


def moved(optimizer: Any, slots: Any, group: Group, step: SoftFloat) -> SoftFloat:
    """Velocity = momentum velocity + step.

    Args:
        optimizer: Has `momentum`.
        slots: All its velocities.
        group: Whose they are.
        step: What is added to the velocity.
    """
    exponent = ops.convert_to_tensor(optimizer.velocity_exponent)
    velocity = optimizer.slot(slots, group).times_power_of_two(exponent)
    # 1 - momentum is small, and so is the error of a product with it.
    velocity = velocity - softfloat.number(1 - optimizer.momentum) * velocity + step
    optimizer.keep(slots, group, velocity.times_power_of_two(-exponent), 1)
    return velocity
