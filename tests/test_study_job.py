"""One `study run` on what another has left, and on runs that nobody trains."""

import contextlib
import dataclasses
import json
import pathlib
import shutil

import pytest
import synthetic
from click.testing import CliRunner

from keras16 import cli, tracking
from keras16.execution import child, pool, sizes
from keras16.execution.ledger import Ledger
from pipelines import _recipes, _study_job

OWN = """
from keras16.study import Arm, Row, Run, Study

STUDY = Study(
    name="own",
    title="A study of my own",
    question="Does it work?",
    run=Run(model="dnn", epochs=1),
    rows=(Row(name="dnn", fields={}),),
    arms=(Arm(name="16", fields={}), Arm(name="32", fields={"precision": "32"})),
    seeds=1,
)
"""


class Deaf:
    """A record in MLflow that nothing is written to."""

    problem = where = ""

    def __getattr__(self, name):
        return lambda *_: None


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """own.py; nothing is trained, recorded in MLflow or asked of another process."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.setattr(tracking, "study", lambda *_: contextlib.nullcontext(Deaf()))
    monkeypatch.setattr(pool, "train", lambda *_, **__: iter(()))
    counts = {"counts": [1]}
    monkeypatch.setattr(sizes.child, "ask", lambda *_: counts)
    return tmp_path


def study(*arguments):
    return CliRunner().invoke(cli.cli, ["study", *arguments])


def entries():
    return [Ledger().entry(planned.run) for planned in _recipes.load("own.py").runs()]


def over(entry, **fields):
    """Writes that a run of the study is over."""
    plan = _recipes.load("own.py")
    made = synthetic.records(plan)
    number = entries().index(entry)
    entry.write(
        dataclasses.replace(made[number], run=plan.runs()[number].run, **fields)
    )


def test_a_run_that_is_over_leaves_no_checkpoint(folder):
    first, second = entries()
    for entry in (first, second):
        over(entry)
        entry.checkpoint.write_bytes(b"weights")  # killed between two lines
        entry.company.write_text("{}")
    assert study("run", "own.py").exit_code == 0
    assert not first.checkpoint.exists() and not second.company.exists()


def test_a_failed_run_is_kept_until_there_is_room_to_train_it_again(
    folder, monkeypatch
):
    first, second = entries()
    over(first, status="failed", cause="NaN", correct="")
    over(second)
    full = shutil._ntuple_diskusage(1, 1, 0)
    with monkeypatch.context() as patch:
        patch.setattr(_study_job.shutil, "disk_usage", lambda _: full)
        done = study("run", "own.py", "--retry-failed")
    assert (done.exit_code, first.record().status) == (2, "failed")
    assert "make room" in done.stderr
    unlink = pathlib.Path.unlink

    def gone(path, missing_ok=False):  # another study was faster
        unlink(path, missing_ok=True)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(pathlib.Path, "unlink", gone)
    assert study("run", "own.py", "--retry-failed").exit_code == 0
    assert first.record() is None and second.record() is not None


def test_the_disk_is_that_of_the_runs(folder, monkeypatch):
    (folder / "elsewhere").mkdir()
    (folder / "mlruns").symlink_to(folder / "elsewhere")
    asked = []

    def usage(path):
        asked.append(path)
        return shutil._ntuple_diskusage(1, 1, 10**12)

    monkeypatch.setattr(_study_job.shutil, "disk_usage", usage)
    assert study("run", "own.py").exit_code == 0
    assert asked[0].is_relative_to(folder / "elsewhere") and asked[0].exists()


@pytest.mark.parametrize(
    "scale", ["[1]", "3", "{", '{"arms": [1], "seeds": "2"}', '{"epochs": null}']
)
def test_a_scale_of_another_shape_is_none(folder, scale):
    file = folder / "mlruns/studies/own/scale.json"
    file.parent.mkdir(parents=True)
    file.write_text(scale)
    assert study("status", "own.py").output.startswith("own: 2 runs: ")


def test_numbers_of_parameters_of_another_shape_are_none(folder):
    file = folder / "mlruns/runs/parameters.json"
    file.parent.mkdir(parents=True)
    file.write_text("[]")
    assert study("run", "own.py").exit_code == 0
    assert list(json.loads(file.read_text()).values()) == [1]


def test_an_arm_that_is_gone_since_the_last_run_is_told_as_such(folder):
    assert study("run", "own.py", "--arms", "16").exit_code == 0
    (folder / "own.py").write_text(OWN.replace('name="16"', 'name="half"'))
    done = study("status", "own.py")
    assert done.exit_code == 2
    assert done.stderr == (
        "keras16: as it was last run, study own has no arm '16': there are half, 32: "
        "run it again, or give --arms or --models.\n"
    )


def test_models_of_runs_that_are_over_are_not_kept_and_that_is_told(folder):
    first, second = entries()
    over(first)
    over(second, status="failed", cause="NaN", correct="")
    done = study("run", "own.py", "--keep-models")
    assert done.exit_code == 0
    assert done.stderr.startswith(
        "keras16: 1 of the runs are over, and their models were not kept: "
    )
    first.model.touch()
    assert "models were not kept" not in study("run", "own.py", "--keep-models").stderr
    assert study("run", "own.py").stderr == ""


def test_ctrl_c_while_nets_are_counted_stops_the_study(folder, monkeypatch):
    def ask(module, question, stop):
        stop.set()
        raise child.Stopped

    monkeypatch.setattr(sizes.child, "ask", ask)
    done = study("run", "own.py")
    assert (done.exit_code, done.stdout) == (130, "")
    assert "can't be built" not in done.stderr
    assert not (folder / "mlruns/studies").exists()


@pytest.mark.parametrize("trained", [0, 1])
def test_what_is_left_out_is_told_after_the_report(folder, monkeypatch, trained):
    def train(tasks, **_):
        for task in tasks[:trained]:
            yield pool.Event("begun", task)
            over(task.entry)
            yield pool.Event("ended", task)
        raise pool.LeftOut("dnn, 32: no memory.")

    monkeypatch.setattr(pool, "train", train)
    done = study("run", "own.py", "--json")
    assert done.exit_code == 2
    assert done.stderr.endswith("keras16: dnn, 32: no memory.\n")
    assert "Traceback" not in done.stderr
    assert (folder / "mlruns/studies/own/own.html").exists() == bool(trained)
    if trained:
        assert json.loads(done.stdout)["counts"]["finished"] == 1


def test_a_report_of_nothing_overwrites_no_other(folder, monkeypatch):
    assert study("run", "own.py", "--json").exit_code == 0  # nothing is trained here
    page = folder / "mlruns/studies/own/own.html"
    assert not page.exists()
    page.write_text("of before")
    done = study("run", "own.py")
    assert done.exit_code == 0, done.output
    assert "Nothing to say yet: 0 of" in done.stdout and "Report:" not in done.stdout
    assert page.read_text() == "of before"


def test_a_run_that_has_ended_is_told_whatever_has_changed_since(folder, monkeypatch):
    """The net's file may be edited meanwhile: the run is where it was planned to be."""
    told = []
    monkeypatch.setattr(
        Deaf, "ended", lambda self, one: told.append(one), raising=False
    )

    def train(tasks, **_):
        yield pool.Event("begun", tasks[0])
        over(tasks[0].entry)
        with monkeypatch.context() as patch:
            patch.setattr(_study_job.Ledger, "entry", None)
            yield pool.Event("ended", tasks[0])
        raise pool.UserError("net.py has changed")

    monkeypatch.setattr(pool, "train", train)
    assert study("run", "own.py").exit_code == 2
    assert [(one.study, one.row, one.arm) for one in told] == [("own", "dnn", "16")]
