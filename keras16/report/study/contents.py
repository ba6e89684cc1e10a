"""What a report says, in its order."""

from __future__ import annotations

import collections
import shlex
from collections.abc import Mapping, Sequence

from keras16.analysis import claims, progress
from keras16.analysis.cells import Grid
from keras16.analysis.claims import Judgement
from keras16.analysis.contrasts import Contrast, Contrasts, contrasts
from keras16.report.study import (
    evidence,
    headline,
    method,
    recipe,
    scale,
    tables,
    words,
)
from keras16.report.study.document import (
    Block,
    Bullets,
    Code,
    Document,
    Figure,
    Heading,
    Paragraph,
    Table,
)
from keras16.statistics.equivalence import LEVEL

MOST_CAUSES = 8  # told of failed runs, the most frequent ones


def document(grid: Grid, figures: Mapping[str, str]) -> Document:
    """The report of a study.

    Args:
        grid: All runs, of which there may be none.
        figures: File names by kind: "accuracy", "differences", "cost", "failures".
    """
    judged = [claims.judge(grid, claim) for claim in grid.study.claims]
    parts = (
        _opening(grid, judged),
        _claims(grid, judged),
        recipe.blocks(grid),
        _accuracies(grid, figures),
        _differences(grid, figures),
        _costs(grid, figures),
        _failures(grid, figures),
        method.blocks(grid),
        _machine(grid),
        _again(grid),
    )
    return Document(grid.study.title, tuple(block for part in parts for block in part))


def _opening(grid: Grid, judged: Sequence[Judgement]) -> list[Block]:
    return [
        Paragraph(grid.study.question),
        Paragraph(headline.verdict(grid, judged), label="Verdict:"),
        Bullets(headline.what_was_done(grid)),
    ]


def _claims(grid: Grid, judged: Sequence[Judgement]) -> list[Block]:
    if not judged:
        return []
    reasons = [
        f"{evidence.verdict(one, grid)}: {evidence.sentences(one, grid)}"
        for one in judged
    ]
    table = tables.of_claims(grid, judged)
    return [Heading("Claims"), table, Bullets(tuple(reasons), numbered=True)]


def _accuracies(grid: Grid, figures: Mapping[str, str]) -> list[Block]:
    if not grid.records:
        return []
    drawn = _figure(
        figures,
        "accuracy",
        f"{scale.of(grid).title} by epoch: the mean over seeds, and beside it a "
        "bar from the least to the greatest. The first epochs may lie "
        f"{'below' if grid.metric.higher_is_better else 'above'} the frame.",
    )
    heading = Heading(scale.of(grid).title)
    return [heading, tables.of_accuracies(grid), *drawn]


def _differences(grid: Grid, figures: Mapping[str, str]) -> list[Block]:
    found = comparisons(grid)
    if not found:
        return []
    drawn = _figure(
        figures,
        "differences",
        "Paired differences by seed (small), their mean with its 95 % interval "
        "(large), and the margin (dashed); beyond twice the margin the axis is "
        "logarithmic.",
    )
    shown: list[Table] = [tables.of_contrasts(grid, one) for one in found]
    control = [one for one in found if one.arm == grid.study.control]
    heading = Heading(f"Against {grid.study.baseline}")
    return [heading, *shown, *(_control(grid, one) for one in control), *drawn]


def comparisons(grid: Grid) -> list[Contrasts]:
    """Every arm against the baseline, where there are pairs."""
    baseline = grid.study.baseline
    others = [arm for arm in grid.arms if arm != baseline]
    found = [contrasts(grid, arm, baseline) for arm in others]
    return [one for one in found if one.rows]


