"""The report of a study: honest at every extreme, the same bytes each time."""

import dataclasses
import html.parser
import itertools
import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import synthetic

from keras16 import results
from keras16.analysis import cells, claims
from keras16.report import study as report
from keras16.report.study import (
    contents,
    draw_accuracy,
    draw_cost,
    evidence,
    headline,
    latex,
    markdown,
    style,
    tables,
    words,
)
from keras16.statistics import medians
from keras16.statistics.pairs import Difference
from keras16.study import Published, Row

ROOT = pathlib.Path(__file__).parents[1]
CLAIMS = tuple(
    synthetic.claim(kind, published="1.6 times" if kind == "faster" else "")
    for kind in ("equivalent", "superior", "faster", "smaller", "stable")
)
ARMS = ("16-plain", "16", "32", "32, other seeds")
PLAN = synthetic.study(
    rows=3, arms=ARMS, seeds=4, control="32, other seeds", claims=CLAIMS
)
RECORDS = synthetic.records(PLAN)


def one_seed():
    return [one for one in RECORDS if one.pair == 0]


def all_failed():
    return [synthetic.failed(one) for one in RECORDS]


def some_failed():
    return [
        synthetic.failed(one, "crashed" if one.pair else "failed")
        if one.arm == "16-plain" and one.pair < 2
        else one
        for one in RECORDS
    ]


def identical():
    alike = [one for one in RECORDS if one.arm == "32"]
    by_key = {(one.row, one.pair): one for one in alike}
    return [
        dataclasses.replace(by_key[one.row, one.pair], arm=one.arm, run=one.run)
        for one in RECORDS
    ]


def without_baseline():
    return [one for one in RECORDS if one.arm != "32"]


def unequal_seeds():
    return [one for one in RECORDS if one.pair < (2 if one.row == "resnet14" else 4)]


def bare():
    """Records of another engine, that tell no more than they must."""
    kept = ("study", "row", "arm", "pair", "run", "status", "test_accuracy")
    return [
        type(one)(**{name: getattr(one, name) for name in kept}) for one in RECORDS[:9]
    ]


def far_apart():
    """Accuracies that differ by sixty points, and fall back to chance."""
    return [
        dataclasses.replace(one, test_accuracy=0.1, correct="")
        if one.arm == "16-plain"
        else one
        for one in RECORDS
    ]


EXTREMES = {
    "none": list,
    "one_record": lambda: RECORDS[:1],
    "one_seed": one_seed,
    "all_failed": all_failed,
    "some_failed": some_failed,
    "identical": identical,
    "without_baseline": without_baseline,
    "unequal_seeds": unequal_seeds,
    "bare": bare,
    "far_apart": far_apart,
}


@pytest.mark.parametrize("extreme", EXTREMES)
def test_every_extreme_has_an_honest_report(extreme, tmp_path):
    found = EXTREMES[extreme]()
    paths = report.write(PLAN, found, tmp_path)
    texts = [p.read_text("utf-8") for p in paths if p.suffix in (".md", ".tex")]
    texts.append(json.dumps(report.summary(PLAN, found), allow_nan=False))
    texts.append("\n".join(report.lines(PLAN, found)))
    for text in texts:
        assert not re.search(r"\b(nan|inf|None)\b", text), text
    assert f"{len(found)} of 48 runs" in texts[0]
    assert {path.name for path in paths} == {path.name for path in tmp_path.iterdir()}


def test_the_first_three_lines_say_what_came_out(tmp_path):
    text = report.write(PLAN, RECORDS, tmp_path)[0].read_text("utf-8")
    title, question, verdict = [line for line in text.splitlines() if line][:3]
    assert title == "# A study that nobody trained"
    assert question == PLAN.question
    assert re.match(
        r"\*\*Verdict:\*\* As accurate as 32: 16 confirmed \([+−]?0\.\d\d points\)\. "
        r"\d of 5 claims confirmed",
        verdict,
    )


def test_a_report_is_the_same_bytes_again(tmp_path):
    first = report.write(PLAN, some_failed(), tmp_path / "first")
    second = report.write(PLAN, list(reversed(some_failed())), tmp_path / "second")
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes(), one.name
    assert [path.name for path in first] == [
        "synthetic.md",
        "synthetic.html",
        "synthetic.tex",
        "synthetic-accuracy.svg",
        "synthetic-differences.svg",
        "synthetic-cost.svg",
        "synthetic-failures.svg",
    ]


