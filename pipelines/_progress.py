"""The progress of a run on standard error: a live bar, plain lines, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from keras16 import measure
from keras16.study import Run

if TYPE_CHECKING:
    import keras

    from keras16.callbacks._counts import Observation
    from keras16.training import Epoch, Observer


def observer(quiet: bool) -> Silent:
    """The observer that fits where standard error goes."""
    if quiet:
        return Silent()
    return Live() if sys.stderr.isatty() else Lines()


class Silent:
    """Shows nothing; also the shape of the other two, which are contexts too."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def started(self, run: Run, model: keras.Model, steps_per_epoch: int) -> None:
        """The model is built."""

    def stepped(self, epoch: int, step: int, loss: float) -> None:
        """`step` steps of this epoch are done."""

    def epoch_ended(self, record: Epoch, model: keras.Model) -> None:
        """An epoch is trained and validated."""

    def monitored(self, observation: Observation) -> None:
        """The monitor has seen a step: told at the end."""


class Lines(Silent):
    """One plain line per epoch, for logs and pipes."""

    def started(self, run: Run, model: keras.Model, steps_per_epoch: int) -> None:
        """Tells what is trained."""
        self.run = run
        click.echo(starting_line(run, model, steps_per_epoch), err=True)

    def epoch_ended(self, record: Epoch, model: keras.Model) -> None:
        """Tells what the epoch came to."""
        click.echo(epoch_line(record, self.run), err=True)


class Live(Silent):
    """A bar over the whole run: epoch, loss, steps and the time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps, loss {task.fields[loss]}, left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )

    def __enter__(self) -> Live:
        self.bar.start()
        self.task = self.bar.add_task("preparing", total=None, loss="-")
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def started(self, run: Run, model: keras.Model, steps_per_epoch: int) -> None:
        """Makes it a bar with an end."""
        self.run, self.steps = run, steps_per_epoch
        self._print(starting_line(run, model, steps_per_epoch))
        self.bar.update(
            self.task,
            description=f"epoch 1/{run.epochs}",
            total=run.epochs * steps_per_epoch,
        )

    def stepped(self, epoch: int, step: int, loss: float) -> None:
        """Moves the bar."""
        self.bar.update(
            self.task,
            description=f"epoch {epoch}/{self.run.epochs}",
            completed=(epoch - 1) * self.steps + step,
            loss=f"{loss:.4f}",
        )

    def epoch_ended(self, record: Epoch, model: keras.Model) -> None:
        """Leaves a line above the bar."""
        self.bar.update(self.task, completed=record.epoch * self.steps)
        self._print(epoch_line(record, self.run))

    def _print(self, line: str) -> None:
        self.bar.console.print(line, highlight=False, markup=False, soft_wrap=True)


class Both:
    """Tells two observers the same, one after the other."""

    def __init__(self, first: Observer, second: Observer):
        self.observers = (first, second)

    def started(self, *told: Any) -> None:
        """The model is built."""
        for each in self.observers:
            each.started(*told)

    def stepped(self, *told: Any) -> None:
        """`step` steps of this epoch are done."""
        for each in self.observers:
            each.stepped(*told)

    def epoch_ended(self, *told: Any) -> None:
        """An epoch is trained and validated."""
        for each in self.observers:
            each.epoch_ended(*told)

    def monitored(self, *told: Any) -> None:
        """The monitor has seen a step."""
        for each in self.observers:
            each.monitored(*told)


def starting_line(run: Run, model: keras.Model, steps_per_epoch: int) -> str:
    """What is trained, in one line."""
    return (
        f"{run.name}: {measure.parameters(model):,} parameters, epochs: {run.epochs}, "
        f"steps an epoch: {steps_per_epoch}; compiling the step"
    )


def epoch_line(record: Epoch, run: Run) -> str:
    """One epoch in one line: losses, accuracies in percent, the metric, seconds."""
    training = record.loss, record.accuracy, record.metric
    validation = record.val_loss, record.val_accuracy, record.val_metric
    names = "loss", "accuracy", run.metric_name
    parts = [
        *_judged(names, training),
        *_judged([f"val_{name}" for name in names], validation),
        f"{record.epoch_seconds:.2f} s",
    ]
    return f"epoch {record.epoch}/{run.epochs}: {', '.join(parts)}"


def _judged(names: Sequence[str], values: Sequence[float | None]) -> list[str]:
    """Those of loss, accuracy and metric that there are."""
    forms = "{:.4f}", "{:.2%}", "{:.4f}"
    return [
        f"{name} {form.format(value).replace('%', ' %')}"
        for name, form, value in zip(names, forms, values, strict=True)
        if value is not None
    ]