def _control(grid: Grid, found: Contrasts) -> Paragraph:
    """What the procedure says where nothing but the seed differs."""
    rows = [row for row in found.rows if row.differences]
    same = sum(row.p_equivalent_holm <= LEVEL for row in rows)
    units = scale.of(grid)
    apart = units.with_unit(units.interval(found.pooled))
    return Paragraph(
        f"{found.arm} is {found.against} with other seeds: nothing but chance "
        f"differs. Of it the same procedure says: {apart}, equivalent in "
        f"{words.of(same, len(rows))} rows{_examples_apart(rows)}. It shares neither "
        "initial weights nor the order of the data, so that it varies more than an arm "
        "that is paired by seed.",
        label="The control.",
    )


def _examples_apart(rows: Sequence[Contrast]) -> str:
    """What McNemar's test says of it; "" where nothing is classified."""
    if rows and not any(row.examples for row in rows):
        return ""
    told = sum(row.p_examples_holm <= LEVEL for row in rows)
    return f"; McNemar's test tells the two apart in {words.of(told, len(rows))}"


def _costs(grid: Grid, figures: Mapping[str, str]) -> list[Block]:
    if not any(cell.finished for cell in grid.cells.values()):
        return []
    drawn = _figure(
        figures,
        "cost",
        "Epoch time (the inverse of the table's times as fast) and bytes as shares of "
        f"{grid.study.baseline}'s.",
    )
    return [Heading("Time, size and purity"), tables.of_costs(grid), *drawn]


def _failures(grid: Grid, figures: Mapping[str, str]) -> list[Block]:
    if not grid.records:
        return []
    causes = collections.Counter(
        (one.arm, one.status, one.cause or "no cause was given")
        for one in grid.records
        if one.status != "finished"
    )
    told = [
        f"{arm}, {'diverged' if status == 'failed' else status}: {cause} "
        f"({words.many(count, 'run')})"
        for (arm, status, cause), count in causes.most_common(MOST_CAUSES)
    ]
    more = len(causes) - len(told)
    told += [f"and {words.many(more, 'other cause')}"] if more > 0 else []
    drawn = _figure(figures, "failures", "Failed runs of all, by row and arm.")
    table = tables.of_failures(grid)
    return [Heading("Failures"), table, Bullets(tuple(told)), *drawn]


def _figure(figures: Mapping[str, str], kind: str, caption: str) -> list[Block]:
    return [Figure(figures[kind], caption)] if kind in figures else []


def _machine(grid: Grid) -> list[Block]:
    found = progress.fingerprints(grid)
    codes = progress.progress(grid).codes
    rows = [(name, "; ".join(values) or "none") for name, values in found.items()]
    rows += [("keras16 source", "; ".join(code or "unknown" for code in codes))]
    if not grid.records:
        return []
    table = Table(
        "Distinct values over all runs.", ("what", "found"), tuple(rows), words=2
    )
    return [Heading("Machine and software"), table]


def _again(grid: Grid) -> list[Block]:
    name = grid.study.file or grid.study.name
    return [
        Heading("Run it again"),
        Code(
            (
                f"keras16 study run {name}{_options(grid)}",
                f"keras16 study report {name}",
            )
        ),
    ]


def _options(grid: Grid) -> str:
    """What makes of the study what was done."""
    done = progress.progress(grid)
    fewer = 0 < done.seeds[1] < grid.study.seeds
    seeds = f" --seeds {done.seeds[1]}" if fewer else ""
    _, epochs = done.changed.get("epochs", ("", ""))
    models = _names(" --models", grid.rows, done.rows)
    arms = _names(" --arms", grid.arms, done.arms)
    epochs = f" --epochs {epochs}" if epochs.isdigit() else ""
    most = max((record.workers for record in grid.records), default=1)
    workers = f" --workers {most}" if most > 1 else ""
    return seeds + epochs + models + arms + workers


def _names(option: str, names: Sequence[str], count: tuple[int, int]) -> str:
    """The option that asks for some of what there is; "" where that is none or all."""
    done, planned = count
    return f"{option} {shlex.quote(','.join(names))}" if 0 < done < planned else ""
