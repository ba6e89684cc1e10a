"""How an updated weight is rounded to 16 bits: to nearest, with Kahan, by chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from keras16.errors import UserError
from keras16.numerics import noise, softfloat
from keras16.numerics.softfloat import SoftFloat
from keras16.optimizers._group import Group


class Rounding(Protocol):
    """What each of the three has."""

    def build(self, optimizer: Any, variables: Sequence[Any]) -> None:
        """Adds the slots that it needs to a built optimizer."""

    def read(self, optimizer: Any, group: Group) -> SoftFloat:
        """The weights of a group, as far as they are known."""

    def write(
        self, optimizer: Any, group: Group, weight: SoftFloat, step: SoftFloat
    ) -> None:
        """Gives a group its weights less a step."""


class NearestRounding:
    """To the nearest: a step below half a last place of the weight is lost."""

    def build(self, optimizer: Any, variables: Sequence[Any]) -> None:
        """Needs no slot."""

    def read(self, optimizer: Any, group: Group) -> SoftFloat:
        """The weights are all that is known."""
        return softfloat.of(group.read_weights())

    def write(
        self, optimizer: Any, group: Group, weight: SoftFloat, step: SoftFloat
    ) -> None:
        """Rounded once."""
        group.write_weights((weight - step).rounded(group.dtype))


class KahanRounding:
    """What rounding leaves out is kept and goes into the next step.

    The slot holds it as a whole number of 2**-16 of the weight's last place, so
    that the weight has 27 bits in effect, 3 more than float32; what falls below
    those is rounded by chance, so that a step of 1e-9 moves a weight of 1. The sum
    is one of integers, which no compiler rearranges (see `numerics.softfloat`).

    Source: Kahan, Further remarks on reducing truncation errors (1965).
    """

    def build(self, optimizer: Any, variables: Sequence[Any]) -> None:
        """One int16 a weight."""
        optimizer.compensations = [
            optimizer.add_fraction(variable, "compensation") for variable in variables
        ]

    def read(self, optimizer: Any, group: Group) -> SoftFloat:
        """The weights with what was left out of them."""
        kept = group.read(optimizer.compensations)
        return softfloat.of(group.read_weights(), kept)

    def write(
        self, optimizer: Any, group: Group, weight: SoftFloat, step: SoftFloat
    ) -> None:
        """Weight and compensation together are the sum to 27 bits."""
        random = optimizer.random(group)
        sum_ = weight.plus(-step, random)
        rounded, left = sum_.rounded_with_fraction(group.dtype, noise.again(random))
        group.write_weights(rounded)
        group.write(optimizer.compensations, left)


class StochasticRounding(NearestRounding):
    """Up or down by chance, so that the expected weight is the exact one.

    Needs no slot. The chance is a hash of the optimizer's seed, the step and
    the place of the element (see `numerics.noise`).

    Source: Gupta et al., arXiv 1502.02551, section 3.
    """

    def write(
        self, optimizer: Any, group: Group, weight: SoftFloat, step: SoftFloat
    ) -> None:
        """What the sum can't hold is rounded by chance, too."""
        random = optimizer.random(group)
        sum_ = weight.plus(-step, noise.again(random))
        group.write_weights(sum_.rounded(group.dtype, random))


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
