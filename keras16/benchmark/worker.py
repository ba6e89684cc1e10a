"""What runs inside the processes of a benchmark, one job in each."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from keras16 import hardware, measure, user_code
from keras16.benchmark.meter import Finished, Meter
from keras16.benchmark.plan import Case, Contender
from keras16.errors import UserError
from keras16.study import Run

TRAINERS = {"keras16": "ours", "keras": "stock", "torch": "torch_steps"}


def serve(
    pipe: Any,
    before: Callable[[], None] | None,
    cores: Sequence[int],
    job: Callable[..., None],
    arguments: Sequence[Any],
) -> None:
    """Does one job, and tells the parent in one line why it couldn't.

    Args:
        pipe: To the parent.
        before: Called before anything heavy is imported.
        cores: That the process may run on.
        job: A function of this file, called with the pipe and the arguments.
        arguments: Of the job.
    """
    # Ctrl-C goes to every process of a terminal; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout = sys.stderr  # standard output is for results
    pin(cores)
    try:
        if before is not None:
            before()
        job(pipe, *arguments)
    except (Finished, EOFError, BrokenPipeError):
        return
    except UserError as error:
        pipe.send(("refused", str(error)))
    except Exception as error:  # of any kind: the other contenders go on
        pipe.send(("failed", user_code.reason(error)))


def pin(cores: Sequence[int]) -> None:
    """Keeps this process to some cores, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def describe(pipe: Any, run: Run, folder: pathlib.Path) -> None:
    """Builds the net and writes it down for the contenders."""
    from keras16.benchmark import architecture

    pipe.send(("done", architecture.write(run, folder)))


def compete(pipe: Any, contender: Contender, case: Case) -> None:
    """Prepares a contender, then trains whenever it is its turn.

    Raises:
        UserError: It can't take part; the text says why.
    """
    _check(contender)
    module = importlib.import_module(f"keras16.benchmark.{TRAINERS[contender.kind]}")
    before = measure.resident_bytes()
    trainer = module.Trainer(contender, case)
    answers: dict[str, Callable[..., Any]] = {
        "forget": measure.forget_peak,
        "memory": lambda: _memory(trainer, before),
        "inside": lambda seconds: _inside(trainer, seconds),
    }
    pipe.send(("ready", None))
    trainer.train(Meter(pipe, answers))


def limits(pipe: Any) -> None:
    """Measures the machine's own ceilings whenever it is asked to."""
    from keras16.benchmark.ceilings import Ceilings

    ceilings = Ceilings()
    pipe.send(("ready", None))
    while pipe.recv()[0] == "measure":
        pipe.send(("measure", ceilings.measured()))


def _check(contender: Contender) -> None:
    if contender.kind == "torch":
        if not importlib.util.find_spec("torch"):
            raise UserError("PyTorch is not installed: pip install torch.")
        return
    if not contender.remapper and hardware.backend() != "tensorflow":
        raise UserError("the remapper is TensorFlow's: there is none on JAX.")


def _memory(trainer: Any, before: int) -> dict[str, int]:
    """Bytes of the training state, and what the steps held at their peak."""
    return {**trainer.state(), "peak": _device_peak() or _resident_peak(before)}


def _device_peak() -> int:
    torch_steps = sys.modules.get("keras16.benchmark.torch_steps")
    if torch_steps is not None:
        return torch_steps.peak_device_bytes()
    return measure.device_peak_bytes()


def _resident_peak(before: int) -> int:
    return max(measure.peak_memory_bytes() - before, 0)


def _inside(trainer: Any, seconds: float) -> float | None:
    try:
        return trainer.inside(seconds)
    except Exception:  # of any kind: the number is missing, and nothing else
        return None
