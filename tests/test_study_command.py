"""`keras16 study` from the plan to the report, on a study of the user's own."""

import dataclasses
import json
import pathlib

import pytest
from click.testing import CliRunner

from keras16 import cli, results
from keras16.criterion import Metric
from keras16.execution import worker
from keras16.execution.ledger import Ledger, named
from keras16.execution.pool import Event, Task
from keras16.study import Run
from pipelines import _recipes, _study_progress, compare
from pipelines.study import FOLDER

ROOT = pathlib.Path(__file__).parents[1]

OWN = """
from keras16.study import Arm, Claim, Row, Run, Study

STUDY = Study(
    name="own",
    title="A study of my own",
    question="Does it work?",
    run=Run(model="dnn", validation=0.9, batch_size=50, epochs=2),
    rows=(Row(name="dnn", fields={}),),
    arms=(
        Arm(name="32", fields={"precision": "32"}),
        Arm(name="huge", fields={"precision": "32", "optimizer": "sgd",
                                 "learning_rate": 1e30}),
    ),
    seeds=1,
    claims=(Claim(text="A huge step is stable.", source="nobody", kind="stable",
                  arm="huge"),),
)
"""
pytestmark = [
    # MLflow's, at the first use of its tables.
    pytest.mark.filterwarnings("ignore:.*noload.*:DeprecationWarning"),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path


def study(*arguments):
    return CliRunner().invoke(cli.cli, ["study", *arguments])


def test_a_study_from_its_plan_to_its_report(folder):
    before = json.loads(study("status", "own.py", "--json").output)
    assert before == {
        "study": "own",
        "total": 2,
        "finished": 0,
        "failed": 0,
        "running": 0,
        "pending": 2,
    }
    ran = study("run", "own.py", "--epochs", "1")
    assert ran.exit_code == 0, ran.output
    assert "2 of 2 runs to train" in ran.stderr
    assert "of disk" in ran.stderr
    assert "dnn, huge, seed 0: failed: " in ran.stderr
    assert "contradicted: A huge step is stable." in ran.stdout
    page = folder / "mlruns/studies/own/own.html"
    assert "A study of my own" in page.read_text()

    again = study("run", "own.py", "--epochs", "1", "--json")
    assert (again.exit_code, again.stderr) == (0, "")  # nothing is left to do
    assert json.loads(again.stdout)["counts"]["finished"] == 1

    after = study("status", "own.py")  # scaled as it was last run
    assert after.output == (
        "own: 2 runs: 1 finished, 1 failed, 0 running, 0 pending.\n"
    )
    csv = folder / "mlruns/studies/own/own.csv"
    elsewhere = study("report", "own.py", "--from", str(csv), "--output", "there")
    assert elsewhere.exit_code == 0, elsewhere.output
    for name in ("own.md", "own.html", "own.tex", "own.csv", "own-epochs.csv"):
        assert f"there/{name}" in elsewhere.stdout
        written = (folder / "there" / name).read_text()
        assert written == (csv.parent / name).read_text()
    entries = [Ledger(FOLDER / "runs").entry(p.run) for p in scaled().runs()]
    assert not any(entry.checkpoint.exists() for entry in entries)
    assert not any(entry.model.exists() for entry in entries)


def test_a_folder_that_takes_no_report_is_told_in_one_line():
    runs = ROOT / "docs" / "results" / "formats.csv"
    done = study("report", "formats", "--from", str(runs), "--output", "/proc/there")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        "keras16: the report can't be written in /proc/there (No such file or "
        "directory): name another folder with --output.\n"
    )


def test_arms_scale_a_study_down(folder):
    ran = study("run", "own.py", "--epochs", "1", "--arms", "huge", "--json")
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["counts"]["total"] == 1
    assert study("status", "own.py").output.startswith("own: 1 runs: ")
    assert study("status", "own.py", "--arms", "32,huge").output.startswith(
        "own: 2 runs: "
    )
    page = (folder / "mlruns/studies/own/own.md").read_text()
    assert "Not as planned: 1 of 2 arms;" in page
    assert "study run own.py --epochs 1 --arms huge" in page


def scaled():
    return _recipes.load("own.py").scaled(epochs=1)


