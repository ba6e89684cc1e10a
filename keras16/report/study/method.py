"""How a study is judged, in the report's own words."""

from __future__ import annotations

from keras16.analysis import claims
from keras16.analysis.cells import Grid
from keras16.report.study import scale
from keras16.report.study.document import Block, Bullets, Heading
from keras16.statistics import several


def blocks(grid: Grid) -> list[Block]:
    """The section that says what was tested and what each verdict means."""
    margin = scale.of(grid).margin(grid.margin)
    worse = "below 0" if grid.metric.higher_is_better else "above 0"
    return [
        Heading("How it was judged"),
        Bullets(
            (
                *_own_metric(grid),
                f"The margin of {margin} was fixed in the study before the runs. Arms "
                "are paired: the same initial weights and the same order of the data.",
                "Differences: mean and 95 % interval by Student's t over paired seeds; "
                "a pair counts where both runs finished. Over all rows: of "
                f"{several.MANY_ROWS} rows and more by random effects (Paule and "
                "Mandel; interval of Hartung and Knapp), which is about other rows, "
                "too; of fewer the plain mean, which is about these. The spreads of "
                "the rows, guesses with few seeds, lean on one another.",
                "Equivalent: two one-sided paired t tests against the margin; "
                "superior: a one-sided paired t test; both with Holm's correction over "
                "the rows. Where all differences are equal, n pairs are worth a sign "
                "test, 2^-n.",
                *_of_examples(grid),
                "Failures: Fisher's exact test of the rates. A run that diverges where "
                "its pair finishes speaks against equivalence: one is enough to leave "
                "it unconfirmed, and more of them than chance has (sign test) "
                "contradict it.",
                "A claim is confirmed where every row that was run confirms it at 5 %; "
                "contradicted where a row's interval, corrected, or that over all rows "
                f"lies wholly beyond the margin (superior: {worse}); too few seeds to "
                f"say with fewer than {claims.LEAST_PAIRS} pairs, or where a "
                "difference of exactly 0 with this spread would not have been "
                "confirmed; else not confirmed."
                f"{_of_not_tested(grid)}",
                "Faster: t tests of the logarithms of paired ratios of epoch times; "
                "rows whose runs shared the machine do not test it. Smaller: bytes of "
                "the weights, which no seed changes. Stable: no run diverges, in "
                f"enough runs that a rate above {100 * claims.HIGHEST_RATE:g} % would "
                "have been seen.",
            )
        ),
    ]


def _of_not_tested(grid: Grid) -> str:
    if all(claim.least is None for claim in grid.study.claims):
        return ""
    short = "below" if grid.metric.higher_is_better else "above"
    return (
        " A claim about good nets is not tested by a row in which what the arm is "
        f"compared with ends {short} what the claim names."
    )


def _own_metric(grid: Grid) -> list[str]:
    """What it is judged by, where that is not the accuracy."""
    metric = grid.metric
    if metric.is_accuracy:
        return []
    way = "higher" if metric.higher_is_better else "lower"
    judged = f"Judged by {metric.name} on test data; a {way} one is better."
    return [judged if metric.is_share else f"{judged} Differences are in its units."]


def _of_examples(grid: Grid) -> list[str]:
    """Of what asks which examples are classified right."""
    if not grid.metric.is_accuracy:
        return []
    return [
        "McNemar (exact, with Holm's correction over the rows): a test example counts "
        "once, for the arm that gets it right with more of the seeds. It asks whether "
        "these nets differ, not whether other seeds would."
    ]