# What the opening admits


def opening(plan, found):
    return " ".join(headline.what_was_done(cells.grid(plan, found)))


def test_nothing_was_run_yet():
    grid = cells.grid(PLAN, [])
    assert headline.verdict(grid, []) == "Nothing to say yet: 0 of 48 runs so far."


def test_what_was_scaled_down_is_told():
    found = [
        dataclasses.replace(one, run=dataclasses.replace(one.run, epochs=2))
        for one in one_seed()
        if one.row != "resnet20"
    ]
    said = opening(PLAN, found)
    assert "8 of 48 runs: 8 finished, 0 diverged, 0 crashed." in said
    assert "Seeds of a row and arm: 1 of 4." in said
    assert "Not as planned: 2 of 3 rows; epochs 2 instead of 6." in said
    assert "Without any run: rows resnet20." in said
    grid = cells.grid(PLAN, found)
    judged = [claims.judge(grid, claim) for claim in PLAN.claims]
    verdict = headline.verdict(grid, judged)
    assert verdict.startswith("8 of 48 runs so far. ")
    assert verdict.endswith("(2 of 3 rows, epochs 2 instead of 6).")


def test_a_whole_study_admits_nothing():
    assert opening(PLAN, RECORDS) == (
        "48 of 48 runs: 48 finished, 0 diverged, 0 crashed. Seeds of a row and arm: "
        "4 of 4."
    )


def test_what_weakens_the_numbers_is_told():
    other = {**synthetic.MACHINE, "gpu": "NVIDIA H100"}
    found = [
        dataclasses.replace(RECORDS[0], workers=2),
        dataclasses.replace(RECORDS[1], fingerprint=other, code="89abcdef"),
        dataclasses.replace(RECORDS[2], row="another"),
    ]
    said = opening(PLAN, found)
    assert "1 of 2 runs shared the machine with something else: their times " in said
    assert "2 different machines: times are compared between runs of one" in said
    assert "2 versions of keras16: 0123abcd, 89abcdef." in said
    assert "1 record left out" in said


def test_a_study_without_claims_tells_of_its_arms():
    plan = dataclasses.replace(PLAN, claims=())
    found = report.summary(plan, RECORDS)["verdict"]
    assert re.match(r"Accuracy less 32's, in points: 16-plain [+−0]\.?\d", found)
    alone = [one for one in RECORDS if one.arm == "16"]
    said = report.summary(plan, alone)["verdict"]
    assert said.endswith("There is nothing to compare with 32 yet.")


# Claims and tables


def told(kind, found, plan=PLAN, **fields):
    grid = cells.grid(plan, found)
    judged = claims.judge(grid, synthetic.claim(kind, **fields))
    return evidence.ours(judged, grid), evidence.sentences(judged, grid)


def test_evidence_of_equivalence():
    plan = synthetic.study(rows=2, seeds=8)
    ours, why = told("equivalent", synthetic.records(plan), plan)
    assert re.fullmatch(r"[+−]0\.\d\d \(.* to .*\) points", ours)
    assert why.startswith("Equivalent within 0.5 points in 2 of 2 rows")
    assert f"Difference over 2 rows: {ours}." in why
    _, why = told("equivalent", far_apart(), arm="16-plain")
    assert re.search(r"Against it: cnn, Adam \(−\d\d\.\d\d \(", why)
    _, why = told("equivalent", one_seed())
    assert why.endswith("At least 3 seeds are needed.")
    wide = synthetic.records(plan, spread=0.02)
    assert re.search(
        r"a guess, about \d+ seeds would tell, were there no difference\.$",
        told("equivalent", wide, plan)[1],
    )


def test_a_verdict_of_some_rows_says_so():
    def said(found):
        grid = cells.grid(PLAN, found)
        return evidence.verdict(claims.judge(grid, synthetic.claim("smaller")), grid)

    assert said(RECORDS) == "confirmed"
    some = [one for one in RECORDS if one.row != "resnet20"]
    assert said(some) == "confirmed (2 of 3 rows tested)"
    assert said([]) == "not tested"


