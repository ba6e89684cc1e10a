"""The process that trains one run: `python -m keras16.execution.worker`.

It reads one JSON object from standard input: `run` (fields), `folder` (of its ledger
entry), `audit`, `keep_model`, `workers`. It tells what happens as JSON lines on
standard output; all that libraries print goes to standard error, the run's log. When
standard input ends its parent is gone: then it ends at once, for another may take the
run over. A line on standard input asks it to stop after the steps in hand.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, TextIO

import filelock

from keras16 import hardware, user_code
from keras16.errors import UserError
from keras16.execution import identity
from keras16.execution.company import Company
from keras16.execution.ledger import Entry
from keras16.results import MEASURED, Epoch, Record, packed
from keras16.study import Run

if TYPE_CHECKING:
    import keras

    from keras16.training import Result

SECONDS_BETWEEN_STEPS = 0.5  # that are told
PARENT_GONE = 75  # exit status


class Teller:
    """Tells the parent in JSON lines; an observer of the training.

    Attributes:
        company: Kept whenever an epoch is over that was trained here; None at first.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._told = 0.0
        self._trains = False
        self.company: Company | None = None

    def tell(self, event: str, **values: Any) -> None:
        """One line."""
        self._out.write(json.dumps({"event": event, **values}) + "\n")
        self._out.flush()

    def started(self, run: Run, model: keras.Model, steps_per_epoch: int) -> None:
        """The model is built."""
        from keras16 import measure

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
    teller, order = Teller(out), json.loads(sys.stdin.readline())
    stop = threading.Event()
    threading.Thread(target=_listen, args=(stop,), daemon=True).start()
    entry = Entry(pathlib.Path(order["folder"]))
    try:
        with entry.lock():
            _train(Run(**order["run"]), entry, order, teller, stop)
    except filelock.Timeout:
        teller.tell("taken")
    except UserError as error:
        teller.tell("refused", reason=str(error))


def _listen(stop: threading.Event) -> None:
    for _ in sys.stdin:
        stop.set()
    os._exit(PARENT_GONE)


def _train(
    run: Run, entry: Entry, order: dict, teller: Teller, stop: threading.Event
) -> None:
    from keras16 import training

    if entry.record() is not None:  # another has finished it meanwhile
        teller.tell("ended")
        return
    entry.delete_parts()
    began = time.time()
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
        raise
    except Exception as error:  # of any kind: that it crashes is a result
        cause = user_code.reason(error)
        record = crashed(run, cause, workers=company.felt()["workers"], began=began)
    else:
        if result.status == "killed":
            teller.tell("stopped")
            return
        if order["keep_model"] and result.status == "finished":
            result.model.save(entry.model)
        record = recorded(result, began=began, **company.felt())
    entry.write(record)
    teller.tell("ended")


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
