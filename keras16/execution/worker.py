"""The process that trains one run: `python -m keras16.execution.worker`.

It reads one JSON object from standard input: `run` (fields), `folder` (of its ledger
entry), `audit`, `keep_model`, `workers`. It tells what happens as JSON lines on
standard output; all that libraries print goes to standard error, the run's log. When
standard input ends its parent is gone: then it ends at once, for another may take the
run over. A line on standard input asks it to stop after the steps in hand.

Its last words are "ended" (the record is written; `problem` tells that the model is
not), "stopped", "taken" (another process trains the run), "refused" (this run can't be
trained; `reason`) or "halted" (no run can go on; `reason`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import pathlib
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, TextIO

import filelock

from keras16 import hardware, user_code
from keras16.errors import UserError
from keras16.execution import identity
from keras16.execution.child import PARENT_GONE
from keras16.execution.company import Company
from keras16.execution.environment import Parent, take_in_working_folder
from keras16.execution.ledger import Entry
from keras16.results import MEASURED, Epoch, Record, packed
from keras16.study import Run

if TYPE_CHECKING:
    import keras

    from keras16.training import Result

SECONDS_BETWEEN_STEPS = 0.5  # that are told
# What a disk has against anybody who writes on it.
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


class Halted(UserError):
    """No run can go on, whatever it is: the text says why."""


class Origin:
    """What a run is filed under, held against the files and the code as they are."""

    def __init__(self, run: Run, entry: Entry) -> None:
        """Remembers where the user's files are looked up: his code may go elsewhere."""
        self._run, self._place = run, tuple(entry.folder.parts[-2:])
        self._home, self._settings = os.getcwd(), identity.settings()

    def check(self) -> None:
        """Refuses to file the results of one code under another.

        Raises:
            Halted: Something has changed since the run was planned.
        """
        with contextlib.chdir(self._home), identity.under(self._settings):
            key, code = identity.key(self._run), identity.code_by_now()
            if (key, code) == self._place:
                return
            changed = "keras16"
            if key != self._place[0]:
                changed = identity.newest_file(self._run) or self._run.model
        raise Halted(
            f"{changed} has changed since the runs began: start again. What was over "
            "before that is kept."
        )


