"""The parent of a benchmark: starts the contenders and gives each its turns.

Only one process computes at a time; the others sleep on their pipes. This kind of
machine drifts by a third within minutes: many short rounds, each in another order,
and ratios within a round are what is left of that.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import pathlib
import random
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from keras16 import hardware, measure
from keras16.benchmark import worker
from keras16.benchmark.plan import Case, Contender
from keras16.benchmark.result import Outcome, Row
from keras16.errors import UserError
from keras16.study import Run

PAIRS = 5  # of the overhead: it is small, and less of it is enough
RANDOM_PIXELS = "random pixels"  # the settings' data set, whose file is gone
BATCHES, MOST_BYTES = 200, 2**28  # of the random images: about MNIST's epoch
_POLL_SECONDS = 0.2
THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


@dataclasses.dataclass(frozen=True)
class Rules:
    """How long and on what.

    Attributes:
        rounds: Turns of each contender.
        seconds: Of a turn.
        cores: That every process is kept to.
        before: Called first in every process that imports Keras.
        stop: Once set, what was measured so far is all.
        tell: Takes a line on what is being done.
    """

    rounds: int
    seconds: float
    cores: tuple[int, ...]
    before: Callable[[], None] | None = None
    stop: threading.Event = dataclasses.field(default_factory=threading.Event)
    tell: Callable[[str], None] = lambda line: None


class Stopped(Exception):
    """The user asked for the end."""


class Failed(Exception):
    """A process could not do its job; the text says why."""


class Process:
    """One process that does one job, and waits where it is not asked to."""

    def __init__(
        self,
        rules: Rules,
        job: Callable[..., None],
        *arguments: Any,
        before: Callable[[], None] | None = None,
    ) -> None:
        self.stop = rules.stop
        # A fresh interpreter: TensorFlow does not survive a fork.
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(
            target=worker.serve,
            args=(other, before, rules.cores, job, arguments),
            name=f"keras16-{job.__name__}",
            daemon=True,
        )
        with _environment(len(rules.cores)):
            self._process.start()
        other.close()

    def ask(self, *message: Any) -> Any:
        """Sends a message and waits for its answer.

        Raises:
            Stopped: The user asked for the end meanwhile.
            Failed: The process could not do it.
        """
        with contextlib.suppress(ConnectionError):  # what it said last is still there
            self._pipe.send(message)
        return self.answer()

    def answer(self) -> Any:
        """Waits for what the process has to say.

        Raises:
            Stopped: The user asked for the end meanwhile.
            Failed: The process could not do its job.
        """
        while not self._pipe.poll(_POLL_SECONDS):
            if self.stop.is_set():
                raise Stopped
        try:
            kind, answer = self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            self._process.join()
            code = self._process.exitcode
            raise Failed(f"ended with code {code}: is there enough memory?") from error
        if kind in ("failed", "refused"):
            raise Failed(answer)
        return answer

    def end(self) -> None:
        """Ends the process, whatever it does."""
        self._process.terminate()
        self._process.join()
        self._pipe.close()


def run(
    plan: Run,
    contenders: Sequence[Contender],
    rules: Rules,
    shape: tuple[int, ...] | None = None,
    classes: int = 10,
) -> Outcome:
    """Lets the contenders train one net at one batch size.

    Args:
        plan: The net, the optimizer, the batch size, the data set.
        contenders: The reference among them.
        rules: How long, and on what.
        shape: Of an example of random pixels; None for the data set of `plan`.
        classes: Of random pixels.

    Returns:
        What was measured, up to the point where it was stopped.

    Raises:
        UserError: The net can't be built as it was asked for.
        Stopped: The user asked for the end before anything was measured.
    """
    with tempfile.TemporaryDirectory(prefix="keras16-bench-") as name:
        folder = pathlib.Path(name)
        if shape is not None:
            try:
                data = _random_pixels(folder, shape, classes, plan.batch_size)
            except MemoryError as error:
                raise UserError(f"not enough memory: {error}.") from error
            plan = dataclasses.replace(plan, dataset=data)
        case = Case(plan, folder)
        outcome = _outcome(case, contenders, rules)
        with contextlib.ExitStack() as processes:
            try:
                _measure(outcome, case, rules, processes)
            except Stopped:
                outcome.stopped = True
        if shape is not None:  # their file is gone now
            outcome.settings["dataset"] = RANDOM_PIXELS
        return outcome


def _random_pixels(
    folder: pathlib.Path, shape: tuple[int, ...], classes: int, batch_size: int
) -> str:
    """Writes a data set of random pixels and labels, and returns its path."""
    draw = np.random.default_rng(0)
    batches = max(2, min(BATCHES, MOST_BYTES // (batch_size * int(np.prod(shape)))))
    count = max(batches * batch_size, classes)
    x = draw.integers(0, 256, (count, *shape), np.uint8)
    y = np.arange(count, dtype=np.int32) % classes
    path = folder / "pixels.npz"
    few = slice(0, max(classes, 1))
    np.savez(path, x_train=x, y_train=y, x_test=x[few], y_test=y[few])
    return str(path)


def _outcome(case: Case, contenders: Sequence[Contender], rules: Rules) -> Outcome:
    """Has the net written down; nothing is measured yet."""
    rules.tell(f"{case.title}: building the net")
    process = Process(
        rules, worker.describe, case.run, case.folder, before=rules.before
    )
    try:
        found = process.answer()
    except Failed as error:
        raise UserError(str(error)) from error
    finally:
        process.end()
    return Outcome(
        title=case.title,
        model=case.run.model,
        batch_size=case.run.batch_size,
        cores=len(rules.cores),
        rows=[Row(contender) for contender in contenders],
        backend=hardware.backend(),
        **found,
    )


def _measure(
    outcome: Outcome, case: Case, rules: Rules, processes: contextlib.ExitStack
) -> None:
    """Fills the rows: first steps, then rounds, then memory and overhead."""

    def started(job: Callable[..., None], *arguments: Any, keras: bool) -> Process:
        before = rules.before if keras else None
        process = Process(rules, job, *arguments, before=before)
        processes.callback(process.end)
        return process

    racing: dict[str, tuple[Row, Process]] = {}
    for row in outcome.rows:
        name = row.contender.name
        rules.tell(f"{case.title}: {name} takes its first step")
        with _told(row):
            is_torch = row.contender.kind == "torch"
            process = started(worker.compete, row.contender, case, keras=not is_torch)
            process.answer()
            _, row.first_step_seconds = process.ask("round", 0.0)
            process.ask("round", rules.seconds)  # warms up
            process.ask("forget")
            racing[name] = row, process
    rules.tell(f"{case.title}: measuring the machine's own rates")
    limits = started(worker.limits, keras=True)
    with contextlib.suppress(Failed):
        limits.answer()
    load = measure.ForeignLoad(family=True)
    for number in range(rules.rounds):
        rules.tell(f"{case.title}: round {number + 1} of {rules.rounds}")
        _round(number, list(racing.values()), rules)
        outcome.foreign_cores = load.cores()
        with contextlib.suppress(Failed):  # then there are no ceilings
            outcome.ceilings.append(limits.ask("measure"))
    rules.tell(f"{case.title}: memory and overhead")
    for row, process in racing.values():
        with _told(row):
            _look_inside(row, process, rules)


def _round(number: int, racing: list[tuple[Row, Process]], rules: Rules) -> None:
    """One turn of each, in an order of its own."""
    order = random.Random(number).sample(racing, len(racing))
    for row, process in order:
        row.step_seconds.append(_turn(row, process, rules.seconds))


def _turn(row: Row, process: Process, seconds: float) -> float | None:
    """Seconds of a step over one turn; None of a contender that failed."""
    if row.problem:
        return None
    try:
        steps, spent = process.ask("round", seconds)
    except Failed as error:
        row.problem = str(error)
        return None
    return spent / steps


def _look_inside(row: Row, process: Process, rules: Rules) -> None:
    """Memory, then the overhead: its loop takes memory that a user does without."""
    if row.problem:
        return
    memory = process.ask("memory")
    row.peak_bytes = memory.pop("peak")
    row.state = memory
    for _ in range(PAIRS):
        inner = process.ask("inside", rules.seconds)
        if inner is None:
            return
        steps, seconds = process.ask("round", rules.seconds)
        row.pairs.append((seconds / steps, inner))


@contextlib.contextmanager
def _told(row: Row) -> Iterator[None]:
    """A contender that fails is told in its row, and the others go on."""
    try:
        yield
    except Failed as error:
        row.problem = str(error)


@contextlib.contextmanager
def _environment(threads: int) -> Iterator[None]:
    """What a process that is started inside inherits: as many threads as cores."""
    before = dict(os.environ)
    os.environ.update({name: str(threads) for name in THREADS} | hardware.SHARED_GPU)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def cores(count: int | None) -> tuple[int, ...]:
    """The first cores that this process may run on.

    Args:
        count: None for all of them.

    Raises:
        UserError: There are not so many.
    """
    known = (
        sorted(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else list(range(hardware.usable_cores()))
    )
    if count is not None and count > len(known):
        raise UserError(f"--cores {count}: this process may use {len(known)}.")
    return tuple(known[:count])
