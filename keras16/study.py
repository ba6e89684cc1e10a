"""What a run and a study are: frozen dataclasses of plain values; nothing trains."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from keras16.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One training run. The options of `keras16 train` are exactly these fields.

    Attributes:
        precision: A name in `keras16.precision.TABLE` ("16", "32", "mixed", ...).
        model: A file of keras16/models (with a depth: "resnet20"),
            `FILE.py:function` or `FILE.keras`.
        dataset: A file of keras16/datasets, `FILE.npz`, `FILE.py:function` or a
            folder with one sub-folder of images per class.
        optimizer: A file of keras16/optimizers.
        learning_rate: None takes the optimizer's default.
        momentum: SGD and RMSprop only. None takes the optimizer's default.
        nesterov: SGD only.
        epsilon: Not of SGD and Lion. None takes the optimizer's default.
        weight_decay: Decoupled, as Keras defines it; 0 takes the optimizer's own:
            0.004 for AdamW, none for the others.
        rounding: "nearest", "kahan" or "stochastic": of an updated 16-bit weight.
        batch_norm: Of a model of keras16/models: "keras16", "plain" (16-bit with
            nothing added) or "stock" (Keras' own with float32 inside: not pure).
            None takes the precision's.
        label_smoothing: Of the cross-entropy, in [0, 1).
        loss: A name that Keras' compile takes ("mse"), or `FILE.py:NAME` of a
            function, class or object that it takes; data and net are then used as
            they are. None: data are class ids, the net ends in logits, the loss is
            their cross-entropy.
        metric: What the run is judged by, likewise named; only with a loss. None:
            accuracy, or the loss that was given.
        schedule: A file of keras16/schedules, such as "constant" or "cosine" (decay
            to 0 over the whole run).
        augmentation: "none", "flip", "shift" or "flip_shift" (by up to 4 pixels),
            "shift2" or "flip_shift2" (by up to 2).
        epochs: Passes over the training set.
        batch_size: Examples a step.
        validation: Share of the training set held out for validation, in [0, 1).
        seed: Draws the initial weights, the held-out part, the order of the
            data and the augmentation: the same ones at every precision.
    """

    precision: str = "16"
    model: str = "cnn"
    dataset: str = "mnist5k"
    optimizer: str = "adam"
    learning_rate: float | None = None
    momentum: float | None = None
    nesterov: bool = False
    epsilon: float | None = None
    weight_decay: float = 0.0
    rounding: str = "nearest"
    batch_norm: str | None = None
    label_smoothing: float = 0.0
    loss: str | None = None
    metric: str | None = None
    schedule: str = "cosine"
    augmentation: str = "none"
    epochs: int = 8
    batch_size: int = 64
    validation: float = 0.1
    seed: int = 0

    @property
    def name(self) -> str:
        """A name that a person can read, such as `cnn-mnist5k-16-adam-s0`."""
        return "-".join(
            (
                short_name(self.model),
                short_name(self.dataset),
                self.precision,
                self.optimizer,
                f"s{self.seed}",
            )
        )

    @property
    def metric_name(self) -> str:
        """What it is judged by, such as "accuracy", "mae" or "losses.worst"."""
        if self.loss is None:
            return "accuracy"
        return short_name(self.metric) if self.metric else "loss"

    def fields(self) -> dict[str, Any]:
        """The run as plain values, in the order of the fields."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """What a paper printed of one net at one precision.

    Attributes:
        accuracy: Mean test accuracy, in [0, 1]; or the mean of the study's own metric.
        deviation: Its standard deviation.
        seconds: Of the whole training; None where the paper tells none.
    """

    accuracy: float
    deviation: float | None = None
    seconds: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm:
    """One of the ways that a study compares, such as a precision.

    Attributes:
        name: As tables print it, such as "16" or "16, Kahan".
        fields: Of `Run`, that it sets.
        seed_offset: Added to the seed: 0 pairs the arm with the others (the same
            initial weights and data), another number makes it a control.
    """

    name: str
    fields: Mapping[str, Any]
    seed_offset: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a study's table: what all its arms have in common.

    Attributes:
        name: As tables print it, such as "resnet56" or "dnn-adam".
        fields: Of `Run`, that it sets.
        published: By the name of an arm.
    """

    name: str
    fields: Mapping[str, Any]
    published: Mapping[str, Published] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """What a paper asserts, in a form that runs can contradict.

    Attributes:
        text: In our words, one sentence.
        source: Where it is asserted, such as "arXiv 2305.10947".
        kind: "equivalent" or "superior" in accuracy or in the study's own metric,
            "faster" in epoch time, "smaller" in weight bytes, "stable" (no run
            diverges).
        arm: The arm that it is about.
        against: The arm that it is compared with.
        bound: "faster": the least ratio of epoch times (`against` to `arm`);
            "smaller": the largest ratio of bytes (`arm` to `against`). None: 1.
        published: The value that the paper gives, in words; "" without one.
        rows: The names of those that it is about; () for all.
        least: The mean accuracy (or metric) of `against` from which on it is made; a
            row in which that is worse does not test it. None: any.
    """

    text: str
    source: str
    kind: str
    arm: str = "16"
    against: str = "32"
    bound: float | None = None
    published: str = ""
    rows: tuple[str, ...] = ()
    least: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planned:
    """One training of a study.

    Attributes:
        row, arm: Names.
        seed: Counted from 0; arms with the same one are a pair.
        run: What is trained.
    """

    row: str
    arm: str
    seed: int
    run: Run


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """A question and the runs that answer it: rows x arms x seeds.

    Attributes:
        name: Of its file in pipelines/studies.
        title: Of its report.
        question: What it asks, one or two sentences.
        run: What all trainings have in common.
        rows, arms: What they differ by.
        seeds: Trainings of every row and arm.
        baseline: The arm that the others are compared with.
        control: An arm at the baseline's precision with other seeds; "" without one.
        margin: Metrics that differ by less count as equal; in the metric's units.
            Fixed before the runs. None: 0.005 of one in [0, 1], such as accuracy;
            any other needs one.
        better: Whether a "higher" or a "lower" metric is better; None where Keras'
            name of it tells.
        claims: That it tests.
        file: Of the user's own, as the command line has it; "" of keras16's.
    """

    name: str
    title: str
    question: str
    run: Run
    rows: tuple[Row, ...]
    arms: tuple[Arm, ...]
    seeds: int = 10
    baseline: str = "32"
    control: str = ""
    margin: float | None = None
    better: str | None = None
    claims: tuple[Claim, ...] = ()
    file: str = ""

    def once(self) -> tuple[Planned, ...]:
        """A training of each row and arm, with the first seed."""
        return dataclasses.replace(self, seeds=1).runs()

    def runs(self) -> tuple[Planned, ...]:
        """All trainings; whatever was done first is balanced over rows and arms.

        A later seed begins when all rows and arms have the earlier one, and the arms
        of a row follow one another: a machine that drifts treats them alike.
        """
        order = itertools.product(range(self.seeds), self.rows, self.arms)
        return tuple(self._planned(row, arm, seed) for seed, row, arm in order)

    def scaled(
        self,
        seeds: int | None = None,
        epochs: int | None = None,
        models: Sequence[str] = (),
        arms: Sequence[str] = (),
    ) -> Study:
        """The study with fewer runs, or shorter ones.

        Args:
            seeds: None leaves them as they are.
            epochs: Of every run, likewise.
            models: Names of rows, or of models; all their rows are kept, in the
                study's order. None given keeps all.
            arms: Names of arms, likewise. A name with commas may come in its parts.

        Raises:
            UserError: It has no such row, model or arm; the text names those there are.
        """
        rows = self._rows_of(models)
        fields = {} if epochs is None else {"epochs": epochs}
        return dataclasses.replace(
            self,
            rows=tuple(
                dataclasses.replace(row, fields={**row.fields, **fields})
                for row in rows
            ),
            arms=self._arms_of(arms),
            seeds=self.seeds if seeds is None else seeds,
        )

    def _rows_of(self, models: Sequence[str]) -> tuple[Row, ...]:
        known = [name for row in self.rows for name in self._names(row)]
        kept = _chosen(models, known, f"study {self.name} has no")
        return tuple(row for row in self.rows if not kept.isdisjoint(self._names(row)))

    def _arms_of(self, names: Sequence[str]) -> tuple[Arm, ...]:
        known = [arm.name for arm in self.arms]
        kept = _chosen(names, known, f"study {self.name} has no arm")
        return tuple(arm for arm in self.arms if arm.name in kept)

    def _names(self, row: Row) -> tuple[str, str]:
        return row.name, row.fields.get("model", self.run.model)

    def _planned(self, row: Row, arm: Arm, seed: int) -> Planned:
        fields = {**row.fields, **arm.fields, "seed": seed + arm.seed_offset}
        run = dataclasses.replace(self.run, **fields)
        return Planned(row=row.name, arm=arm.name, seed=seed, run=run)


def _chosen(asked: Sequence[str], known: Sequence[str], refusal: str) -> set[str]:
    """Those of the known names that were asked for; all where none was.

    Commas part what is asked for, and some names have them: the longest name counts.

    Raises:
        UserError: One is unknown. The text begins with the refusal.
    """
    by_parts = {_parts(name): name for name in known}
    left = [part for name in asked for part in _parts(name)]
    chosen = set() if asked else set(known)
    while left:
        ends = range(len(left), 0, -1)
        end = next((end for end in ends if tuple(left[:end]) in by_parts), 0)
        if not end:
            there = (repr(name) if "," in name else name for name in by_parts.values())
            raise UserError(f"{refusal} {left[0]!r}: there are {', '.join(there)}.")
        chosen.add(by_parts[tuple(left[:end])])
        del left[:end]
    return chosen


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in name.split(","))


def short_name(part: str) -> str:
    """`nets/wide.py:build` -> `wide.build`, `digits.npz` -> `digits`.

    `applications.VGG16` is `VGG16`.
    """
    path, _, function = part.removeprefix("applications.").partition(":")
    stem = pathlib.PurePath(path).stem
    return re.sub(r"[^\w.]+", "_", f"{stem}.{function}" if function else stem)
