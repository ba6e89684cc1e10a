"""Slots whose numbers share a power of two: the reach of an integer, 16 bits each.

Learning rate x gradient leaves the range of float16 both ways, and a hundredth of a
gradient may. The power follows the largest number of a group, so that none overflows
and 27 doublings below it are normal.

Source: block floating point: Wilkinson, Rounding errors in algebraic processes
    (1963), section 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras16.numerics import softfloat
from keras16.numerics.softfloat import SoftFloat
from keras16.optimizers._group import Group

DRAW = 1  # of the numbers: the first of an optimizer's averages
_HIGHEST = 13  # the place of the largest number: rounding does not overflow it


def exponents(optimizer: Any, variables: Sequence[Any], name: str) -> list[Any]:
    """One int32 slot a variable, for the power that its 16-bit slot is kept times."""
    return [optimizer.add_exponent(variable, name) for variable in variables]


def read(slots: Sequence[Any], powers: Sequence[Any], group: Group) -> SoftFloat:
    """What the slots of a group stand for.

    Args:
        slots: Of all variables of the optimizer.
        powers: Likewise, of `exponents`.
        group: Whose they are.
    """
    stored = softfloat.of(group.read(slots))
    return stored.times_power_of_two(group.repeated(group.chosen(powers)))


def keep(
    optimizer: Any,
    slots: Sequence[Any],
    powers: Sequence[Any],
    group: Group,
    value: SoftFloat,
) -> None:
    """Gives the slots of a group a value, rounded by chance.

    Args:
        optimizer: Draws the chance, as the first of its averages.
        slots: Of all variables of the optimizer.
        powers: Likewise, of `exponents`.
        group: Whose they are.
        value: Vector.
    """
    power = softfloat.highest_place(value) - _HIGHEST
    for each in group.chosen(powers):
        each.assign(power)
    value = value.times_power_of_two(-power)
    group.write(slots, value.rounded(group.dtype, optimizer.random(group, DRAW)))
