"""What speaks for or against each claim: our value, and a sentence or two."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from keras16.analysis import claims
from keras16.analysis.cells import Cell, Grid
from keras16.analysis.claims import Judgement
from keras16.analysis.contrasts import Contrast
from keras16.report.study import scale, words
from keras16.statistics import counts, equivalence
from keras16.statistics.several import LEAST_PAIRS

MOST_ROWS = 4  # told one by one


def verdict(judged: Judgement, grid: Grid) -> str:
    """The verdict, and how many rows it rests on where that is not all."""
    planned = len(judged.claim.rows or grid.study.rows)
    silent = judged.verdict in (claims.TOO_FEW, claims.NOT_TESTED)
    whole = len(judged.rows) == planned or silent
    scope = "" if whole else f" ({words.of(len(judged.rows), planned)} rows tested)"
    return f"{judged.verdict}{scope}"


def ours(judged: Judgement, grid: Grid) -> str:
    """Our own value beside the published one, such as "+0.02 points (...)"."""
    return _OURS[judged.claim.kind](judged, grid)


def sentences(judged: Judgement, grid: Grid) -> str:
    """Why the verdict is what it is."""
    if not judged.found.rows:
        claim = judged.claim
        return f"No pair of runs of {claim.arm} and {claim.against} so far."
    if judged.verdict == claims.NOT_TESTED and judged.short:
        return _short(judged, grid)
    found = [*_EVIDENCE[judged.claim.kind](judged, grid), _short(judged, grid)]
    return " ".join(each for each in found if each)


def _difference(judged: Judgement, grid: Grid) -> str:
    pooled = judged.found.pooled
    if pooled.mean is None:
        return words.NOTHING
    units = scale.of(grid)
    return units.with_unit(units.interval(pooled))


def _times(judged: Judgement, grid: Grid) -> str:
    typical = typical_ratio(judged.found.rows)
    if typical is None:
        return words.NOTHING
    if typical < 1:
        return f"takes {1 / typical:.3g} times as long"
    return f"{typical:.3g} times as fast"


def _bytes(judged: Judgement, grid: Grid) -> str:
    shares = [row.weight_share for row in judged.found.rows if row.weight_share]
    if not shares:
        return words.NOTHING
    low, high = (f"{100 * each:.1f}" for each in (min(shares), max(shares)))
    return f"{low} %" if low == high else f"{low} to {high} %"


def _rate(judged: Judgement, grid: Grid) -> str:
    cells = _cells(judged, grid)
    runs = sum(len(cell.records) for cell in cells)
    if not runs:
        return words.NOTHING
    return f"{words.of(sum(cell.diverged for cell in cells), runs)} diverged"


def _of_equivalence(judged: Judgement, grid: Grid) -> list[str]:
    margin = scale.of(grid).margin(grid.margin)
    good = judged.rows_of(claims.CONFIRMED)
    rows = words.of(len(good), len(judged.rows))
    return [
        f"Equivalent within {margin} in {rows} rows (two one-sided tests, Holm), "
        f"{words.many(judged.found.differences, 'pair')}.",
        _pooled(judged, grid),
        _smallest_margin(judged, grid),
        _against(judged, grid),
        _failed(judged),
        _more_seeds(judged, grid),
    ]


def _of_superiority(judged: Judgement, grid: Grid) -> list[str]:
    good = judged.rows_of(claims.CONFIRMED)
    rows = words.of(len(good), len(judged.rows))
    return [
        f"{scale.of(grid).better.capitalize()} in {rows} rows (one-sided paired t "
        f"test, Holm), {words.many(judged.found.differences, 'pair')}.",
        _pooled(judged, grid),
        _against(judged, grid),
        _failed(judged),
        _least(judged),
    ]


def _of_speed(judged: Judgement, grid: Grid) -> list[str]:
    limit = judged.claim.bound or 1.0
    good = judged.rows_of(claims.CONFIRMED)
    timed = [row for row in judged.found.rows if row.ratio]
    if judged.verdict == claims.NOT_TESTED:
        shared = "The runs shared their machine, so these times decide nothing."
        return [_ratios(timed), shared]
    return [
        f"More than {limit:g} times as fast in {words.of(len(good), len(judged.rows))} "
        "rows (t test of paired epoch times, Holm).",
        _ratios(timed),
        _least(judged),
    ]


def _of_size(judged: Judgement, grid: Grid) -> list[str]:
    claim = judged.claim
    bound = claim.bound
    limit = "less" if bound is None else f"at most {100 * bound:g} %"
    return [
        f"Weights at {claim.arm} take {_bytes(judged, grid)} of the bytes at "
        f"{claim.against}; {limit} is claimed."
    ]


def _of_stability(judged: Judgement, grid: Grid) -> list[str]:
    mine = _cells(judged, grid)
    others = [grid.cell(row.row, row.against) for row in judged.found.rows]
    return [
        f"{judged.claim.arm}: {failures(mine)}.",
        f"{judged.claim.against}: {failures(others)}.",
        _failed(judged),
        _unseen(judged),
    ]


_OURS: dict[str, Callable[[Judgement, Grid], str]] = {
    "equivalent": _difference,
    "superior": _difference,
    "faster": _times,
    "smaller": _bytes,
    "stable": _rate,
}
_EVIDENCE: dict[str, Callable[[Judgement, Grid], list[str]]] = {
    "equivalent": _of_equivalence,
    "superior": _of_superiority,
    "faster": _of_speed,
    "smaller": _of_size,
    "stable": _of_stability,
}


def failures(cells: Sequence[Cell]) -> str:
    """Such as "1 of 40 runs failed (1 diverged), 95 % interval of the rate ..."."""
    runs = sum(len(cell.records) for cell in cells)
    failed = sum(cell.failures for cell in cells)
    diverged = sum(cell.diverged for cell in cells)
    low, high = counts.rate_interval(failed, runs)
    kinds = f" ({diverged} diverged)" if failed else ""
    return (
        f"{words.of(failed, runs)} runs failed{kinds}, 95 % interval of the rate "
        f"{words.share(low)} to {words.share(high)}"
    )


def typical_ratio(rows: Sequence[Contrast]) -> float | None:
    """The geometric mean of the rows' median ratios of epoch times."""
    logs = [math.log(row.ratio.median) for row in rows if row.ratio]
    return math.exp(statistics.fmean(logs)) if logs else None


