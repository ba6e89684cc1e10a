"""Trains many runs, each in a process of its own, some side by side."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from typing import IO, Any

import filelock

from keras16.errors import UserError
from keras16.execution import child, worker
from keras16.execution.company import Company
from keras16.execution.environment import command, for_child
from keras16.execution.ledger import Entry
from keras16.study import Planned, Run

# A process that dies is begun anew as long as it gets on: it may have been killed.
# One that dies so often within the same epoch would do so for ever.
ATTEMPTS = 3
AGAIN = "`study run --retry-failed` trains it again"
# Signals that come from outside (KILL, TERM, HUP): the log says nothing of them.
FROM_OUTSIDE = {9: f"{child.FULL} {AGAIN}", 15: AGAIN, 1: AGAIN}
LAST_WORDS = ("ended", "stopped", "taken", "refused")
KINDS = ("started", "stepped", "epoch", "halted", *LAST_WORDS)
MOST_REASONS = 3  # that one line tells
PATIENCE_SECONDS = 5.0  # before asking again for a run that another process trains


@dataclasses.dataclass(frozen=True)
class Task:
    """A run to train, and where.

    Attributes:
        planned: The run under its names.
        entry: Its place in the ledger.
    """

    planned: Planned
    entry: Entry


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened to a task.

    Attributes:
        kind: "begun" (a process was started), "started" (its model is built),
            "stepped", "epoch", "ended" (its record is written) or "stopped" (it has
            none: it was stopped, refused, or its record is gone).
        task: The run.
        values: Of "started": steps, parameters; of "stepped": epoch, step; of
            "epoch": the fields of `results.Epoch`.
    """

    kind: str
    task: Task
    values: dict[str, Any] = dataclasses.field(default_factory=dict)


class LeftOut(UserError):
    """Runs could not be trained, or their models not be kept; all others are over.

    Attributes:
        exit_code: 2 where a run could not be trained, else 1.
    """

    def __init__(self, text: str, exit_code: int = 2) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class _Process:
    """One worker process, and a thread that reads what it tells."""

    def __init__(self, task: Task, order: dict[str, Any], told: queue.Queue) -> None:
        self.task = task
        self.progressed = False
        self.over = ""  # the last word, where there was one
        self.problem = ""  # that it told of
        self.began = time.time()
        task.entry.folder.mkdir(parents=True, exist_ok=True)
        with task.entry.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                command(worker.__name__),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=for_child(),
                encoding="utf-8",
                errors="replace",
                start_new_session=True,  # with all that it starts, to end them all
            )
        self._say(json.dumps(order))
        threading.Thread(target=self._read, args=(told,), daemon=True).start()

    def stop(self) -> None:
        """Asks it to stop after the steps in hand."""
        self._say("stop")

    def end(self) -> None:
        """Ends it, whatever it does, and what it has started and left."""
        if os.name == "posix":
            with contextlib.suppress(OSError):  # they are gone
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            _close(pipe)

    def is_gone(self) -> bool:
        """Whether it has ended, however long others hold the pipe that it told by."""
        return self._process.poll() is not None

    def why(self) -> str:
        """Why it ended, in one line."""
        code = self._process.wait()
        words = FROM_OUTSIDE.get(-code) or self._last_words()
        return ": ".join(filter(None, (child.ended(code), words)))

    def _last_words(self) -> str:
        """Its own: those of processes before it are in the same log."""
        try:
            with self.task.entry.log.open("rb") as log:
                log.seek(self._log_start)
                return child.last_words(log.read().decode(errors="replace"))
        except OSError:
            return ""

    def _say(self, line: str) -> None:
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it is gone: the reader will tell

    def _read(self, told: queue.Queue) -> None:
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                if message := _message(line):
                    told.put((self, message))
        finally:  # whatever happens: the pool waits for it
            told.put((self, None))


