"""Everything that is found out about some nets and inputs, in one value."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from keras16 import bounds
from keras16.convert import convert
from keras16.tolerance import comparisons, estimation, nets, shifts, simulation
from keras16.tolerance.estimation import Estimate
from keras16.tolerance.formats import Format
from keras16.tolerance.measured import Comparison
from keras16.tolerance.shifts import Shifted

MOST = 1000  # examples that formats and shifts are tried on


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What was found.

    Attributes:
        comparisons: "trained", "control" and "cast", as far as the nets allow.
        proven: [examples] bool, of the first net's 16-bit form: exact arithmetic on
            its weights gives the same class. None where no proof was asked for.
        open: Names of the operations for which there is no bound: nothing is proven.
        bound_shares: Name of an operation -> what it adds to the bound, in logits.
        formats: One comparison for each format.
        shifts: One for each shift of the inputs.
        estimate: Of the first net's rounding error, layer by layer.
    """

    comparisons: tuple[Comparison, ...]
    proven: np.ndarray | None = None
    formats: tuple[Comparison, ...] = ()
    shifts: tuple[Shifted, ...] = ()
    estimate: Estimate | None = None
    open: tuple[str, ...] = ()
    bound_shares: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def main(self) -> Comparison:
        """Of the nets that were given: of one alone, its cast."""
        return self.comparisons[0]

    @property
    def proven_share(self) -> float | None:
        """In [0, 1]; None where nothing proves."""
        return None if self.proven is None else float(np.mean(self.proven))

    @property
    def certified_disagreements(self) -> int:
        """Over all comparisons, formats and shifts: 0, or something is wrong."""
        shifted = (one.comparison for one in self.shifts)
        every = (*self.comparisons, *self.formats, *shifted)
        return sum(one.certified_disagreements for one in every)


def judge(
    models: Sequence[keras.Model],
    x: np.ndarray,
    *,
    formats: Sequence[Format] = (),
    shifted: bool = False,
    others: Mapping[str, np.ndarray] | None = None,
    layers: bool = False,
    prove: bool = False,
) -> Judgement:
    """Finds out whether rounding can have changed what nets answer.

    Args:
        models: One or more, of the same classes.
        x: [examples, ...] as the nets take them.
        formats: Simulated ones to try on the first net and at most `MOST` examples.
        shifted: Whether to move the inputs away, likewise.
        others: More inputs of the same shape, by name; each counts as a shift.
        layers: Whether to estimate which layers the error comes from, likewise.
        prove: Whether to bound what rounding can have done; of float16 nets only.

    Raises:
        UserError: A net can't be converted, or the nets differ in their classes.
    """
    first, few = models[0], x[:MOST]
    narrow = comparisons.pair(first)[1]
    prove = prove and nets.precision(narrow) == "16"
    proof = bounds.analyse(narrow, x) if prove else None
    proving = _proven if prove else None
    is_shifted = shifted or bool(others)
    return Judgement(
        tuple(comparisons.compare(list(models), x)),
        proof.found.proven if proof else None,
        tuple(simulation.by_format(_wide(first), few, formats)) if formats else (),
        tuple(shifts.by_shift(first, few, _first(others), proving))
        if is_shifted
        else (),
        estimation.estimate(first, few) if layers else None,
        proof.open if proof else (),
        proof.shares if proof else {},
    )


def _proven(model: keras.Model, x: np.ndarray) -> np.ndarray:
    return bounds.error_bound(model, x).proven


def _wide(model: keras.Model) -> keras.Model:
    """The net in float32: simulated formats round what it computes."""
    return convert(model, "32")


def _first(others: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray]:
    return {name: x[:MOST] for name, x in (others or {}).items()}
