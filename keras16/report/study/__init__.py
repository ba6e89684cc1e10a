"""The report of a study: words, tables and figures, in four formats.

`write` makes the files, `summary` plain values, `lines` text for a terminal.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

from keras16.analysis import cells, claims
from keras16.report.study import contents, figures, html, latex, markdown, plain, text
from keras16.results import Record
from keras16.study import Study


def write(
    study: Study, records: Sequence[Record], folder: pathlib.Path
) -> list[pathlib.Path]:
    """Writes NAME.md, NAME.html, NAME.tex and their figures, NAME-KIND.svg.

    The same records give the same bytes, under the same versions of matplotlib.

    Args:
        study: The plan.
        records: Of any part of it, in any order; there may be none.
        folder: Made where missing.

    Returns:
        The files, the Markdown report first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    grid = cells.grid(study, records)
    drawn = figures.write(grid, folder)
    report = contents.document(grid, drawn)
    texts = {
        "md": markdown.rendered(report),
        "html": html.rendered(report, folder),
        "tex": latex.rendered(report),
    }
    paths = [folder / f"{study.name}.{suffix}" for suffix in texts]
    for path, content in zip(paths, texts.values(), strict=True):
        path.write_text(content, encoding="utf-8", newline="\n")
    return [*paths, *(folder / name for name in drawn.values())]


def summary(study: Study, records: Sequence[Record]) -> dict[str, Any]:
    """The outcome as plain values, for JSON."""
    grid = cells.grid(study, records)
    judged = [claims.judge(grid, claim) for claim in study.claims]
    return plain.summary(grid, judged, contents.comparisons(grid))


def lines(study: Study, records: Sequence[Record]) -> list[str]:
    """The outcome in lines for a terminal."""
    return text.lines(cells.grid(study, records))