def _message(line: str) -> dict[str, Any] | None:
    """What a worker tells; None of a line that anything else in it has printed."""
    found = child.object_in(line)
    return found if found and found.get("event") in KINDS else None


def train(
    tasks: Sequence[Task],
    *,
    workers: int,
    stop: threading.Event,
    keep_models: bool = False,
) -> Iterator[Event]:
    """Trains the tasks in their order.

    A run that diverges or crashes is recorded as such, and the others go on; so they do
    where one can't be trained as it was asked for, which is told at the end. Its other
    seeds are left out then. A process that is killed is begun anew from its last
    checkpoint.

    Args:
        tasks: None of them is over.
        workers: Processes side by side.
        stop: Once set, the processes stop after the steps in hand.
        keep_models: Whether trained models are saved.

    Yields:
        What happens, as it happens.

    Raises:
        LeftOut: At the end: runs that can't be started as they were asked for, or whose
            models can't be saved.
        UserError: No run can go on: the disk is full, say. All are stopped.
    """
    yield from _Pool(tasks, workers, stop, keep_models).events()


class _Pool:
    def __init__(
        self,
        tasks: Sequence[Task],
        workers: int,
        stop: threading.Event,
        keep_models: bool,
    ) -> None:
        self.waiting = collections.deque(tasks)
        self.workers, self.stop, self.keep_models = workers, stop, keep_models
        self.told: queue.Queue = queue.Queue()
        self.running: set[_Process] = set()
        self.gone: set[_Process] = set()
        self.attempts: collections.Counter[Task] = collections.Counter()
        self.not_before: dict[Task, float] = {}
        self.epochs: collections.Counter[Task] = collections.Counter()
        self.refused: dict[Run, str] = {}  # by what its seeds have in common
        self.left_out: collections.Counter[str] = collections.Counter()
        self.unsaved: collections.Counter[str] = collections.Counter()
        self.asked_to_stop = False

    def events(self) -> Iterator[Event]:
        try:
            while self.running or (self.waiting and not self.stop.is_set()):
                yield from self._begun()
                self._pass_on_stop()
                yield from self._next()
            if (self.left_out or self.unsaved) and not self.stop.is_set():
                raise LeftOut(self._told(), exit_code=2 if self.left_out else 1)
        finally:
            for process in self.running:
                process.end()

    def _begun(self) -> Iterator[Event]:
        """Starts as many processes as there may be."""
        for _ in range(len(self.waiting)):
            if len(self.running) >= self.workers or self.stop.is_set():
                return
            task = self.waiting.popleft()
            if reason := self.refused.get(_any_seed(task)):
                self._leave_out(task, reason)
                continue
            if self.not_before.get(task, 0.0) > time.monotonic():
                self.waiting.append(task)
                continue
            self.running.add(_Process(task, self._order(task), self.told))
            yield Event("begun", task)

    def _order(self, task: Task) -> dict[str, Any]:
        return {
            "run": task.planned.run.fields(),
            # The user's code may go to another folder.
            "folder": str(task.entry.folder.absolute()),
            # The seeds of a row and arm trace the same step.
            "audit": task.planned.seed == 0,
            "keep_model": self.keep_models,
            "workers": self.workers,
        }

    def _pass_on_stop(self) -> None:
        if self.stop.is_set() and not self.asked_to_stop:
            self.asked_to_stop = True
            for process in self.running:
                process.stop()

    def _next(self) -> Iterator[Event]:
        try:
            process, message = self.told.get(timeout=0.2)
        except queue.Empty:
            self._look()
            return
        if process not in self.running:
            return
        if message is None:
            self.running.discard(process)
            process.end()
            yield from self._gone(process)
            return
        kind = message.pop("event")
        if kind == "halted":
            raise UserError(message["reason"])
        if kind in LAST_WORDS:
            process.over = kind
            process.problem = message.get("reason") or message.get("problem") or ""
            return
        if kind == "epoch":
            self._count(process, message["epoch"])
        yield Event(kind, process.task, message)

    def _look(self) -> None:
        """A process that is gone, and has had time to be heard, says no more."""
        for process in self.running:
            if process.is_gone() and process not in self.gone:
                self.gone.add(process)
            elif process.is_gone():
                self.told.put((process, None))

    def _count(self, process: _Process, epoch: int) -> None:
        """A process that goes on tells the epochs of those before it, too."""
        if epoch > self.epochs[process.task]:
            self.epochs[process.task] = epoch
            process.progressed = True

    def _gone(self, process: _Process) -> Iterator[Event]:
        """What becomes of a task whose process is no more."""
        task, over = process.task, process.over
        if over == "taken":
            self._ask_later(task)
        elif over == "refused":
            if not _is_of_one_run(process):
                self.refused[_any_seed(task)] = process.problem
            self._leave_out(task, process.problem)
            yield Event("stopped", task)
        elif over == "stopped":
            yield Event("stopped", task)
        elif task.entry.record() is not None:  # or it died before it could tell
            if process.problem:
                self.unsaved[_about(task, process.problem)] += 1
            yield Event("ended", task)
        else:
            yield from self._without_record(process)

    def _without_record(self, process: _Process) -> Iterator[Event]:
        task = process.task
        if process.over == "ended":
            lost = f"{task.entry.record_file} is gone: start again."
            self._leave_out(task, lost)
            yield Event("stopped", task)
        elif self.stop.is_set():
            yield Event("stopped", task)
        elif self._may_try_again(process):
            self.waiting.appendleft(task)
        else:
            yield from self._crashed(process)

    def _crashed(self, process: _Process) -> Iterator[Event]:
        """Records it, unless another process trains the run or has recorded it."""
        task = process.task
        record = worker.crashed(
            task.planned.run,
            process.why(),
            workers=Company(task.entry, self.workers).felt()["workers"],
            began=process.began,
        )
        try:
            with task.entry.lock():
                if task.entry.record() is None:
                    task.entry.write(record)
        except filelock.Timeout:
            self._ask_later(task)
            return
        yield Event("ended", task)

    def _ask_later(self, task: Task) -> None:
        """Another process trains it."""
        self.not_before[task] = time.monotonic() + PATIENCE_SECONDS
        self.waiting.append(task)

    def _may_try_again(self, process: _Process) -> bool:
        self.attempts[process.task] = (
            1 if process.progressed else self.attempts[process.task] + 1
        )
        return self.attempts[process.task] < ATTEMPTS

    def _leave_out(self, task: Task, reason: str) -> None:
        self.left_out[_about(task, reason)] += 1

    def _told(self) -> str:
        """What was left out, or not saved, in one line."""
        left_out = _listed(self.left_out, "runs are left out")
        unsaved = _listed(self.unsaved, "models are not saved")
        return " ".join(filter(None, (left_out, unsaved)))


def _about(task: Task, reason: str) -> str:
    end = "" if reason.endswith((".", "?", "!")) else "."
    return f"{task.planned.row}, {task.planned.arm}: {reason}{end}"


def _listed(found: collections.Counter[str], what: str) -> str:
    reasons, count = list(found), found.total()
    more = len(reasons) - MOST_REASONS
    told = " ".join(reasons[:MOST_REASONS]) + f" {more} more." * (more > 0)
    return told if count < 2 else f"{count} {what}: {told}"


def _is_of_one_run(process: _Process) -> bool:
    """Whether its other seeds may well be trained: a file of its own, or memory."""
    own = str(process.task.entry.folder)
    return own in process.problem or "memory" in process.problem.lower()


def _any_seed(task: Task) -> Run:
    """The run, the same for all its seeds: what is refused of one is so of each."""
    return dataclasses.replace(task.planned.run, seed=0)


def _close(pipe: IO[str] | None) -> None:
    try:
        if pipe is not None:
            pipe.close()
    except OSError:
        pass
