"""A study of the user's own, its loss and metric too: from the plan to the report."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import re
import time

import numpy as np
import pytest
import synthetic
from click.testing import CliRunner

from keras16 import cli, criterion, results, tracking, training
from keras16.analysis import cells, claims
from keras16.errors import UserError
from keras16.execution import identity, pool, sizes, worker
from keras16.report import study as report
from keras16.study import Run
from pipelines import _recipes, _study_check, _study_progress
from tests.runs import OWN_PARTS, fresh, uncompiled

README = pathlib.Path(__file__).parents[1] / "README.md"
FIGURE = "-accuracy.svg"
STUDY = """
from keras16.study import Arm, Claim, Row, Run, Study

STUDY = Study(
    name="lines",
    title="Lines in 16 bits",
    question="Does a line train as well?",
    run=Run(model="parts.py:build", dataset="line.npz", loss="parts.py:square",
            metric="parts.py:worst", optimizer="sgd", momentum=0.0, learning_rate=0.3,
            schedule="constant", epochs=2, batch_size=30, validation=0.2),
    rows=(Row(name="line", fields={}),),
    arms=(Arm(name="16", fields={"precision": "16"}),
          Arm(name="32", fields={"precision": "32"})),
    seeds=2,
    better="lower",
    margin=0.25,
    claims=(Claim(text="It is as good.", source="we", kind="equivalent"),
            Claim(text="It is better.", source="we", kind="superior")),
)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """lines.py, what it names, and the data: y = xw of two columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "parts.py").write_text(OWN_PARTS)
    (tmp_path / "lines.py").write_text(STUDY)
    random = np.random.default_rng(0)
    x = random.normal(size=(180, 4))
    y = x @ random.normal(size=(4, 2))
    arrays = {"x_train": x[:150], "y_train": y[:150]}
    np.savez("line.npz", **arrays, x_test=x[150:], y_test=y[150:])
    return tmp_path


def study(*arguments):
    return CliRunner().invoke(cli.cli, ["study", *arguments])


class Deaf:
    """A record in MLflow that nothing is written to."""

    problem = where = ""

    def __getattr__(self, name):
        return lambda *_: None


@pytest.fixture
def here(monkeypatch):
    """Runs are trained in this process, two before somebody stops the study."""
    trained = []

    def train(tasks, *, workers, stop, keep_models):
        for task in tasks:
            if stop.is_set():
                return
            yield pool.Event("begun", task)
            with fresh(), uncompiled():
                result = training.fit(task.planned.run, audit=False)
            task.entry.write(worker.recorded(result, workers=1, began=time.time()))
            trained.append((task.planned.arm, task.planned.seed))
            if len(trained) == 2:
                stop.set()
            yield pool.Event("ended", task)

    def ask(module, fields, stop):
        with fresh():
            return sizes.counts(fields)

    # MLflow's database takes longer than the runs, and test_study_tracking.py has it.
    monkeypatch.setattr(tracking, "study", lambda *_: contextlib.nullcontext(Deaf()))
    monkeypatch.setattr(pool, "train", train)
    monkeypatch.setattr(sizes.child, "ask", ask)
    return trained


def test_a_study_with_a_loss_and_a_metric_of_ones_own(folder, here):
    stopped = study("run", "lines.py")
    assert stopped.exit_code == 130, stopped.output
    assert re.search(r"line, 16, seed 0: parts.worst \d\.\d+, ", stopped.stderr)
    assert json.loads(study("status", "lines.py", "--json").output)["pending"] == 2
    done = study("run", "lines.py", "--json")
    assert done.exit_code == 0, done.output
    assert here == [("16", 0), ("32", 0), ("16", 1), ("32", 1)]  # none twice
    told = json.loads(done.stdout)
    assert told["metric"]["name"] == "parts.worst"
    assert not told["metric"]["higher_is_better"] and told["margin"] == 0.25
    csv = folder / "mlruns/studies/lines/lines.csv"
    records = results.read_csv(csv)
    scores = {(one.arm, one.pair): one.test_metric for one in records}
    assert all(0 < score < 3 for score in scores.values())
    apart = [scores["16", seed] - scores["32", seed] for seed in (0, 1)]
    (contrast,) = told["contrasts"]
    found = contrast["rows"][0]["difference"]["mean"]
    np.testing.assert_allclose(found, np.mean(apart))
    text = csv.with_suffix(".md").read_text()
    assert "As good as 32: 16 " in text and "in parts.worst)" in text
    assert "Equivalent within 0.25 in parts.worst in " in text
    assert "Judged by parts.worst on test data; a lower one is better." in text
    assert not re.search("[Aa]ccura|McNemar|points", text.replace(FIGURE, ""))
    assert "keras16 study run lines.py" in text
    elsewhere = study("report", "lines.py", "--from", str(csv), "--output", "there")
    assert elsewhere.exit_code == 0, elsewhere.output
    for one in csv.parent.glob("lines*"):
        assert (folder / "there" / one.name).read_bytes() == one.read_bytes(), one.name


# --- Judged by a metric that is better the lower


def as_errors(plan, found, scale=1.0):
    """The same study, its accuracies told as errors of a loss of one's own."""
    run = dataclasses.replace(plan.run, loss="mse", metric="mae")
    rows = tuple(dataclasses.replace(row, published={}) for row in plan.rows)
    margin = scale * plan.margin
    turned = dataclasses.replace(plan, run=run, rows=rows, margin=margin)
    return turned, [_as_error(one, run, scale) for one in found]


