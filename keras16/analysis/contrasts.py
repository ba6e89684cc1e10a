"""One arm against another, row by row and over all rows, run paired with run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from keras16.analysis.cells import DIVERGED, Cell, Grid
from keras16.criterion import Metric
from keras16.results import Record
from keras16.statistics import counts, equivalence, medians, pairs, several
from keras16.statistics.medians import Interval
from keras16.statistics.pairs import Difference

# What decides a run's speed: of two machines that differ in these, times don't compare.
_MACHINE = ("cpu", "cores", "gpu", "own_kernels")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contrast:
    """One arm against another in one row.

    Attributes:
        row, arm, against: Names.
        differences: The study's metric of the arm less the other's, by pair; of test
            accuracies in [-1, 1].
        difference: Their mean with its interval.
        p_equivalent: Of the two one-sided tests.
        p_equivalent_holm: Corrected for the number of rows.
        p_superior: One-sided paired t test of a better metric.
        p_superior_holm: Corrected for the number of rows.
        examples: McNemar's test; None without predictions.
        p_examples_holm: Its p-value, corrected for the number of rows that have one.
        pairs: Seeds that both arms were run with.
        diverged_alone, failed_alone: Pairs in which the arm diverged, or did not
            finish, and the other one did finish.
        other_diverged_alone: The other way round.
        p_failures: Fisher's exact test of the two rates of failure.
        ratios: How often the arm's epoch time goes into the other's, by pair.
        ratio: Their median with its interval.
        timed_alone: Whether the runs behind the ratios had the machine to themselves.
        weight_share: The arm's weight bytes as a share of the other's.
        sign: -1 where a lower metric is better.
    """

    row: str
    arm: str
    against: str
    differences: dict[int, float]
    difference: Difference
    p_equivalent: float
    p_equivalent_holm: float = 1.0
    p_superior: float
    p_superior_holm: float = 1.0
    examples: counts.Examples | None
    p_examples_holm: float = 1.0
    pairs: int
    diverged_alone: int
    failed_alone: int
    other_diverged_alone: int
    p_failures: float
    ratios: dict[int, float]
    ratio: Interval | None
    timed_alone: bool
    weight_share: float | None
    sign: int = 1

    @property
    def values(self) -> list[float]:
        """The differences alone."""
        return list(self.differences.values())

    @property
    def gains(self) -> list[float]:
        """The differences, positive where the arm is better."""
        return [self.sign * value for value in self.values]


@dataclasses.dataclass(frozen=True)
class Contrasts:
    """One arm against another in all rows that both were run in.

    Attributes:
        arm, against: Names.
        rows: Those with a pair of runs.
        pooled: The difference over rows (`several.pooled`).
    """

    arm: str
    against: str
    rows: tuple[Contrast, ...]
    pooled: Difference

    @property
    def differences(self) -> int:
        """How many pairs finished."""
        return sum(len(row.differences) for row in self.rows)


def contrasts(
    grid: Grid, arm: str, against: str, rows: Sequence[str] = ()
) -> Contrasts:
    """Compares two arms.

    Args:
        grid: All runs.
        arm: The name of the one.
        against: The name of the other.
        rows: Names of those to look at; none means all.
    """
    wanted = [row for row in grid.rows if not rows or row in rows]
    found = [
        contrast(grid.cell(row, arm), grid.cell(row, against), grid.margin)
        for row in wanted
    ]
    known = [one for one in found if one.pairs]
    corrected = _corrected(known)
    pooled = several.pooled([one.values for one in known])
    return Contrasts(arm, against, tuple(corrected), pooled)


def contrast(cell: Cell, other: Cell, margin: float) -> Contrast:
    """Compares two arms in one row.

    Args:
        cell: Of the arm.
        other: Of what it is compared with.
        margin: Of the study.
    """
    metric, both = cell.metric, _both(cell, other)
    scored = [(one, two, metric.of(one), metric.of(two)) for one, two in both]
    done = [(one, two) for one, two, *found in scored if None not in found]
    differences = {
        one.pair: a - b for one, _, a, b in scored if a is not None and b is not None
    }
    timed = _timed(done)
    ratios = {one.pair: _seconds(two) / _seconds(one) for one, two in timed}
    weights = cell.middle("weight_bytes"), other.middle("weight_bytes")
    values = list(differences.values())
    gains = [metric.sign * value for value in values]
    return Contrast(
        row=cell.row,
        arm=cell.arm,
        against=other.arm,
        differences=differences,
        difference=pairs.difference(values),
        p_equivalent=equivalence.p_equivalent(values, margin),
        p_superior=pairs.p_above(gains, 0.0),
        examples=_examples(done),
        pairs=len(both),
        diverged_alone=_diverged_alone(both, metric),
        failed_alone=sum(a is None and b is not None for *_, a, b in scored),
        other_diverged_alone=_diverged_alone([(b, a) for a, b in both], metric),
        p_failures=counts.p_of_rates(
            cell.failures, len(cell.records), other.failures, len(other.records)
        ),
        ratios=ratios,
        ratio=medians.interval(list(ratios.values())),
        timed_alone=all(one.timed_alone for each in timed for one in each),
        weight_share=weights[0] / weights[1] if weights[0] and weights[1] else None,
        sign=metric.sign,
    )


def _diverged_alone(both: Sequence[tuple[Record, Record]], metric: Metric) -> int:
    """Pairs of which the first one diverged and the other one did not."""
    return sum(
        one.status == DIVERGED and metric.of(other) is not None for one, other in both
    )


def _corrected(rows: Sequence[Contrast]) -> list[Contrast]:
    """The p-values of a table corrected for the number of its rows."""
    same = several.holm([row.p_equivalent for row in rows])
    above = several.holm([row.p_superior for row in rows])
    known = {row.row: row.examples.p_value for row in rows if row.examples}
    told = dict(zip(known, several.holm(list(known.values())), strict=True))
    return [
        dataclasses.replace(
            row,
            p_equivalent_holm=one,
            p_superior_holm=two,
            p_examples_holm=told.get(row.row, 1.0),
        )
        for row, one, two in zip(rows, same, above, strict=True)
    ]


def _both(cell: Cell, other: Cell) -> list[tuple[Record, Record]]:
    """Runs of the same seed that went on for the same share of what is planned."""
    by_pair = {one.pair: one for one in other.records}
    found = [(one, by_pair[one.pair]) for one in cell.records if one.pair in by_pair]
    return [
        (a, b)
        for a, b in found
        if a.run.epochs * other.epochs == b.run.epochs * cell.epochs
    ]


def _examples(done: Sequence[tuple[Record, Record]]) -> counts.Examples | None:
    found = [(one.is_correct, two.is_correct) for one, two in done]
    return counts.mcnemar([(a, b) for a, b in found if a is not None and b is not None])


def _timed(done: Sequence[tuple[Record, Record]]) -> list[tuple[Record, Record]]:
    """Pairs timed on one machine; where there are some, those that had it alone."""
    known = [
        (one, two)
        for one, two in done
        if one.median_epoch_seconds and two.median_epoch_seconds
        if machine(one) == machine(two)
    ]
    alone = [pair for pair in known if all(one.timed_alone for one in pair)]
    return alone or known


def _seconds(record: Record) -> float:
    return record.median_epoch_seconds or 0.0


def machine(record: Record) -> tuple[str, ...]:
    """What decides how fast a run is."""
    return tuple(record.fingerprint.get(name, "") for name in _MACHINE)
