"""A verdict for each claim of a study.

Confirmed: in every row that was run. Contradicted: in a row or over all of them.
Too few seeds to say: no row speaks against it, and one could not have spoken for it,
whatever its mean. Not tested: there is no pair of runs; or what it is compared with is
nowhere as good as the claim supposes; or, of time, no row had the machine to itself.
Not confirmed: anything else.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Sequence

from keras16.analysis.cells import Grid
from keras16.analysis.contrasts import Contrast, Contrasts, contrasts
from keras16.statistics import counts, equivalence, pairs, several
from keras16.statistics.several import LEAST_PAIRS
from keras16.study import Claim

CONFIRMED = "confirmed"
NOT_CONFIRMED = "not confirmed"
CONTRADICTED = "contradicted"
TOO_FEW = "too few seeds to say"
NOT_TESTED = "not tested"
VERDICTS = (CONFIRMED, NOT_CONFIRMED, CONTRADICTED, TOO_FEW, NOT_TESTED)
LEAD = 1.5  # times a bound of speed: what spread and pairs should be able to tell
# "No run diverges" is confirmed where a rate above this would have been seen: its
# upper limit at 95 % is below after 16 runs without a failure.
HIGHEST_RATE = 0.2


@dataclasses.dataclass(frozen=True)
class Judgement:
    """A claim and what came of it.

    Attributes:
        claim: As the study has it.
        verdict: One of `VERDICTS`.
        rows: The verdict of each row that has pairs and tests it, by name.
        found: What it was judged by; where no row tests it, what would have been.
        short: The mean of `claim.against` in each row where it is worse than
            `claim.least`.
    """

    claim: Claim
    verdict: str
    rows: dict[str, str]
    found: Contrasts
    short: dict[str, float] = dataclasses.field(default_factory=dict)

    def rows_of(self, verdict: str) -> list[Contrast]:
        """The rows that have this verdict."""
        return [row for row in self.found.rows if self.rows.get(row.row) == verdict]


def judge(grid: Grid, claim: Claim) -> Judgement:
    """The verdict of one claim.

    Args:
        grid: All runs.
        claim: Of the study.

    Raises:
        ValueError: The kind of the claim is not one of `Claim`'s.
    """
    if claim.kind not in KINDS:
        raise ValueError(f"a claim of the unknown kind {claim.kind!r}")
    found = contrasts(grid, claim.arm, claim.against, claim.rows)
    short = _short(found, claim, grid)
    tested = [row.row for row in found.rows if _tests(row, claim, short)]
    if not tested:
        return Judgement(claim, NOT_TESTED, {}, found, short)
    if len(tested) < len(found.rows):
        found = contrasts(grid, claim.arm, claim.against, tested)
    verdicts = KINDS[claim.kind](found, claim, grid)
    whole = _over_all_rows(found, claim, grid)
    rows = {row.row: one for row, one in zip(found.rows, verdicts, strict=True)}
    return Judgement(claim, overall([*verdicts, *whole]), rows, found, short)


def _tests(row: Contrast, claim: Claim, short: Collection[str]) -> bool:
    """Whether a row can say anything of a claim, however many seeds it has."""
    is_crowded = claim.kind == "faster" and bool(row.ratios) and not row.timed_alone
    return row.row not in short and not is_crowded


def overall(verdicts: Sequence[str]) -> str:
    """The verdict of a claim from those of the rows that test it."""
    if CONTRADICTED in verdicts:
        return CONTRADICTED
    if verdicts and set(verdicts) == {CONFIRMED}:
        return CONFIRMED
    return NOT_CONFIRMED if NOT_CONFIRMED in verdicts else TOO_FEW


def equivalent(found: Contrasts, claim: Claim, grid: Grid) -> list[str]:
    """By row: two one-sided tests against the study's margin, with Holm's correction.

    Contradicted where the difference is beyond the margin, or the arm diverges where
    the other does not, more often than chance has it. Too few seeds where even a
    difference of 0 with this spread would not have been confirmed.
    """
    margin = grid.margin
    beyond = several.holm([pairs.p_beyond(r.values, margin) for r in found.rows])
    at_best = several.holm(
        [equivalence.p_at_best(r.values, margin) for r in found.rows]
    )
    return [
        _of_accuracy(row, row.p_equivalent_holm, *p_values)
        for row, *p_values in zip(
            found.rows, beyond, at_best, _diverging(found), strict=True
        )
    ]


def superior(found: Contrasts, claim: Claim, grid: Grid) -> list[str]:
    """By row: one-sided paired t tests of a better metric, with Holm's correction.

    Contradicted where the 95 % interval, corrected, lies wholly on the worse side of
    0. Too few seeds where a lead of the whole margin would not have been confirmed.
    """
    below = several.holm([min(1, 2 * pairs.p_below(r.gains, 0)) for r in found.rows])
    at_best = several.holm(
        [_p_with_a_lead(row.gains, 0.0, grid.margin) for row in found.rows]
    )
    return [
        _of_accuracy(row, row.p_superior_holm, *p_values)
        for row, *p_values in zip(
            found.rows, below, at_best, _diverging(found), strict=True
        )
    ]


def faster(found: Contrasts, claim: Claim, grid: Grid) -> list[str]:
    """By row: one-sided t tests of the logarithms of paired ratios, with Holm's.

    Too few seeds where `LEAD` times the bound would not have been confirmed.
    """
    limit = math.log(claim.bound or 1.0)
    logs = [_logarithms(row) for row in found.rows]
    above = several.holm([pairs.p_above(values, limit) for values in logs])
    below = several.holm([min(1, 2 * pairs.p_below(values, limit)) for values in logs])
    at_best = several.holm([_p_with_a_lead(v, limit, math.log(LEAD)) for v in logs])
    return [
        _of_tests(len(values), *p_values)
        for values, *p_values in zip(logs, above, below, at_best, strict=True)
    ]


def smaller(found: Contrasts, claim: Claim, grid: Grid) -> list[str]:
    """By row: bytes are the same for every seed, and one pair tells them."""
    return [_of_size(row.weight_share, claim) for row in found.rows]


def stable(found: Contrasts, claim: Claim, grid: Grid) -> list[str]:
    """By row: no run diverges; one that does where its pair finishes contradicts it."""
    return [_of_failures(row, grid) for row in found.rows]


KINDS: dict[str, Callable[[Contrasts, Claim, Grid], list[str]]] = {
    "equivalent": equivalent,
    "superior": superior,
    "faster": faster,
    "smaller": smaller,
    "stable": stable,
}


def _short(found: Contrasts, claim: Claim, grid: Grid) -> dict[str, float]:
    """Where what the arm is compared with is worse than the claim supposes."""
    if claim.least is None:
        return {}
    means = {row.row: grid.cell(row.row, claim.against).score[0] for row in found.rows}
    sign = grid.metric.sign
    return {
        row: mean
        for row, mean in means.items()
        if mean is not None and sign * mean < sign * claim.least
    }


def _of_accuracy(
    row: Contrast, p_for: float, p_against: float, p_at_best: float, p_diverging: float
) -> str:
    if p_diverging <= equivalence.LEVEL:
        return CONTRADICTED
    if row.pairs < LEAST_PAIRS:
        return TOO_FEW
    by_test = _of_tests(len(row.differences), p_for, p_against, p_at_best)
    is_against = row.failed_alone or not row.differences
    return NOT_CONFIRMED if is_against and by_test != CONTRADICTED else by_test


def _of_tests(count: int, p_for: float, p_against: float, p_at_best: float) -> str:
    if count < LEAST_PAIRS:
        return TOO_FEW
    if p_against <= equivalence.LEVEL:
        return CONTRADICTED
    if p_for <= equivalence.LEVEL:
        return CONFIRMED
    return TOO_FEW if p_at_best > equivalence.LEVEL else NOT_CONFIRMED


def _of_size(share: float | None, claim: Claim) -> str:
    if share is None:
        return TOO_FEW
    limit = 1.0 if claim.bound is None else claim.bound
    small = share <= limit if claim.bound is not None else share < limit
    return CONFIRMED if small else CONTRADICTED


def _of_failures(row: Contrast, grid: Grid) -> str:
    cell = grid.cell(row.row, row.arm)
    if row.diverged_alone:
        return CONTRADICTED
    if cell.failures:
        return NOT_CONFIRMED
    return CONFIRMED if row.pairs >= LEAST_PAIRS else TOO_FEW


def _over_all_rows(found: Contrasts, claim: Claim, grid: Grid) -> list[str]:
    """What all rows together say against a claim; nothing where they don't."""
    pooled = found.pooled
    if claim.kind == "stable":
        return _rate(found, grid)
    most = max((len(row.differences) for row in found.rows), default=0)
    if pooled.low is None or pooled.high is None or most < LEAST_PAIRS:
        return []
    worse = pooled.high < 0 if grid.metric.higher_is_better else pooled.low > 0
    if claim.kind == "superior" and worse:
        return [CONTRADICTED]
    margin = grid.margin
    beyond = pooled.low > margin or pooled.high < -margin
    return [CONTRADICTED] if claim.kind == "equivalent" and beyond else []


def _rate(found: Contrasts, grid: Grid) -> list[str]:
    """Too few runs where a rate of failure above `HIGHEST_RATE` could go unseen."""
    cells = [grid.cell(row.row, row.arm) for row in found.rows]
    runs = sum(len(cell.records) for cell in cells)
    _, high = counts.rate_interval(sum(cell.failures for cell in cells), runs)
    return [TOO_FEW] if high > HIGHEST_RATE else []


def _diverging(found: Contrasts) -> list[float]:
    """Of each row: the chance of so many runs that diverged alone, corrected."""
    return several.holm(
        [
            counts.p_of_discordant(row.diverged_alone, row.other_diverged_alone)
            for row in found.rows
        ]
    )


def _p_with_a_lead(values: Sequence[float], limit: float, lead: float) -> float:
    """What `p_above` would be, had the mean been so much above the limit."""
    mean = sum(values) / len(values) if values else 0.0
    return pairs.p_above([value - mean + limit + lead for value in values], limit)


def _logarithms(row: Contrast) -> list[float]:
    return [math.log(ratio) for ratio in row.ratios.values()]