def _cells(judged: Judgement, grid: Grid) -> list[Cell]:
    return [grid.cell(row.row, row.arm) for row in judged.found.rows]


def _pooled(judged: Judgement, grid: Grid) -> str:
    pooled, units = judged.found.pooled, scale.of(grid)
    if pooled.mean is None:
        return "No pair of runs finished."
    over = f"over {words.many(pooled.count, 'row')}"
    if pooled.low is None:
        apart = units.with_unit(units.apart(pooled.mean))
        why = "one seed" if judged.found.differences == pooled.count else "all equal"
        return f"Difference {over}: {apart}, {why}."
    return f"Difference {over}: {units.with_unit(units.interval(pooled))}."


def _smallest_margin(judged: Judgement, grid: Grid) -> str:
    """What the margin might have been; "" where no margin would do."""
    rows = judged.found.rows
    if any(len(row.differences) < LEAST_PAIRS or row.failed_alone for row in rows):
        return ""
    if not any(row.difference.deviation for row in rows):
        return ""
    least = equivalence.smallest_margin([row.values for row in rows])
    if least is None:
        return ""
    units = scale.of(grid)
    told = units.with_unit(f"{units.factor * least:.2g}")
    whose = "it" if len(rows) == 1 else "all of them"
    return f"The smallest margin that would hold of {whose} is {told}."


def _against(judged: Judgement, grid: Grid) -> str:
    rows = judged.rows_of(claims.CONTRADICTED)
    found = [f"{row.row} ({_why_against(row, grid)})" for row in rows]
    return f"Against it: {words.listed(found)}." if found else ""


def _why_against(row: Contrast, grid: Grid) -> str:
    if not row.differences:
        return "no pair finished"
    apart = scale.of(grid).interval(row.difference)
    if not row.diverged_alone:
        return apart
    return f"{apart}, and {words.of(row.diverged_alone, row.pairs)} diverged"


def _short(judged: Judgement, grid: Grid) -> str:
    """The rows in which what the arm is compared with is not as good as claimed."""
    least = judged.claim.least
    if least is None or not judged.short:
        return ""
    units = scale.of(grid)
    percent = units.unit(" %")
    found = [f"{units.value(m, None)}{percent} ({r})" for r, m in judged.short.items()]
    side = "below" if grid.metric.higher_is_better else "above"
    limit = f"{units.factor * least:g}{percent}"
    where = "" if judged.verdict == claims.NOT_TESTED else ": not tested there"
    return f"{judged.claim.against} is at {words.listed(found)}, {side} {limit}{where}."


def _failed(judged: Judgement) -> str:
    """The pairs in which the arm alone did not finish."""
    rows = [row for row in judged.found.rows if row.failed_alone]
    if not rows:
        return ""
    found = [f"{row.row} ({words.of(row.failed_alone, row.pairs)})" for row in rows]
    claim = judged.claim
    return (
        f"{claim.arm} failed where {claim.against} with the same seed did not: "
        f"{words.listed(found)}."
    )


def _ratios(timed: Sequence[Contrast]) -> str:
    """Each row's ratio of times, or of many rows the ends."""
    if not timed:
        return "No pair was timed: that takes one machine, and two epochs a run."
    ordered = sorted(timed, key=lambda row: row.ratio.median if row.ratio else 0.0)
    shown = ordered if len(ordered) <= MOST_ROWS else (ordered[0], ordered[-1])
    values = [f"{row.row} {words.ratio(row.ratio)}" for row in shown]
    if len(shown) < len(ordered):
        return f"From {values[0]} to {values[1]} times."
    return f"{words.listed(values)} times."


def _unseen(judged: Judgement) -> str:
    if judged.verdict != claims.TOO_FEW:
        return ""
    rate = words.share(claims.HIGHEST_RATE)
    return f"A rate of {rate} could have gone unseen in so few runs."


def _least(judged: Judgement) -> str:
    rows = judged.rows_of(claims.TOO_FEW)
    few = any(len(row.differences) < LEAST_PAIRS for row in rows)
    return f"At least {LEAST_PAIRS} seeds are needed." if few else ""


def _more_seeds(judged: Judgement, grid: Grid) -> str:
    """How many seeds would do where there are too few, for the widest row."""
    rows = judged.rows_of(claims.TOO_FEW)
    if _least(judged):
        return _least(judged)
    wanted = [
        equivalence.pairs_needed(
            row.difference.deviation, grid.margin, rows=len(judged.rows)
        )
        for row in rows
    ]
    if not rows or None in wanted:
        return ""
    most = max(each for each in wanted if each is not None)
    return (
        f"With the spread seen so far, a guess, about {most} seeds would tell, were "
        "there no difference."
    )