def test_the_list_has_every_study_and_each_loads():
    found = json.loads(study("list", "--json").output)
    assert [one["name"] for one in found] == _recipes.names()
    for name in _recipes.names():
        loaded = _recipes.load(name)
        assert loaded.name == name
        assert len({planned.run for planned in loaded.runs()}) == len(loaded.runs())
        arms = {arm.name for arm in loaded.arms}
        named = {loaded.baseline, *({loaded.control} - {""})}
        for claim in loaded.claims:
            named |= {claim.arm, claim.against}
        assert named <= arms, named - arms
        text = pathlib.Path(f"pipelines/studies/{name}.py").read_text()
        assert f"keras16 study run {name}" in text
    shown = study("list").output
    assert all(name in shown for name in _recipes.names())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "smok"), "no study 'smok': did you mean 'smoke'? There are "),
        (("run", "none.py"), "there is no file none.py"),
        (("run", "smoke", "--models", "vgg16"), "study smoke has no 'vgg16'"),
        (("run", "smoke", "--arms", "8"), "study smoke has no arm '8': there are 16"),
        (("run", "smoke", "--arms", ","), "give at least one arm"),
        (("run", "smoke", "--seeds", "0"), "--seeds"),
        (("report", "smoke", "--from", "none.csv"), "none.csv can't be read"),
        (("report", "smoke", "--from", "own.csv"), "own.csv holds the runs of another"),
        (("report", "smoke"), "no run of study smoke is over here: `keras16 study run"),
        (
            ("report", "smoke", "--tracking-uri", "sqlite:///none.db"),
            "there is no MLflow store sqlite:///",
        ),
        (("status", "smoke"), "mlruns is a file, and a folder is wanted there"),
        (("run", "smoke"), "mlruns is a file, and a folder is wanted there"),
        (
            ("report", "smoke", "--from", "a.csv", "--seeds", "2"),
            "--from reports all runs that it holds: leave out --seeds",
        ),
        (
            ("report", "smoke", "--tracking-uri", "sqlite:///a.db", "--models", "dnn"),
            "--tracking-uri reports all runs that it holds: leave out --models",
        ),
        (("run", "empty.py"), "empty.py has no STUDY"),
        (("run", "loss.py"), "give a margin, in the units of loss"),
    ],
)
def test_bad_input_is_told_in_one_line(folder, arguments, message):
    (folder / "empty.py").write_text("")
    (folder / "loss.py").write_text(OWN.replace("Run(", 'Run(loss="mse", '))
    stray = worker.crashed(Run(), "no memory", workers=1, began=0.0)
    results.write_csv([dataclasses.replace(stray, study="another")], folder / "own.csv")
    if "is a file" in message:
        (folder / "mlruns").touch()
    found = study(*arguments)
    assert found.exit_code == 2
    assert not (folder / "none.db").exists()
    assert message in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1


def test_the_live_table_shows_the_runs_that_go_on(folder, capsys):
    plan = _recipes.load("own.py")
    first, second = (
        Task(planned, Ledger(folder).entry(planned.run)) for planned in plan.runs()
    )
    counts = (
        _study_progress.OfStudy(plan, [first, second], over=(), workers=1),
        compare.OfMinutes(Metric(), minutes=5.0),
    )
    for count in counts:
        with _study_progress.Live(count) as shown:
            shown.happened(Event("begun", first), None)
            shown.happened(Event("started", first, {"steps": 9}), None)
            shown.happened(Event("stepped", first, {"epoch": 2, "step": 3}), None)
            cells = [column[0] for column in drawn(shown)]
            assert cells[:4] == ["dnn", "32", "0", "2/2"]
            over = worker.crashed(first.planned.run, "no memory", workers=1, began=0.0)
            record = named(over, "own", first.planned)
            shown.happened(Event("ended", first), record)
            shown.happened(Event("begun", second), None)
            assert drawn(shown)[1] == ["huge"]
        assert "32, seed 0: crashed: no memory" in capsys.readouterr().err
    study_count, minutes = (count.summary() for count in counts)
    assert study_count.startswith("1 of 2 runs, 1 failed, about ")
    assert minutes == "1 run, 1 failed, 5 min left"


def drawn(shown):
    """The cells of a live table, column by column."""
    return [list(column.cells) for column in shown._table().columns]


@pytest.mark.parametrize(
    ("seconds", "text"), [(40.4, "40 s"), (700, "12 min"), (12_600, "3.5 h")]
)
def test_durations_are_told_in_fitting_units(seconds, text):
    assert _study_progress.duration(seconds) == text
