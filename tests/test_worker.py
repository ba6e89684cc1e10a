"""What the process of a run refuses to file, and what of it is no result."""

import dataclasses
import errno
import io
import json
import os
import pathlib
import threading
import types

import pytest

from keras16 import training
from keras16.execution import identity, worker
from keras16.execution.ledger import Ledger
from keras16.study import Run

RUN = Run(model="net.py:build", dataset="d.npz", precision="32")


@pytest.fixture
def entry(tmp_path, monkeypatch):
    """The place of a run, its net and its data in the working folder."""
    monkeypatch.chdir(tmp_path)
    pathlib.Path("net.py").write_text("width = 1\n")
    pathlib.Path("d.npz").write_bytes(b"numbers")
    found = Ledger(tmp_path / "runs").entry(RUN)
    found.folder.mkdir(parents=True)
    found.checkpoint.write_bytes(b"weights")
    monkeypatch.setattr(
        worker,
        "recorded",
        lambda result, **_: dataclasses.replace(
            worker.crashed(RUN, "", workers=1, began=0.0), status=result.status
        ),
    )
    return found


class Model:
    """What a training leaves; `error` is what saving it raises."""

    error: Exception | None = None

    def save(self, path):
        path.write_bytes(b"half")
        if self.error:
            raise self.error


def train(entry, monkeypatch, fit, keep_model=False):
    """What the worker tells of a training that `fit` plays."""

    def played(run, **_):
        model = Model()
        fit(model)
        return types.SimpleNamespace(status="finished", model=model)

    monkeypatch.setattr(training, "fit", played)
    told = io.StringIO()
    order = {"workers": 1, "audit": False, "keep_model": keep_model}
    teller = worker.Teller(told)
    worker._train(RUN, entry, order, teller, threading.Event())
    return [json.loads(line) for line in told.getvalue().splitlines()]


def edit(_=None):
    pathlib.Path("net.py").write_text("width = 22\n")


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_the_result_of_an_edited_net_is_not_filed_under_the_old_one(
    entry, monkeypatch, when
):
    if when == "before":
        edit()
    with pytest.raises(worker.Halted, match=r"^net.py has changed since the runs be"):
        train(entry, monkeypatch, edit)
    assert entry.record() is None and entry.checkpoint.exists()


def test_a_net_that_is_being_edited_is_no_reason_to_refuse_its_run(entry, monkeypatch):
    def broken(_):
        edit()
        raise training.UserError("net.py, line 1: SyntaxError")

    with pytest.raises(worker.Halted, match="net.py has changed"):
        train(entry, monkeypatch, broken)


def test_a_file_that_is_gone_is_what_has_changed(entry, monkeypatch):
    with pytest.raises(worker.Halted, match=r"^d.npz has changed"):
        train(entry, monkeypatch, lambda _: pathlib.Path("d.npz").unlink())


def test_the_result_of_other_code_is_not_filed_under_the_old_one(entry, monkeypatch):
    def installed(_):
        monkeypatch.setattr(identity, "code_by_now", lambda: "another")

    with pytest.raises(worker.Halted, match="^keras16 has changed since"):
        train(entry, monkeypatch, installed)
    assert entry.record() is None


def test_a_net_that_sets_the_backend_too_late_changes_nothing(entry, monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)

    def sets(_):
        monkeypatch.setenv("KERAS_BACKEND", "jax")
        monkeypatch.setenv("KERAS16_KERNELS", "0")

    told = train(entry, monkeypatch, sets)
    assert told == [{"event": "ended", "problem": ""}]
    assert os.environ["KERAS_BACKEND"] == "jax"  # it has what it has set


def test_a_net_is_compared_once_it_is_loaded(entry):
    teller = worker.Teller(io.StringIO())
    teller.origin = worker.Origin(RUN, entry)
    edit()
    with pytest.raises(worker.Halted):
        teller.started(RUN, None, 1)


def test_code_that_goes_to_another_folder_changes_no_file(entry, monkeypatch):
    told = train(entry, monkeypatch, lambda _: os.chdir("/"))
    assert told == [{"event": "ended", "problem": ""}]
    assert pathlib.Path.cwd() == pathlib.Path("/")
    assert entry.record().status == "finished"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_disk_is_no_result(entry, monkeypatch, number):
    def full(_):
        raise OSError(number, os.strerror(number))

    with pytest.raises(OSError, match=os.strerror(number)):
        train(entry, monkeypatch, full)
    assert entry.record() is None and entry.checkpoint.exists()


def test_a_file_of_the_run_s_own_folder_is_no_result(entry, monkeypatch):
    def forbidden(_):
        raise PermissionError(errno.EACCES, "Denied", str(entry.folder / "part"))

    with pytest.raises(PermissionError):
        train(entry, monkeypatch, forbidden)
    assert entry.record() is None and entry.checkpoint.exists()


def test_what_the_net_can_not_read_is_a_result(entry, monkeypatch):
    def missing(_):
        raise FileNotFoundError(errno.ENOENT, "No such file", "words.txt")

    assert train(entry, monkeypatch, missing)[-1]["event"] == "ended"
    assert entry.record().status == "crashed"


def test_a_disk_that_takes_nothing_is_told_in_one_line(entry):
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert worker._unwritten(entry, error) == (
        f"{entry.folder} can't be written (No space left on device): mend that and "
        "start again. What was trained so far is kept."
    )


def test_a_model_that_can_not_be_saved_is_told_and_its_run_is_over(entry, monkeypatch):
    def unsaved(model):
        model.error = TypeError("no get_config")

    (told,) = train(entry, monkeypatch, unsaved, keep_model=True)
    assert "can't be saved: TypeError: no get_config" in told["problem"]
    assert entry.record().status == "finished" and not entry.model.exists()


def test_a_model_that_finds_no_room_is_no_result(entry, monkeypatch):
    def full(model):
        model.error = OSError(errno.ENOSPC, "No space")

    with pytest.raises(OSError, match="No space"):
        train(entry, monkeypatch, full, keep_model=True)
    assert entry.record() is None and entry.checkpoint.exists()