def test_evidence_of_failures():
    _, why = told("equivalent", some_failed(), arm="16-plain")
    assert (
        "16-plain failed where 32 with the same seed did not: cnn, Adam (2 of 4), "
        "resnet14 (2 of 4) and resnet20 (2 of 4)."
    ) in why
    one = synthetic.study(rows=1, arms=ARMS, seeds=6)
    found = [
        synthetic.failed(r) if r.arm == "16-plain" else r
        for r in synthetic.records(one)
    ]
    _, why = told("equivalent", found, one, arm="16-plain")
    assert "Against it: cnn, Adam (no pair finished)." in why
    ours, why = told("stable", some_failed(), arm="16-plain")
    assert ours == "3 of 12 diverged"
    assert why.startswith("16-plain: 6 of 12 runs failed (3 diverged), 95 % interval")


def test_evidence_of_time_and_size():
    ours, why = told("faster", RECORDS)
    assert re.fullmatch(r"takes 1\.\d+ times as long", ours)
    reverse, _ = told("faster", RECORDS, arm="32", against="16")
    assert re.fullmatch(r"1\.\d+ times as fast", reverse)
    assert told("faster", one_seed())[1].endswith("At least 3 seeds are needed.")
    assert "More than 1 times as fast in 0 of 3 rows" in why
    shared = [dataclasses.replace(one, workers=2) for one in RECORDS]
    assert "so these times decide nothing" in told("faster", shared)[1]
    assert told("faster", all_failed())[0] == words.NOTHING
    assert told("smaller", RECORDS, bound=0.51) == (
        "50.0 %",
        "Weights at 16 take 50.0 % of the bytes at 32; at most 51 % is claimed.",
    )


def test_evidence_of_superiority_and_stability():
    assert told("superior", RECORDS)[1].startswith("More accurate in 0 of 3 rows")
    assert told("stable", RECORDS)[1].endswith(
        "A rate of 20 % could have gone unseen in so few runs."
    )


def test_published_values_stand_beside_ours():
    grid = cells.grid(PLAN, RECORDS)
    text = markdown.rendered(contents.document(grid, {}))
    assert "| row | 16-plain | 16 | 16, published | 32 | 32, published |" in text
    assert "| 80.9 ± 0.3 |" in text
    assert re.search(r"\| cnn, Adam \| 16 \| .* \| 1\.33 \| 200 kB \| 400 kB \|", text)
    nothing = dataclasses.replace(
        PLAN, rows=tuple(Row(name=row.name, fields=row.fields) for row in PLAN.rows)
    )
    grid = cells.grid(nothing, RECORDS)
    assert "published |" not in markdown.rendered(contents.document(grid, {})).replace(
        "| claim | published |", ""
    )


def test_the_control_is_told_of():
    text = markdown.rendered(contents.document(cells.grid(PLAN, RECORDS), {}))
    assert "**The control.** 32, other seeds is 32 with other seeds" in text


def test_causes_of_failure_are_counted():
    text = markdown.rendered(contents.document(cells.grid(PLAN, some_failed()), {}))
    assert "- 16-plain, diverged: loss is NaN at step 40 (3 runs)" in text
    assert "- 16-plain, crashed: killed by signal 9 (3 runs)" in text


def test_how_to_run_it_again():
    def said(found):
        blocks = contents.document(cells.grid(PLAN, found), {}).blocks
        return blocks[-1].lines[0]

    assert said(RECORDS) == said([]) == "keras16 study run synthetic"
    short = [
        dataclasses.replace(one, run=dataclasses.replace(one.run, epochs=2))
        for one in one_seed()
    ]
    assert said(short) == "keras16 study run synthetic --seeds 1 --epochs 2"
    some = [one for one in RECORDS if one.row == "resnet14"]
    assert said(some) == "keras16 study run synthetic --models resnet14"
    comma = [one for one in RECORDS if one.row == "cnn, Adam"]
    assert said(comma) == "keras16 study run synthetic --models 'cnn, Adam'"
    arms = [one for one in RECORDS if one.arm in ("16", "32")]
    assert said(arms) == "keras16 study run synthetic --arms 16,32"
    beside = [dataclasses.replace(RECORDS[0], workers=3), *RECORDS[1:]]
    assert said(beside) == "keras16 study run synthetic --workers 3"


# Formats

HOSTILE = r"a | b & <i>c_d</i> 5% $x$ \n #{*}~^ ±−×"