class Teller:
    """Tells the parent in JSON lines; an observer of the training.

    Attributes:
        company: Kept whenever an epoch is over that was trained here; None at first.
        origin: Checked once the model is built, out of the user's files; None at first.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._told = 0.0
        self._trains = False
        self.company: Company | None = None
        self.origin: Origin | None = None

    def tell(self, event: str, **values: Any) -> None:
        """One line."""
        self._out.write(json.dumps({"event": event, **values}) + "\n")
        self._out.flush()

    def started(self, run: Run, model: keras.Model, steps_per_epoch: int) -> None:
        """The model is built."""
        from keras16 import measure

        if self.origin is not None:
            self.origin.check()
        count = measure.parameters(model)
        self.tell("started", steps=steps_per_epoch, parameters=count)

    def stepped(self, epoch: int, step: int, loss: float) -> None:
        """Tells of it twice a second."""
        self._trains = True
        if time.monotonic() - self._told > SECONDS_BETWEEN_STEPS:
            self._told = time.monotonic()
            self.tell("stepped", epoch=epoch, step=step)

    def epoch_ended(self, record: Epoch, model: keras.Model) -> None:
        """Tells its numbers; they may be those of an earlier process."""
        if self.company is not None and self._trains:
            self.company.keep()
        self.tell("epoch", **dataclasses.asdict(record))

    def monitored(self, observation: Any) -> None:
        """Nothing is monitored."""


def main() -> None:
    """Trains the run that standard input asks for."""
    # Ctrl-C goes to every process of a terminal; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    take_in_working_folder()
    parent = Parent()
    teller, order = Teller(out), json.loads(parent.line())
    stop = threading.Event()
    threading.Thread(target=_listen, args=(parent, stop), daemon=True).start()
    entry = Entry(pathlib.Path(order["folder"]))
    try:
        with entry.lock():
            _train(Run(**order["run"]), entry, order, teller, stop)
    except filelock.Timeout:
        teller.tell("taken")
    except Halted as error:
        teller.tell("halted", reason=str(error))
    except UserError as error:
        teller.tell("refused", reason=str(error))
    except OSError as error:  # of our own files: what is the user's is told by `_train`
        teller.tell("halted", reason=_unwritten(entry, error))


def _listen(parent: Parent, stop: threading.Event) -> None:
    while parent.line():
        stop.set()
    os._exit(PARENT_GONE)


def _train(
    run: Run, entry: Entry, order: dict, teller: Teller, stop: threading.Event
) -> None:
    from keras16 import training

    if entry.record() is not None:  # another has finished it meanwhile
        teller.tell("ended")
        return
    origin = teller.origin = Origin(run, entry)
    origin.check()
    entry.delete_parts()
    began, problem = time.time(), ""
    company = teller.company = Company(entry, order["workers"])
    try:
        result = training.fit(
            run,
            observer=teller,
            stop=stop,
            audit=order["audit"],
            checkpoint=entry.checkpoint,
        )
    except UserError:
        origin.check()  # a file that is being edited is no reason to refuse a run
        raise
    except Exception as error:  # of any kind: that it crashes is a result
        if _is_ours(error, entry):
            raise
        cause = user_code.reason(error)
        record = crashed(run, cause, workers=company.felt()["workers"], began=began)
    else:
        if result.status == "killed":
            teller.tell("stopped")
            return
        record = recorded(result, began=began, **company.felt())
        if order["keep_model"] and result.status == "finished":
            problem = _unsaved(result.model, entry)
    origin.check()
    entry.write(record)
    teller.tell("ended", problem=problem)


def _unsaved(model: keras.Model, entry: Entry) -> str:
    """Saves a trained model; why it can't be, or "": the run is a result all the same.

    Raises:
        OSError: The disk is at fault.
    """
    try:
        model.save(entry.model)
    except Exception as error:  # of any kind: a layer is anyone's code
        if _is_ours(error, entry):
            raise
        entry.model.unlink(missing_ok=True)
        return f"the trained model can't be saved: {user_code.reason(error)}."
    return ""


def _is_ours(error: Exception, entry: Entry) -> bool:
    """Whether the disk is at fault, or a file of the entry: no result of the run."""
    if not isinstance(error, OSError):
        return False
    file = error.filename
    inside = isinstance(file, str) and pathlib.Path(file).is_relative_to(entry.folder)
    return inside or error.errno in DISK


def _unwritten(entry: Entry, error: OSError) -> str:
    return (
        f"{entry.folder} can't be written ({error.strerror or user_code.reason(error)})"
        ": mend that and start again. What was trained so far is kept."
    )


def recorded(
    result: Result, *, workers: int, began: float, foreign_cores: float | None = None
) -> Record:
    """What is kept of a training that is over.

    Args:
        result: Finished or failed.
        workers: As in `Record`.
        began: When, in seconds since 1970.
        foreign_cores: As in `Record`.
    """
    last = result.epochs[-1] if result.epochs else None
    logits, audit = result.test_logits, result.audit
    right = None if logits is None else logits.argmax(1) == result.dataset.y_test
    same = {name: getattr(result, name) for name in ("status", "cause", *MEASURED)}
    return Record(
        study="",
        row="",
        arm="",
        pair=result.run.seed,
        run=result.run,
        **same,
        val_accuracy=last.val_accuracy if last else None,
        val_loss=last.val_loss if last else None,
        val_metric=last.val_metric if last else None,
        correct="" if right is None else packed(right),
        wide_tensors=audit.wide_tensors if audit else None,
        tensors=audit.tensors if audit else None,
        foreign_cores=foreign_cores,
        **_circumstances(workers, began),
        epochs=result.epochs,
    )


def crashed(run: Run, cause: str, *, workers: int, began: float) -> Record:
    """What is kept of a run whose process did not end as it should.

    Args:
        run: As asked for.
        cause: In one line.
        workers: How many runs went on side by side.
        began: When, in seconds since 1970.
    """
    return Record(
        study="",
        row="",
        arm="",
        pair=run.seed,
        run=run,
        status="crashed",
        cause=cause,
        **_circumstances(workers, began),
    )


def _circumstances(workers: int, began: float) -> dict[str, Any]:
    return {
        "code": identity.code(),
        "workers": workers,
        "began": began,
        "wall_seconds": time.time() - began,
        "fingerprint": hardware.fingerprint(),
    }


if __name__ == "__main__":
    main()
