"""The clock of one contender: it lets steps run for a while, then waits its turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol


class Finished(Exception):
    """The contest is over: leaves the loop of steps, whoever wrote it."""


class Trainer(Protocol):
    """What every kind of contender is."""

    def train(self, meter: Meter) -> None:
        """Trains on, telling the meter of every step, until it raises Finished."""

    def inside(self, seconds: float) -> float:
        """Seconds of a step inside a compiled loop of many, or an error."""

    def state(self) -> dict[str, int]:
        """Bytes of the training state: weights, gradients, slots."""


class Meter:
    """Counts the steps of a round; between rounds its process sleeps on the pipe.

    The first step is a round of its own, since it traces and compiles.

    Args:
        pipe: To the parent: takes ("round", seconds), ("end",) and (question, ...),
            gives ("round", (steps, seconds)) and (question, answer).
        answers: A function for each question that may be asked between rounds.
    """

    def __init__(self, pipe: Any, answers: Mapping[str, Callable[..., Any]]) -> None:
        self.pipe, self.answers = pipe, answers
        self.steps, self.began, self.deadline = 0, 0.0, 0.0

    def begin(self) -> None:
        """Waits for the first round; called right before the first step.

        Raises:
            Finished: There is none.
        """
        self._next()

    def stepped(self, steps: int, settle: Callable[[], Any] = lambda: None) -> None:
        """Counts steps that were done, and waits where the round is over.

        Args:
            steps: Since the last call.
            settle: Waits for what was only handed to the device.

        Raises:
            Finished: The contest is over.
        """
        self.steps += steps
        if time.perf_counter() < self.deadline:
            return
        settle()
        seconds = time.perf_counter() - self.began
        self.pipe.send(("round", (self.steps, seconds)))
        self._next()

    def _next(self) -> None:
        what, *rest = self.pipe.recv()
        while what in self.answers:
            self.pipe.send((what, self.answers[what](*rest)))
            what, *rest = self.pipe.recv()
        if what == "end":
            raise Finished
        (seconds,) = rest
        self.steps = 0
        self.began = time.perf_counter()
        self.deadline = self.began + seconds


def seconds_a_step(run: Callable[[int], Any], seconds: float) -> float:
    """Seconds of one step in a loop of many, what a call of the loop costs left out.

    Args:
        run: Does so many steps in one call.
        seconds: To spend on it, about.
    """
    run(1)  # whatever is done once is done now
    began = time.perf_counter()
    run(1)
    one = time.perf_counter() - began
    steps = max(2, round(seconds / 3 / max(one, 1e-5)))
    times = {}
    for count in (steps, 2 * steps):
        began = time.perf_counter()
        run(count)
        times[count] = time.perf_counter() - began
    return (times[2 * steps] - times[steps]) / steps
