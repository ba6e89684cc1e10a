"""What a benchmark came to: plain values, and the figures that follow from them."""

from __future__ import annotations

import dataclasses
from typing import Any

from keras16.benchmark.plan import REFERENCE, Contender
from keras16.statistics.medians import Interval, interval, ratios

ITEM_BYTES = {"float16": 2, "bfloat16": 2, "float32": 4}


@dataclasses.dataclass
class Row:
    """What was measured of one contender; empty where it could not run.

    Attributes:
        contender: Who.
        problem: Why it could not run, or not to the end; "" where it did.
        first_step_seconds: Traces, compiles and does the first step.
        step_seconds: Of a step in each round, as a user gets it; None where missing.
        pairs: (as a user gets it, inside the compiled loop) one after the other,
            seconds of a step.
        state: Bytes of "weights", "gradients" and "slots".
        peak_bytes: What the process held at its peak during the rounds, beyond what
            it held before the net was built; of a GPU, all of its own.
    """

    contender: Contender
    problem: str = ""
    first_step_seconds: float | None = None
    step_seconds: list[float | None] = dataclasses.field(default_factory=list)
    pairs: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    state: dict[str, int] = dataclasses.field(default_factory=dict)
    peak_bytes: int | None = None

    @property
    def step(self) -> Interval | None:
        """Seconds of the median step."""
        return interval([each for each in self.step_seconds if each is not None])

    @property
    def overhead(self) -> Interval | None:
        """Seconds a step that are spent outside the compiled graph."""
        return interval([outer - inner for outer, inner in self.pairs])

    @property
    def state_bytes(self) -> int | None:
        """Weights, gradients and slots."""
        return sum(self.state.values()) if self.state else None


@dataclasses.dataclass
class Outcome:
    """One net at one batch size.

    Attributes:
        title: Such as "resnet20, batch 128".
        model, batch_size, settings: What was asked for, defaults filled in.
        flops: Of a step: products alone.
        activations: Numbers that the layers put out in a step.
        parameters: Of the net.
        cores: That each process was kept to.
        rows: One for each contender, the reference first.
        ceilings: Of each round: operations a second by dtype, "copy" in bytes.
        stopped: Whether it was interrupted.
        backend: That Keras ran on.
        foreign_cores: How many cores all else kept busy during the rounds, on
            average; None where there was no round.
    """

    title: str
    model: str
    batch_size: int
    settings: dict[str, Any]
    flops: int
    activations: int
    parameters: int
    cores: int
    rows: list[Row]
    ceilings: list[dict[str, float]] = dataclasses.field(default_factory=list)
    stopped: bool = False
    backend: str = "tensorflow"
    foreign_cores: float | None = None

    @property
    def reference(self) -> Row:
        """The row of keras16 at 16."""
        return next(row for row in self.rows if row.contender.name == REFERENCE)

    def ratio(self, row: Row) -> Interval | None:
        """How many times as fast the reference is; None of the reference itself."""
        if row is self.reference:
            return None
        return interval(ratios(row.step_seconds, self.reference.step_seconds))

    def ceiling(self, name: str) -> Interval | None:
        """A ceiling over the rounds: of a key of `ITEM_BYTES`, or "copy"."""
        return interval([each[name] for each in self.ceilings if name in each])

    def share_of_products(self, row: Row) -> float | None:
        """The step's products a second as a share of the GEMM rate of its dtype."""
        ceiling = self.ceiling(row.contender.ceiling)
        if row.step is None or ceiling is None:
            return None
        return self.flops / row.step.median / ceiling.median

    def share_of_copy(self, row: Row) -> float | None:
        """The least bytes that a step moves a second, as a share of the copy rate.

        Each activation is written and read once, forward and backward; weights and
        slots are read and written, gradients written and read.
        """
        ceiling = self.ceiling("copy")
        if row.step is None or ceiling is None or row.state_bytes is None:
            return None
        size = ITEM_BYTES[row.contender.ceiling]
        moved = 4 * self.activations * size + 2 * row.state_bytes
        return moved / row.step.median / ceiling.median
