"""A training and a record that take no time: what the command line is tested with."""

import contextlib
import pathlib
import types

from keras16.audit import AuditReport, WideTensor
from keras16.training import Epoch, Result

PURE = AuditReport("16", 412, ())
WIDE = AuditReport("32", 412, (WideTensor("Cast", "float32", (1,), "dense"),))


class Model:
    """Saves a few bytes; `full` is a folder whose disk has no room for them."""

    def __init__(self, full=None):
        self.full = full

    weights = ()

    def save(self, path):
        path = pathlib.Path(path)
        path.write_bytes(b"half a mod")
        if path.parent == self.full:
            raise OSError(28, "No space left on device")
        path.write_bytes(b"a model")


class Tracked:
    """Remembers what it was told."""

    def __init__(self, problem=""):
        self.problem = problem
        self.run_id = "" if problem else "0123abcd"
        self.told = []

    @property
    def where(self):
        return f"Browse the run: {self.run_id or 'no'}"

    def started(self, model):
        self.told.append("started")

    def epoch(self, record):
        self.told.append(record.epoch)

    def monitored(self, observation):
        self.told.append(observation)

    def finished(self, result, model_path):
        self.told.append((result.status, model_path and model_path.is_file()))


def track_with(tracked):
    """A stand-in for `tracking.track` that yields this record."""

    @contextlib.contextmanager
    def track(run, uri, experiment, run_name):
        tracked.told.append((uri, experiment, run_name))
        yield tracked

    return track


def epoch(number, loss=0.5):
    """One epoch that went well."""
    return Epoch(number, loss, 0.9, 0.4, 0.92, 1.5, 1e-3)


def result(run, status="finished", cause="", model=None, loss=0.5):
    """What a run of two epochs came to."""
    finished = status == "finished"
    return Result(
        run=run,
        status=status,
        cause=cause,
        model=model or Model(),
        dataset=types.SimpleNamespace(),
        epochs=(epoch(1), epoch(2, loss)),
        test_logits=None,
        test_loss=0.3 if finished else None,
        test_accuracy=0.95 if finished else None,
        audit=PURE,
        compile_seconds=2.0,
        median_epoch_seconds=1.5,
        first_epoch_seconds=1.6,
        weight_bytes=2468,
        optimizer_bytes=4936,
        peak_memory_bytes=10**9,
        parameters=1234,
    )


def fit_with(**given):
    """A stand-in for `training.fit`, told of its observer as the real one tells."""

    def fit(run, observer, stop, monitor):
        ended = result(run, **given)
        observer.started(run, ended.model, 31)
        for record in ended.epochs:
            observer.stepped(record.epoch, 31, record.loss)
            observer.epoch_ended(record, ended.model)
        print("a library prints on standard output")
        return ended

    return fit
