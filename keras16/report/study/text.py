"""A study's outcome as lines for a terminal."""

from __future__ import annotations

import textwrap

from keras16.analysis import claims
from keras16.analysis.cells import Grid
from keras16.report.study import evidence, headline, tables
from keras16.report.study.contents import comparisons
from keras16.report.study.document import Table

WIDTH = 100


def lines(grid: Grid) -> list[str]:
    """Title, verdict, claims, accuracies and differences."""
    judged = [claims.judge(grid, claim) for claim in grid.study.claims]
    found = [grid.study.title, *wrapped(headline.verdict(grid, judged)), ""]
    for sentence in headline.what_was_done(grid):
        found += wrapped(sentence)
    for one in judged:
        found += ["", *wrapped(f"{evidence.verdict(one, grid)}: {one.claim.text}")]
        found += wrapped(evidence.sentences(one, grid), indent="    ")
    if grid.records:
        found += ["", *table(tables.of_accuracies(grid))]
    for compared in comparisons(grid):
        found += ["", *table(tables.of_contrasts(grid, compared))]
    return found


def wrapped(sentence: str, indent: str = "") -> list[str]:
    """A sentence in lines of the usual width."""
    return textwrap.wrap(
        sentence, WIDTH, initial_indent=indent, subsequent_indent=indent
    )


def table(block: Table) -> list[str]:
    """Columns of text with two blanks between them, the numbers to the right."""
    rows = [block.header, *block.rows]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    set_out = [
        "  ".join(
            cell.ljust(width) if place < block.words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    rule = "-" * max(len(line) for line in set_out)
    return [*wrapped(block.caption), set_out[0], rule, *set_out[1:]]
