"""How an updated weight is rounded to 16 bits: to nearest, with Kahan, by chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from keras16.errors import UserError
from keras16.numerics import fixed, noise
from keras16.numerics.scaled_steps import Scaled
from keras16.optimizers._group import Group


class Rounding(Protocol):
    """What each of the three has."""

    def build(self, optimizer: Any, variables: Sequence[Any]) -> None:
        """Adds the slots that it needs to a built optimizer."""

    def subtract(self, optimizer: Any, group: Group, steps: Sequence[Scaled]) -> None:
        """Takes some steps off the variables of a group."""


class NearestRounding:
    """To the nearest: a step below half a last place of the weight is lost."""

    def build(self, optimizer: Any, variables: Sequence[Any]) -> None:
        """Needs no slot."""

    def subtract(self, optimizer: Any, group: Group, steps: Sequence[Scaled]) -> None:
        """The steps are added up first: together they may be enough."""
        step = steps[0].collapsed()
        for other in steps[1:]:
            step = step + other.collapsed()
        group.write_weights(group.read_weights() - step)


class KahanRounding:
    """What rounding leaves out is kept and goes into the next step.

    The slot holds it as a whole number of 2**-16 of the weight's last place, so
    that the weight has 27 bits in effect, 3 more than float32: a step of 1e-8
    moves a weight of 1. The sum is one of integers (see `numerics.fixed`).

    Source: Kahan, Further remarks on reducing truncation errors (1965).
    """

    def build(self, optimizer: Any, variables: Sequence[Any]) -> None:
        """One int16 a weight."""
        optimizer.compensations = [
            optimizer.add_fraction(variable, "compensation") for variable in variables
        ]

    def subtract(self, optimizer: Any, group: Group, steps: Sequence[Scaled]) -> None:
        """Weight and compensation together lose exactly the steps' 27 bits."""
        weight, kept = group.read_weights(), group.read(optimizer.compensations)
        sum_ = _less(weight, kept, steps, optimizer.random(group))
        rounded, fraction = fixed.nearest(sum_, group.dtype)
        group.write_weights(_checked(rounded, weight, steps))
        group.write(optimizer.compensations, fraction)


class StochasticRounding:
    """Up or down by chance, so that the expected weight is the exact one.

    Needs no slot. The chance is a hash of the optimizer's seed, the step and
    the place of the element (see `numerics.noise`).

    Source: Gupta et al., arXiv 1502.02551, section 3.
    """

    def build(self, optimizer: Any, variables: Sequence[Any]) -> None:
        """Needs no slot."""

    def subtract(self, optimizer: Any, group: Group, steps: Sequence[Scaled]) -> None:
        """The sum is exact to 2**-16 of a last place, and so is the chance."""
        weight, random = group.read_weights(), optimizer.random(group)
        sum_ = _less(weight, None, steps, noise.again(random))
        rounded = fixed.by_chance(sum_, group.dtype, random)
        group.write_weights(_checked(rounded, weight, steps))


ROUNDINGS: dict[str, Rounding] = {
    "nearest": NearestRounding(),
    "kahan": KahanRounding(),
    "stochastic": StochasticRounding(),
}


def get(name: str) -> Rounding:
    """A rounding by its name.

    Raises:
        UserError: There is no such rounding.
    """
    if name not in ROUNDINGS:
        raise UserError(f"no rounding {name!r}: there are {', '.join(ROUNDINGS)}.")
    return ROUNDINGS[name]


def _less(
    weight: Any, fraction: Any, steps: Sequence[Scaled], random: Any
) -> fixed.Fixed:
    """The weight less the steps."""
    sum_ = fixed.fixed(weight, fraction)
    for step in steps:
        taken = fixed.fixed(-step.value, exponent=step.exponent)
        sum_ = fixed.total(sum_, taken, random)
    return sum_


def _checked(rounded: Any, weight: Any, steps: Sequence[Scaled]) -> Any:
    """Infinite and NaN where a step is: integers know neither."""
    for step in steps:
        rounded = fixed.finite_or_sum(rounded, weight, -step.value)
    return rounded
