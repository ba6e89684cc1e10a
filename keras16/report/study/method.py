"""How a study is judged, in the report's own words."""

from __future__ import annotations

from keras16.analysis import claims
from keras16.analysis.cells import Grid
from keras16.report.study import scale
from keras16.report.study.document import Block, Bullets, Heading
from keras16.statistics import several


def blocks(grid: Grid) -> list[Block]:
    """The section that says what was tested and what each verdict means."""
    worse = "below 0" if grid.metric.higher_is_better else "above 0"
    return [
        Heading("How it was judged"),
        Bullets(
            (
                *_own_metric(grid),
                _of_pairs(grid),
                "Differences: mean and 95 % interval by Student's t over paired seeds; "
                "a pair counts where both runs finished. Over all rows: of "
                f"{several.MANY_ROWS} rows and more by random effects (Paule and "
                "Mandel; interval of Hartung and Knapp), which is about other rows, "
                "too, the spreads of the rows, guesses with few seeds, leaning on one "
                "another; of fewer the plain mean, which is about these, with the "
                "spread of each (Welch and Satterthwaite), without rows of fewer than "
                f"{several.LEAST_PAIRS} pairs where others have more.",
                "Equivalent: two one-sided paired t tests against the margin; "
                "superior: a one-sided paired t test; both with Holm's correction over "
                "the rows of a claim; claims are not corrected for one another. Where "
                "all differences are equal, n pairs are worth a sign test, 2^-n.",
                *_of_examples(grid),
                "Failures: Fisher's exact test of the rates. A run that diverges or "
                "crashes where its pair finishes speaks against equivalence: one is "
                "enough to leave it unconfirmed, and more that diverge than chance has "
                "(a sign test at 5 % of its own) contradict it.",
                "A claim is confirmed where every row that was run confirms it at 5 %; "
                "contradicted where a row's interval, corrected, or that over all rows "
                f"lies wholly beyond the margin (superior: {worse}); too few seeds to "
                f"say with fewer than {several.LEAST_PAIRS} pairs, or where with "
                "this spread the best that could be hoped for would not have been "
                "confirmed (equivalent: a difference of exactly 0; superior: a lead "
                f"of the margin; faster: {claims.LEAD:g} times the bound); else not "
                "confirmed."
                f"{_of_not_tested(grid)}",
                "Faster: t tests of the logarithms of paired ratios of epoch times; "
                "rows whose runs shared the machine do not test it. Smaller: bytes of "
                "the weights, which no seed changes. Stable: no run diverges, in "
                f"enough runs that a rate above {100 * claims.HIGHEST_RATE:g} % would "
                "have been seen.",
            )
        ),
    ]


def _of_pairs(grid: Grid) -> str:
    """The margin, and what runs of one seed have in common."""
    study = grid.study
    margin = scale.of(grid).margin(grid.margin)
    fixed = "was fixed in the study before the runs"
    if study.file:
        fixed = "is what the study's file says; it was to be fixed before the runs"
    control = f", all but {study.control}," if study.control in grid.arms else ""
    return (
        f"The margin of {margin} {fixed}. Arms are paired{control} by the same "
        "initial weights and the same order of the data."
    )


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
        "McNemar (exact, with Holm's correction over the rows): the test examples are "
        "the sample, and each weighs by how many more seeds of the one arm get it "
        "right. It asks whether these very nets differ on other examples, not whether "
        "other seeds would: nets of one arm that differ in their seeds alone often do."
    ]