def _as_error(one, run, scale):
    epochs = tuple(
        dataclasses.replace(
            each,
            accuracy=None,
            val_accuracy=None,
            metric=scale * (1 - each.accuracy),
            val_metric=scale * (1 - each.val_accuracy),
        )
        for each in one.epochs
    )
    error = None if one.test_accuracy is None else scale * (1 - one.test_accuracy)
    own = dataclasses.replace(one.run, loss=run.loss, metric=run.metric)
    return dataclasses.replace(
        one, run=own, test_accuracy=None, test_metric=error, correct="", epochs=epochs
    )


def verdicts(plan, found):
    grid = cells.grid(plan, found)
    kinds = ("equivalent", "superior", "faster", "smaller", "stable")
    return [claims.judge(grid, synthetic.claim(kind)).verdict for kind in kinds]


LEADS = (-0.02, -0.004, 0.0, 0.003, 0.02)


@pytest.mark.parametrize("lead", LEADS)
def test_an_error_is_judged_as_its_accuracy_would_be(lead):
    plan = synthetic.study(rows=3, seeds=6)
    found = synthetic.records(plan, {"16": lead}, examples=20_000)
    found[0] = synthetic.failed(found[0])
    wanted = verdicts(plan, found)
    assert verdicts(*as_errors(plan, found)) == wanted
    assert verdicts(*as_errors(plan, found, scale=1e4)) == wanted  # of any units


def test_the_leads_give_every_verdict_on_superiority():
    plan = synthetic.study(rows=3, seeds=6)
    found = {
        verdicts(*as_errors(plan, synthetic.records(plan, {"16": lead})))[1]
        for lead in LEADS
    }
    assert found == {claims.CONFIRMED, claims.NOT_CONFIRMED, claims.CONTRADICTED}


@pytest.mark.parametrize("part", ["all", "one", "failed"])
def test_a_report_is_in_the_units_of_the_metric(part, tmp_path):
    plan = synthetic.study(rows=2, arms=("16", "32", "32, other seeds"), seeds=3)
    plan = dataclasses.replace(plan, control="32, other seeds", question="Is it so?")
    turned, found = as_errors(plan, synthetic.records(plan), scale=1000.0)
    if part == "one":
        found = found[:1]
    if part == "failed":
        found = [
            dataclasses.replace(synthetic.failed(one), test_metric=None)
            for one in found
        ]
    paths = report.write(turned, found, tmp_path)
    text = paths[0].read_text("utf-8").replace(FIGURE, "")
    assert not re.search(r"\b(nan|inf|None|points|accura\w+)\b", text), text
    json.dumps(report.summary(turned, found), allow_nan=False)
    if part == "all":
        assert "Equivalent within 5 in mae in " in text
        assert "| 198.5 ± " in text or re.search(r"\| (19|20)\d\.\d ± ", text)
        assert "above the frame" in text and "(superior: above 0)" in text


def test_a_share_of_ones_own_is_told_in_points(tmp_path):
    plan = synthetic.study(rows=1, arms=("16", "32"), seeds=3)
    turned, found = as_errors(plan, synthetic.records(plan))
    run = dataclasses.replace(turned.run, metric="auc")
    turned = dataclasses.replace(turned, run=run, margin=None)
    text = report.write(turned, found, tmp_path)[0].read_text("utf-8")
    assert "Equivalent within 0.5 points in " in text
    assert "Test auc after the last epoch in %, mean" in text