def hostile():
    row = dataclasses.replace(PLAN.rows[0], name=HOSTILE)
    plan = dataclasses.replace(PLAN, title=HOSTILE, rows=(row,))
    found = [
        dataclasses.replace(one, row=HOSTILE)
        for one in some_failed()
        if one.row == "cnn, Adam"
    ]
    return plan, found


def test_tables_of_markdown_have_equal_rows(tmp_path):
    text = report.write(*hostile(), tmp_path)[0].read_text("utf-8")
    lines = text.splitlines()
    for is_table, group in itertools.groupby(lines, lambda line: line.startswith("|")):
        if is_table:
            bars = {len(re.findall(r"(?<!\\)\|", line)) for line in group}
            assert len(bars) == 1
    assert r"a \| b & \<i>c_d\</i>" in text


class Page(html.parser.HTMLParser):
    """What a page holds, and whether its tags close."""

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.links += [v for k, v in attributes if k in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_needs_no_other_file(tmp_path):
    path = report.write(*hostile(), tmp_path)[1]
    text = path.read_text("utf-8")
    page = Page(text)
    assert page.open == []
    assert len(page.links) == 4
    assert all(each.startswith("data:image/svg+xml;base64,") for each in page.links)
    assert HOSTILE in page.text
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text
    assert "url(" not in text
    assert "<script" not in text


def test_latex_closes_what_it_opens(tmp_path):
    text = report.write(*hostile(), tmp_path)[2].read_text("utf-8")
    opened = re.findall(r"\\begin\{(\w+)\}", text)
    assert sorted(opened) == sorted(re.findall(r"\\end\{(\w+)\}", text))
    assert opened.count("table") == 9
    assert opened.count("figure") == 4
    assert r"\IfFileExists{synthetic-cost.pdf}{\begin{figure}" in text
    assert r"a $|$ b \& $<$i$>$c\_d" in text
    assert latex.escaped("±−×") == r"$\pm$$-$$\times$"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
def test_latex_compiles(tmp_path):
    path = report.write(*hostile(), tmp_path)[2]
    line = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", path.name]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, timeout=60)
    said = done.stdout.decode("latin-1")
    assert done.returncode == 0, said[-2000:]
    assert "Overfull" not in said


def test_a_long_command_of_latex_is_broken_where_a_shell_allows_it():
    words = ["study", "run", "a b", "--arms", "16, Kahan", *("longer" * 3,) * 12]
    lines = latex._command(shlex.join(words)).splitlines()
    assert len(lines) > 2
    assert max(map(len, lines)) <= latex.CODE_WIDTH + len(" \\")
    assert all(line.endswith(" \\") for line in lines[:-1])
    assert shlex.split("\n".join(lines).replace("\\\n", " ")) == words
    assert latex._command("keras16 study list") == "keras16 study list"


def test_numbers_in_words():
    assert words.points(0.00123) == "+0.12"
    assert words.points(-0.00123) == "−0.12"
    assert words.points(-0.000001) == words.points(0.0) == "0.00"
    assert words.points(-0.00004) == "−0.004"
    assert words.points(0.00003) == "+0.003"
    assert words.difference(Difference(1, 0.01)) == "+1.00"
    assert words.difference(Difference(0)) == words.points(None) == "-"
    assert words.p_value(0.0004) == "< 0.001"
    assert words.p_value(0.0346) == "0.035"
    assert words.listed([]) == "none"
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
    assert words.many(1, "seed") == "1 seed"


def test_a_ratio_says_what_it_rests_on():
    assert words.ratio(medians.Interval(1.137, 1.137, 1.137)) == "1.14"
    assert words.ratio(medians.Interval(1.137, 1.0, 1.2)) == "1.14 (1 to 1.2)"
    crowded = [
        dataclasses.replace(one, workers=2) if one.arm == "32" else one
        for one in RECORDS
    ]
    lines = {row[:2]: row for row in tables.of_costs(cells.grid(PLAN, crowded)).rows}
    epoch, ratio = lines["resnet14", "16"][2:4]
    assert "(shared)" not in epoch and ratio.endswith(" (shared)")
    assert "(shared)" in lines["resnet14", "32"][2]


# Figures


def test_an_arm_keeps_its_look_and_looks_differ():
    looks = style.styles(PLAN)
    assert (looks["32"], looks["32, other seeds"]) == (style.BASELINE, style.CONTROL)
    for name in "color", "marker", "linestyle":
        assert len({str(look[name]) for look in looks.values()}) >= len(ARMS) - 1
    fewer = dataclasses.replace(PLAN, arms=PLAN.arms[:3])
    assert style.styles(fewer)["16"] == looks["16"]


def test_bands_are_over_the_runs_that_got_so_far():
    cell = cells.grid(PLAN, some_failed()).cell("cnn, Adam", "16-plain")
    found = draw_accuracy.band(cell, "accuracy")
    first = [100 * one.epochs[0].accuracy for one in cell.records]
    assert [point.epoch for point in found] == [1, 2, 3, 4, 5, 6]
    assert found[0][2:] == (min(first), max(first))
    last = [100 * one.epochs[5].accuracy for one in cell.finished]
    assert found[5].mean == pytest.approx(sum(last) / 2)


def test_bars_of_arms_stand_apart_and_lines_where_they_belong():
    arms = tuple(f"arm {number}" for number in range(7))
    plan = synthetic.study(rows=1, arms=arms, baseline="arm 0")
    panel = draw_accuracy.figure(cells.grid(plan, synthetic.records(plan))).axes[0]
    assert {tuple(line.get_xdata()) for line in panel.lines} == {(1, 2, 3, 4, 5, 6)}
    first = [bars.get_segments()[0][0][0] for bars in panel.collections]
    assert len(first) == len(set(first)) == 7
    assert max(abs(place - 1) for place in first) < 0.5


def test_a_long_training_has_some_bars_of_each_arm():
    plan = synthetic.study(rows=1, arms=("16", "32"))
    plan = plan.scaled(epochs=100)
    panel = draw_accuracy.figure(cells.grid(plan, synthetic.records(plan))).axes[0]
    assert {len(bars.get_segments()) for bars in panel.collections} <= {7, 8}


def test_times_are_drawn_as_the_table_has_them():
    grid = cells.grid(PLAN, RECORDS)
    panel = draw_cost.figure(grid).axes[0]
    heights = [bar.get_width() for bar in panel.containers[1]]
    rows = contents.comparisons(grid)[1].rows
    assert heights == [pytest.approx(1 / row.ratio.median) for row in rows]


def test_a_row_whose_runs_all_diverge_is_not_left_out_of_a_figure():
    row = PLAN.rows[0].name
    found = [
        dataclasses.replace(synthetic.failed(one), epochs=(), weight_bytes=None)
        if one.row == row
        else one
        for one in RECORDS
    ]
    found = [
        dataclasses.replace(one, optimizer_bytes=None) if one.row == row else one
        for one in found
    ]
    grid = cells.grid(PLAN, found)
    panel, *others = draw_accuracy.figure(grid).axes
    assert panel.get_title(loc="left") == row and not panel.lines
    assert [text.get_text() for text in panel.texts] == ["no run finished an epoch"]
    assert all(panel.lines for panel in others)
    for panel in draw_cost.figure(grid).axes:
        ((x, y), *_) = [
            text.get_position() for text in panel.texts if "no pair" in text.get_text()
        ]
        assert y == 0


def test_captions_speak_of_the_columns_that_are_there():
    grid = cells.grid(PLAN, RECORDS)
    whole = tables.of_costs(grid).caption
    assert whole.startswith("Median epoch; how many times as fast as 32 (")
    assert whole.endswith(
        "; bytes; and tensors of the audited step wider than 16 bits."
    )
    short = [
        dataclasses.replace(one, median_epoch_seconds=None, correct="")
        for one in one_seed()
    ]
    grid = cells.grid(PLAN, short)
    table = tables.of_costs(grid)
    assert "epoch" not in table.header
    assert table.caption.startswith("Bytes; and tensors")
    (found, *_) = contents.comparisons(grid)
    said = "16-plain less 32: accuracy in points, paired by seed; p values{} after "
    assert tables.of_contrasts(grid, found).caption == (
        said.format("") + "Holm's correction over the rows."
    )
    (found, *_) = contents.comparisons(cells.grid(PLAN, some_failed()))
    table = tables.of_contrasts(cells.grid(PLAN, some_failed()), found)
    assert {"p failures", "only one right"} < set(table.header)
    assert table.caption.startswith(said.format(" but that of failures") + "Holm's")
    assert table.caption.endswith("of the same example, summed over the examples.")


def test_the_control_is_not_called_paired():
    grid = cells.grid(PLAN, RECORDS)
    *_, control = contents.comparisons(grid)
    assert control.arm == PLAN.control
    caption = tables.of_contrasts(grid, control).caption
    assert "of seeds matched by number" in caption and "paired" not in caption
    text = markdown.rendered(contents.document(grid, {}))
    assert "Arms are paired, all but 32, other seeds, by the same initial" in text
    assert "was fixed in the study before the runs" in text
    own = dataclasses.replace(PLAN, control="", file="own.py")
    text = markdown.rendered(contents.document(cells.grid(own, RECORDS), {}))
    assert "points is what the study's file says; it was to be fixed before" in text
    assert "Arms are paired by the same initial weights" in text


def test_the_smallest_margin_is_told_of_rows_that_could_hold_one():
    plan = synthetic.study(rows=1, seeds=6)
    found = synthetic.records(plan, spread=0.003)
    ours, why = told("equivalent", found, plan)
    least = re.search(r"margin that would hold of it is (0\.\d+) points", why)
    margin = float(least[1]) / 100
    for share, verdict in (0.97, False), (1.03, True):
        grid = cells.grid(dataclasses.replace(plan, margin=share * margin), found)
        judged = claims.judge(grid, synthetic.claim("equivalent"))
        assert (judged.verdict == claims.CONFIRMED) is verdict
    assert "smallest margin" not in told("equivalent", one_seed())[1]
    assert "smallest margin" not in told("equivalent", some_failed(), arm="16-plain")[1]


def test_the_seeds_that_would_tell_are_more_than_there_are():
    plan = synthetic.study(rows=12, seeds=3)
    for seed in range(8):
        found = synthetic.records(plan, spread=0.0008, seed=seed)
        _, why = told("equivalent", found, plan)
        seeds = re.search(r"about (\d+) seeds would tell", why)
        assert seeds is None or int(seeds[1]) > 3, why


def test_training_accuracy_is_drawn_where_nothing_was_held_out():
    assert draw_accuracy.quantity(cells.grid(PLAN, RECORDS)) == "val_accuracy"
    epochs = [dataclasses.replace(RECORDS[0].epochs[0], val_accuracy=None)]
    some = dataclasses.replace(RECORDS[0], epochs=tuple(epochs))
    assert draw_accuracy.quantity(cells.grid(PLAN, [some, *RECORDS[1:]])) == "accuracy"


def test_a_report_from_csv_is_the_same_bytes(tmp_path):
    path = tmp_path / "synthetic.csv"
    results.write_csv(some_failed(), path)
    first = report.write(PLAN, some_failed(), tmp_path / "first")
    second = report.write(PLAN, results.read_csv(path), tmp_path / "second")
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes(), one.name


def test_an_epoch_without_a_number_is_a_gap():
    epochs = RECORDS[0].epochs
    odd = dataclasses.replace(epochs[2], val_accuracy=float("nan"))
    broken = dataclasses.replace(RECORDS[0], epochs=(*epochs[:2], odd, *epochs[3:]))
    cell = cells.grid(PLAN, [broken]).cell("cnn, Adam", "16-plain")
    found = draw_accuracy.band(cell, "val_accuracy")
    assert [point.epoch for point in found] == [1, 2, 4, 5, 6]


def test_a_report_needs_no_tensorflow(tmp_path):
    program = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "import pathlib, synthetic; from keras16.report import study\n"
        "plan = synthetic.study()\n"
        "study.write(plan, synthetic.records(plan), pathlib.Path(sys.argv[1]))\n"
        "print({'tensorflow', 'keras', 'mlflow', 'jax'} & set(sys.modules))"
    )
    line = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("set()\n", 0), done.stderr


def test_published_deviation_may_be_missing():
    row = Row(name="cnn", fields={}, published={"16": Published(accuracy=0.76)})
    plan = dataclasses.replace(PLAN, rows=(row,))
    found = [dataclasses.replace(one, row="cnn") for one in RECORDS[:4]]
    text = markdown.rendered(contents.document(cells.grid(plan, found), {}))
    assert "| 76.0 |" in text
