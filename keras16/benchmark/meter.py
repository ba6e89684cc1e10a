"""The clock of one contender: it lets steps run for a while, then waits its turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

SLOPES = 3  # their median is taken: one that was disturbed counts for nothing


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
        self._paused: float | None = None

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

    def pause(self) -> None:
        """Stops the clock until `resume`: what follows is no step."""
        self._paused = time.perf_counter()

    def resume(self) -> None:
        """Goes on from where the clock was stopped; nothing where it wasn't."""
        if self._paused is None:
            return
        missed = time.perf_counter() - self._paused
        self.began, self.deadline = self.began + missed, self.deadline + missed
        self._paused = None

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
    one = _seconds(run, 1)
    steps = max(1, round(seconds / (3 * SLOPES) / max(one, 1e-5)))
    slopes = [
        (_seconds(run, 2 * steps) - _seconds(run, steps)) / steps for _ in range(SLOPES)
    ]
    return statistics.median(slopes)


def _seconds(run: Callable[[int], Any], steps: int) -> float:
    began = time.perf_counter()
    run(steps)
    return time.perf_counter() - began