def test_progress_tells_the_metric():
    plan, found = as_errors(*(lambda p: (p, synthetic.records(p)))(synthetic.study()))
    count = _study_progress.OfStudy(plan, [], found, 1)
    assert re.match(r"cnn, Adam, 16, seed 0: mae 0\.\d+, ", count.outcome(found[0]))


# --- What one metric is


def test_runs_with_several_losses_may_have_one_metric():
    plan = synthetic.study(rows=1, arms=("16", "32"))
    losses = ("mse", "mae")
    arms = tuple(
        dataclasses.replace(arm, fields={"loss": loss, "metric": "mae"})
        for arm, loss in zip(plan.arms, losses, strict=True)
    )
    one = dataclasses.replace(plan, arms=arms)
    assert criterion.of_study(one).field == "test_metric"
    apart = tuple(
        dataclasses.replace(arm, fields={"loss": loss})
        for arm, loss in zip(plan.arms, losses, strict=True)
    )
    with pytest.raises(UserError, match="judged by mse, mae: give all its runs one"):
        criterion.of_study(dataclasses.replace(plan, arms=apart))


# --- What can't be run is told before


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "margin=0.25",
            "margin=None",
            "lines.py: give a margin, in the units of parts.worst",
        ),
        (
            'better="lower"',
            "better=None",
            "lines.py: is a higher or a lower parts.worst better?",
        ),
        ('loss="parts.py:square"', "loss=None", "needs a loss"),
        ("fields={}", 'fields={"seed": 3}', "STUDY.rows[0].fields sets seed, and a"),
        ('"precision": "16"', '"seed": 3', "STUDY.arms[0].fields sets seed, and a"),
        (
            'kind="superior"',
            'kind="superior", bound=1.3',
            "'It is better.' has a bound, and one that is 'superior' has none",
        ),
        (
            'kind="superior"',
            'kind="faster", bound=0.0',
            "'It is better.' has the bound 0.0: give a number above 0",
        ),
        ('name="lines"', 'name="smoke"', "smoke is a study of keras16's own"),
        ('name="lines"', 'name="a/b"', "STUDY.name is 'a/b', and files are"),
        ('name="lines"', 'name=""', "STUDY.name is '', and files are"),
        ('name="lines"', 'name=".."', "STUDY.name is '..', and files are"),
        ('name="lines"', f'name="{"x" * 99}"', "and files are"),
        ('name="lines"', "name=None", "STUDY.name is None: give text"),
        ("seeds=2", "seeds=0", "has no run"),
        ("seeds=2", "seeds=1.5", "STUDY.seeds is 1.5: give a whole number"),
        ("seeds=2", 'seeds="3"', "STUDY.seeds is '3': give a whole number"),
        ("seeds=2", "seeds=True", "STUDY.seeds is True: give a whole number"),
        ("fields={}),)", "fields={}))", "a comma is missing: write rows=(Row(...),)"),
        (
            "fields={}),)",
            "fields={}), 3)",
            "STUDY.rows[1] is 3: give one of keras16.study.Row.",
        ),
        (
            "rows=(",
            "rows=None and (",
            "rows is None: give a tuple of keras16.study.Row",
        ),
        ("fields={}),)", "fields=None),)", "STUDY.rows[0].fields is None: give a dict"),
        ("run=Run(", "run=dict(", "STUDY.run is {'batch_size': 30, 'dataset': "),
        ("epochs=2", 'epochs="3"', "STUDY.run.epochs is '3': give a whole number"),
        ("rate=0.3", 'rate="x"', "STUDY.run.learning_rate is 'x': give a finite"),
        ("rate=0.3", 'rate=float("nan")', "STUDY.run.learning_rate is nan: give a"),
        ("rate=0.3", "rate=10**400", "STUDY.run.learning_rate is 10000"),
        ("rate=0.3", "rate=-1.0", "STUDY.run.learning_rate: -1.0 is not in the range"),
        ("fields={}", 'fields={"epochs": 0}', "STUDY.rows[0].fields.epochs: 0 is not"),
        (
            "fields={}",
            'fields={"nesterov": "yes"}',
            "STUDY.rows[0].fields.nesterov is 'yes': give True or False",
        ),
        (
            '"precision": "16"',
            '"precision": 16',
            "STUDY.arms[0].fields.precision is 16",
        ),
        ('"precision": "16"', '"optimizer": "sdg"', "'sdg' is not one of 'adadelta'"),
        ('"precision": "16"', '"model": "resent"', "no model 'resent': did you mean"),
        (
            '"32"})',
            '"32"}, seed_offset=-1)',
            "the seeds of arm '32': -1 is not in the range",
        ),
        (
            'kind="superior"',
            'kind="superior", rows=("line")',
            "a comma is missing: write rows=('line',)",
        ),
        (
            "margin=0.25",
            'margin="0.25"',
            "STUDY.margin is '0.25': give a finite number",
        ),
        (
            "fields={}",
            'fields={}, published={"16": 0.9}',
            "STUDY.rows[0].published['16'] is 0.9: give one of keras16.study.Published",
        ),
        ('Arm(name="32"', 'Arm(name="16"', "two arms are called '16'"),
        ("better=", 'baseline="full", better=', "baseline 'full', and there is no"),
        ("better=", 'control="luck", better=', "control 'luck', and there is no"),
        ('kind="superior"', 'kind="nicer"', "is 'nicer', and there is no such kind"),
        ('kind="superior"', 'kind="superior", arm="17"', "is of '17', and there is no"),
        (
            'kind="superior"',
            'kind="superior", rows=("a",)',
            "no such row: there are",
        ),
        ('"precision": "16"', '"precision": "17"', "no precision '17'"),
        (
            '"precision": "16"',
            '"optimiser": "sgd"',
            "sets 'optimiser', and there is no",
        ),
        ("Study(\n", "Study(colour=3,\n", "lines.py, line 4: TypeError"),
    ],
)
def test_a_study_that_can_not_be_run_is_told_in_one_line(
    folder, before, after, message
):
    assert before in STUDY
    (folder / "lines.py").write_text(STUDY.replace(before, after))
    for command in ("run", "status", "report"):
        found = study(command, "lines.py")
        assert found.exit_code == 2, found.output
        assert message in found.stderr
        assert len(found.stderr.strip().splitlines()) == 1
    assert not (folder / "mlruns").exists()


