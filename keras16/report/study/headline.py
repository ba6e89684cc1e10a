"""The first lines of a report: the verdict, and what of the plan was done."""

from __future__ import annotations

from collections.abc import Sequence

from keras16.analysis import claims
from keras16.analysis.cells import Grid
from keras16.analysis.claims import Judgement
from keras16.analysis.contrasts import contrasts
from keras16.analysis.progress import Progress, progress
from keras16.report.study import scale, words


def verdict(grid: Grid, judged: Sequence[Judgement]) -> str:
    """One or two sentences that answer the study's question as far as it goes."""
    done = progress(grid)
    if not done.done:
        return f"Nothing to say yet: 0 of {words.many(done.planned, 'run')} so far."
    partial = done.done < done.planned
    so_far = f"{words.of(done.done, done.planned)} runs so far. " if partial else ""
    if not judged:
        return so_far + _of_arms(grid)
    scope = f" ({', '.join(scaled(done))})" if scaled(done) else ""
    return f"{so_far}{_equivalent(judged, grid)}{_counted(judged)}{scope}."


def scaled(done: Progress) -> list[str]:
    """What is less than planned, or other, in a few words each."""
    rows, arms = done.rows, done.arms
    found = [f"{words.of(*rows)} rows"] if rows[0] < rows[1] else []
    found += [f"{words.of(*arms)} arms"] if arms[0] < arms[1] else []
    return found + [
        f"{name.replace('_', ' ')} {does} instead of {planned}"
        for name, (planned, does) in done.changed.items()
    ]


def what_was_done(grid: Grid) -> tuple[str, ...]:
    """Sentences on everything that is not as planned, and that weakens the rest."""
    done = progress(grid)
    return tuple(
        each
        for each in (
            _runs(done, grid),
            _scaled_down(done),
            _missing(grid),
            _shared(done),
            _machines(done),
            _codes(done),
            _strays(done),
        )
        if each
    )


def _equivalent(judged: Sequence[Judgement], grid: Grid) -> str:
    """What most studies ask: "As accurate as 32: 16 confirmed (+0.02 points)"."""
    baseline, units = grid.study.baseline, scale.of(grid)
    found = [
        f"{one.claim.arm} {one.verdict} "
        f"({units.with_unit(units.apart(one.found.pooled.mean))})"
        for one in judged
        if (one.claim.kind, one.claim.against) == ("equivalent", baseline)
        if one.found.pooled.mean is not None
    ]
    return f"As {units.good} as {baseline}: {'; '.join(found)}. " if found else ""


def _counted(judged: Sequence[Judgement]) -> str:
    """Such as "2 of 4 claims confirmed, 1 contradicted, 1 too few seeds to say"."""
    by_verdict = {
        verdict: sum(one.verdict == verdict for one in judged)
        for verdict in claims.VERDICTS
    }
    confirmed = by_verdict.pop(claims.CONFIRMED)
    others = [f"{count} {verdict}" for verdict, count in by_verdict.items() if count]
    first = f"{words.of(confirmed, len(judged))} claims confirmed"
    return ", ".join([first, *others])


def _of_arms(grid: Grid) -> str:
    """Each arm against the baseline, where a study makes no claims."""
    baseline, units = grid.study.baseline, scale.of(grid)
    found = [
        f"{arm} {units.interval(contrasts(grid, arm, baseline).pooled)}"
        for arm in grid.arms
        if arm != baseline
    ]
    if baseline not in grid.arms or not found:
        return f"There is nothing to compare with {baseline} yet."
    points = units.unit(", in points")
    return f"{units.title} less {baseline}'s{points}: {'; '.join(found)}."


def _runs(done: Progress, grid: Grid) -> str:
    least, most = done.seeds
    seeds = str(most) if least == most else f"{least} to {most}"
    return (
        f"{words.of(done.done, done.planned)} runs: {done.finished} finished, "
        f"{done.diverged} diverged, {done.crashed} crashed. Seeds of a row and arm: "
        f"{seeds} of {grid.study.seeds}."
    )


def _scaled_down(done: Progress) -> str:
    found = scaled(done) if done.done else []
    return f"Not as planned: {'; '.join(found)}." if found else ""


def _missing(grid: Grid) -> str:
    rows = [row.name for row in grid.study.rows if row.name not in grid.rows]
    arms = [arm.name for arm in grid.study.arms if arm.name not in grid.arms]
    if not grid.records or not rows + arms:
        return ""
    found = [f"rows {words.listed(rows)}"] if rows else []
    found += [f"arms {words.listed(arms)}"] if arms else []
    return f"Without any run: {'; '.join(found)}."


def _shared(done: Progress) -> str:
    if not done.shared:
        return ""
    return (
        f"{words.of(done.shared, done.done)} runs shared the machine with something "
        "else: their times are not to be trusted."
    )


def _machines(done: Progress) -> str:
    if done.machines < 2:
        return ""
    return (
        f"{done.machines} different machines: times are compared between runs of one "
        "machine alone."
    )


def _codes(done: Progress) -> str:
    if len(done.codes) < 2:
        return ""
    return f"{len(done.codes)} versions of keras16: {', '.join(done.codes)}."


def _strays(done: Progress) -> str:
    if not done.strays:
        return ""
    return (
        f"{words.many(done.strays, 'record')} left out: of no row and arm of the "
        "study, or repeated later."
    )
