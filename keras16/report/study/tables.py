"""The tables of a report: cells of text, the published values beside ours."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from keras16.analysis.cells import Cell, Grid
from keras16.analysis.claims import Judgement
from keras16.analysis.contrasts import Contrast, Contrasts, contrast
from keras16.report import units
from keras16.report.study import evidence, scale, words
from keras16.report.study.document import Table
from keras16.statistics import counts
from keras16.study import Published, Row

RIGHT = "only one right"
HOLM = frozenset({"p equivalent", "p superior", "p McNemar"})  # columns


def of_claims(grid: Grid, judged: Sequence[Judgement]) -> Table:
    """Claim by claim: what was published, ours, and the verdict."""
    rows = [
        (
            f"{number}. {one.claim.text.rstrip('.')} ({one.claim.source})",
            one.claim.published or words.NOTHING,
            evidence.ours(one, grid),
            evidence.verdict(one, grid),
        )
        for number, one in enumerate(judged, 1)
    ]
    header = ("claim", "published", "ours", "verdict")
    caption = "What was claimed, and what the runs say of it."
    return Table(caption, header, tuple(rows), words=4)


def of_accuracies(grid: Grid) -> Table:
    """Row by row and arm by arm: the metric on test data, ours and published."""
    arms = [(name, _has_published(grid, name)) for name in grid.arms]
    header = ["row"]
    for name, published in arms:
        header += [name, f"{name}, published"] if published else [name]
    rows = [
        (row.name, *(cell for arm in arms for cell in _accuracies(grid, row, *arm)))
        for row in grid.study.rows
        if row.name in grid.rows
    ]
    scaled = scale.of(grid)
    caption = (
        f"Test {grid.metric.name} after the last epoch{scaled.unit(' in %')}"
        f"{scaled.lower}, mean ± standard deviation over seeds."
    )
    return Table(caption, tuple(header), tuple(rows))


def of_contrasts(grid: Grid, found: Contrasts) -> Table:
    """One arm against another, with everything that was tested."""
    rows = {row.name: row for row in grid.study.rows}
    header = (
        "row",
        "pairs",
        "difference (95 % interval)",
        "published",
        "p equivalent",
        "p superior",
        RIGHT,
        "p McNemar",
        "failed",
        "p failures",
    )
    lines = [
        _contrast(grid, one, _published_difference(grid, rows[one.row], one))
        for one in found.rows
    ]
    several = len(found.rows) > 1
    total = ("all rows", str(found.differences), scale.of(grid).interval(found.pooled))
    metric = scale.of(grid).of(" in points")
    if several:
        lines.append((*total, *[""] * (len(header) - len(total))))
    table = _without_empty(Table("", header, tuple(lines), last=several))
    is_control = found.arm == grid.study.control
    paired = "of seeds matched by number" if is_control else "paired by seed"
    caption = f"{found.arm} less {found.against}: {metric}, {paired}"
    if not HOLM.isdisjoint(table.header):
        but = " but that of failures" if "p failures" in table.header else ""
        caption += f"; p values{but} after Holm's correction over the rows"
    if RIGHT in table.header:
        caption += (
            f". {RIGHT.capitalize()}: seeds with which a test example is right at "
            f"{found.arm} alone : at {found.against} alone, less the opposite ones of "
            "the same example, summed over the examples"
        )
    return dataclasses.replace(table, caption=f"{caption}.")


def of_costs(grid: Grid) -> Table:
    """Time, bytes, memory and purity of every row and arm."""
    header = (
        "row",
        "arm",
        "epoch",
        "times as fast",
        "published",
        "weights",
        "optimizer",
        "peak memory",
        "wide tensors",
    )
    lines = [
        _cost(grid, row, grid.cell(row.name, arm))
        for row in grid.study.rows
        for arm in grid.arms
        if grid.cell(row.name, arm).records
    ]
    table = _without_empty(Table("", header, tuple(lines), words=2))
    told = {
        "epoch": "Median epoch",
        "times as fast": f"how many times as fast as {grid.study.baseline} (median of "
        "paired ratios, with the interval by order statistics, or of fewer than 6 "
        "pairs their range)",
        "weights": "bytes",
        "wide tensors": "and tensors of the audited step wider than 16 bits",
    }
    notes = "; ".join(note for column, note in told.items() if column in table.header)
    caption = f"{notes[:1].upper()}{notes[1:]}."
    return dataclasses.replace(table, caption=caption)


def of_failures(grid: Grid) -> Table:
    """Runs that did not finish, by arm."""
    header = ("arm", "runs", "finished", "diverged", "crashed", "failure rate (95 %)")
    rows = [_failures(grid, arm) for arm in grid.arms]
    caption = "Runs over all rows; the rate of failure with Wilson's interval."
    return Table(caption, header, tuple(rows))


def _accuracies(grid: Grid, row: Row, arm: str, published: bool) -> list[str]:
    cell = grid.cell(row.name, arm)
    failed = f", {cell.failures} failed" if cell.failures else ""
    score = scale.of(grid).value(*cell.score)
    ours = score + failed if cell.records else words.NOTHING
    return [ours, _paper(grid, row.published.get(arm))] if published else [ours]


def _paper(grid: Grid, value: Published | None) -> str:
    if value is None:
        return words.NOTHING
    return scale.of(grid).published(value.accuracy, value.deviation)


def _has_published(grid: Grid, arm: str) -> bool:
    return any(arm in r.published for r in grid.study.rows if r.name in grid.rows)


def _contrast(grid: Grid, one: Contrast, published: str) -> tuple[str, ...]:
    failed = [grid.cell(one.row, arm).failures for arm in (one.arm, one.against)]
    known = bool(one.differences)
    return (
        one.row,
        str(len(one.differences)),
        scale.of(grid).interval(one.difference),
        published,
        words.p_value(one.p_equivalent_holm if known else None),
        words.p_value(one.p_superior_holm if known else None),
        f"{one.examples.better} : {one.examples.worse}" if one.examples else "",
        words.p_value(one.p_examples_holm) if one.examples else "",
        f"{failed[0]} : {failed[1]}" if any(failed) else "",
        words.p_value(one.p_failures) if any(failed) else "",
    )


def _published_difference(grid: Grid, row: Row, one: Contrast) -> str:
    ours, other = row.published.get(one.arm), row.published.get(one.against)
    if ours is None or other is None:
        return ""
    return scale.of(grid).apart(ours.accuracy - other.accuracy, digits=1)


def _cost(grid: Grid, row: Row, cell: Cell) -> tuple[str, ...]:
    baseline = grid.cell(row.name, grid.study.baseline)
    against = contrast(cell, baseline, grid.margin)
    mark = "" if cell.timed_alone else " (shared)"
    epoch = cell.middle("median_epoch_seconds")
    wide = cell.wide_tensors
    own = cell.arm == grid.study.baseline
    return (
        row.name,
        cell.arm,
        f"{units.seconds(epoch)}{mark}" if epoch else "",
        "" if own or against.ratio is None else _ratio(against, cell),
        "" if own else _published_ratio(row, cell.arm, grid.study.baseline),
        *(
            _size(cell.middle(name))
            for name in ("weight_bytes", "optimizer_bytes", "peak_memory_bytes")
        ),
        "" if wide is None else f"{wide:,}",
    )


def _ratio(against: Contrast, cell: Cell) -> str:
    """Marked where the baseline alone had no machine to itself."""
    shared = cell.timed_alone and not against.timed_alone
    return f"{words.ratio(against.ratio)}{' (shared)' if shared else ''}"


def _published_ratio(row: Row, arm: str, baseline: str) -> str:
    ours, other = row.published.get(arm), row.published.get(baseline)
    if not (ours and other and ours.seconds and other.seconds):
        return ""
    return f"{other.seconds / ours.seconds:.2f}"


def _size(count: float | None) -> str:
    return "" if count is None else units.size_text(round(count))


def _failures(grid: Grid, arm: str) -> tuple[str, ...]:
    cells = [grid.cell(row, arm) for row in grid.rows]
    runs = sum(len(cell.records) for cell in cells)
    failed = sum(cell.failures for cell in cells)
    diverged = sum(cell.diverged for cell in cells)
    low, high = counts.rate_interval(failed, runs)
    rate = f"{words.share(failed / runs)} ({words.share(low)} to {words.share(high)})"
    numbers = (runs, runs - failed, diverged, failed - diverged)
    return (arm, *(f"{each:,}" for each in numbers), rate)


def _without_empty(table: Table) -> Table:
    """The table without the columns that no row fills."""
    kept = [
        place
        for place in range(len(table.header))
        if any(row[place] not in ("", words.NOTHING) for row in table.rows)
    ]
    rows = tuple(tuple(row[place] for place in kept) for row in table.rows)
    header = tuple(table.header[place] for place in kept)
    return Table(table.caption, header, rows, table.words, table.last)