def test_a_claim_of_an_accuracy_above_one_is_refused(folder):
    text = STUDY.replace('loss="parts.py:square"', "loss=None")
    text = text.replace('metric="parts.py:worst"', "metric=None")
    text = text.replace('better="lower",\n', "")
    text = text.replace('kind="superior"', 'kind="superior", least=90')
    (folder / "lines.py").write_text(text)
    found = study("status", "lines.py")
    assert found.exit_code == 2
    assert "lines.py: the claim 'It is better.' has least=90: give a share in" in (
        found.stderr
    )


def test_a_study_of_lists_and_whole_rates_can_be_run(folder):
    text = STUDY.replace("rate=0.3", "rate=1").replace("fields={}),)", "fields={})]")
    (folder / "lines.py").write_text(text.replace("rows=(", "rows=["))
    assert study("status", "lines.py").exit_code == 0


@pytest.mark.parametrize("name", _recipes.names())
def test_what_is_asked_of_ones_own_study_is_true_of_ours(name):
    _study_check.check(_recipes.load(name), name)


def test_a_change_of_the_study_is_no_change_of_its_runs(folder):
    run = _recipes.load("lines.py").run
    before = identity.key(run)
    (folder / "lines.py").write_text(STUDY.replace("seeds=2", "seeds=5"))
    assert identity.key(run) == before
    (folder / "parts.py").write_text(OWN_PARTS + "\nfrom lines import STUDY\n")
    imported = identity.key(run)
    assert imported != before
    (folder / "lines.py").write_text(STUDY.replace("seeds=2", "seeds=6"))
    assert identity.key(run) != imported
    own = dataclasses.replace(run, model="lines.py:build")
    first = identity.key(own)
    (folder / "lines.py").write_text(STUDY + OWN_PARTS)
    assert identity.key(own) != first


def test_the_size_of_a_net_is_that_of_its_targets(folder):
    fields = Run(model="parts.py:build", dataset="line.npz", loss="mse").fields()
    with fresh():
        assert sizes.counts([fields]) == {"counts": [4 * 2 + 2]}


def test_the_study_in_the_readme_can_be_run(folder):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.S)
    (text,) = [block for block in blocks if "STUDY = Study(" in block]
    (folder / "mine.py").write_text(text)
    found = study("status", "mine.py")
    assert found.output.startswith("mine: 20 runs: 0 finished"), found.output
