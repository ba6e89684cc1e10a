"""The options that commands share: one per field of `study.Run`, in their order."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem

from keras16 import applications, catalog, precision
from keras16.errors import UserError
from keras16.study import Run

ROUNDINGS = ("nearest", "kahan", "stochastic")
BATCH_NORMS = ("keras16", "plain", "stock")
AUGMENTATIONS = ("none", "flip", "shift", "flip_shift", "shift2", "flip_shift2")
LARGEST_SEED = 2**31 - 1


class Count(click.IntRange):
    """A whole number between bounds."""

    name = "integer"  # click calls it "integer range" even where it refuses a word


class Number(click.FloatRange):
    """A finite number between bounds: click lets `nan` and `inf` through."""

    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """The number, or click's usage error."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class PrecisionName(click.ParamType):
    """A precision of the table; its aliases become the table's name."""

    name = "name"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """The table's name of a precision, or `UserError`."""
        return precision.canonical(value)

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list:
        """The precisions, each with its meaning."""
        return [
            CompletionItem(row.name, help=row.meaning)
            for row in precision.TABLE.values()
            if row.name.startswith(incomplete)
        ]


class Part(click.ParamType):
    """A part by its file name in the catalogue, or the user's own file."""

    name = "name"

    def __init__(self, kind: str):
        self.kind = kind

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """The value as it is; a plain word that names nothing is a `UserError`."""
        if self.kind == "models" and value.startswith(applications.PREFIX):
            return applications.PREFIX + applications.known(value)
        is_word = value.replace("-", "_").isidentifier()
        if is_word and not self.knows(value) and not path(value).exists():
            raise UserError(catalog.unknown(self.kind, value))
        return value

    def knows(self, value: str) -> bool:
        """Whether the catalogue has it; only a model may end in a depth."""
        stem, _ = catalog.split_depth(value)
        known = catalog.names(self.kind)
        return value in known or (self.kind == "models" and stem in known)

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list:
        """The catalogue's names, then files."""
        names = catalog.choices(self.kind)
        if self.kind == "models":
            # One word for all of them until it is asked for.
            deeper = incomplete.startswith(applications.PREFIX)
            names += applications.names_with_prefix() if deeper else []
            names += [] if deeper else [applications.PREFIX]
        found = [name for name in names if name.startswith(incomplete)]
        items = [CompletionItem(name) for name in found]
        return items or [CompletionItem(incomplete, type="file")]


class Compiled(click.ParamType):
    """A loss or a metric: a name of Keras, or one in the user's own file."""

    name = "name"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """The value as it is; Keras knows its names when it is there."""
        return value

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list:
        """Files."""
        return [CompletionItem(incomplete, type="file")]


class Several(click.ParamType):
    """One or more with commas between them, each as another type takes it.

    Args:
        each: The type of one.
        noun: What one is called, in the error of a list of none.
    """

    def __init__(self, each: Any, noun: str) -> None:
        self.each, self.noun = each, noun
        self.name = f"{noun}s"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[Any, ...]:
        """Each in its order, or the error of its type."""
        parts = [part.strip() for part in value.split(",") if part.strip()]
        found = tuple(self.each.convert(part, param, ctx) for part in parts)
        return found or self.fail(f"give at least one {self.noun}.", param, ctx)

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list:
        """Those of one, for the first."""
        return self.each.shell_complete(ctx, param, incomplete)


def path(value: str) -> pathlib.Path:
    """A path as the user wrote it, `~` replaced by the home folder."""
    return pathlib.Path(value).expanduser()


# Each field's type on the command line, and its line of help.
FIELDS: dict[str, tuple[click.ParamType | None, str]] = {
    "precision": (
        PrecisionName(),
        f"{', '.join(precision.TABLE)}; float16 and other aliases work too.",
    ),
    "model": (
        Part("models"),
        "A model of keras16 (dnn, cnn, resnet20, resnet56, ...), applications.NAME "
        "of Keras (applications.MobileNetV2, ...), FILE.py:FUNCTION or FILE.keras.",
    ),
    "dataset": (
        Part("datasets"),
        "A data set of keras16 (mnist5k, mnist, cifar10, ...), FILE.npz, "
        "FILE.py:FUNCTION or a folder with one sub-folder of images per class.",
    ),
    "optimizer": (
        click.Choice(catalog.names("optimizers")),
        "How weights are updated.",
    ),
    "learning_rate": (Number(min=0, min_open=True), "Of the first step."),
    "momentum": (Number(min=0, max=1, max_open=True), "For sgd and rmsprop."),
    "nesterov": (None, "Nesterov's momentum, for sgd."),
    "epsilon": (Number(min=0, min_open=True), "Not for sgd and lion."),
    "weight_decay": (
        Number(min=0),
        "Decoupled, as Keras defines it; 0 takes the optimizer's own: 0.004 for "
        "adamw, else none.",
    ),
    "rounding": (
        click.Choice(ROUNDINGS),
        "Of updated 16-bit weights: kahan carries what is lost into the next step, "
        "stochastic rounds by chance.",
    ),
    "batch_norm": (
        click.Choice(BATCH_NORMS),
        "Of a model of keras16: stock is Keras' own with float32 inside.",
    ),
    "label_smoothing": (
        Number(min=0, max=1, max_open=True),
        "Probability that the loss spreads over all classes.",
    ),
    "loss": (
        Compiled(),
        "Of your own, as Keras' compile takes it: a name (mse) or FILE.py:NAME; data "
        "and net are then used as they are.",
    ),
    "metric": (
        Compiled(),
        "What is judged by, likewise; needs --loss.",
    ),
    "schedule": (
        click.Choice(catalog.names("schedules")),
        "Learning rate over the run; cosine, polynomial and triangular end at 0, and "
        "triangular begins at a fifth.",
    ),
    "augmentation": (
        click.Choice(AUGMENTATIONS),
        "Random changes to training images; shifts are by up to 4 pixels, or by 2.",
    ),
    "epochs": (Count(min=1), "Passes over the training set."),
    "batch_size": (Count(min=1), "Examples a step."),
    "validation": (
        Number(min=0, max=1, max_open=True),
        "Share of the training set held out for validation.",
    ),
    "seed": (
        Count(0, LARGEST_SEED),
        "Draws weights, held-out part, data order and augmentation: the same ones at "
        "every precision.",
    ),
}


# What a field means that has no value, where no optimizer has one.
UNSET = {
    "batch_norm": "the precision's",
    "loss": "cross-entropy of class ids",
    "metric": "accuracy; with --loss, that loss",
}

# What a training step is made of; seed, length and held-out part are not.
STEP_FIELDS = (
    "model",
    "dataset",
    "optimizer",
    "learning_rate",
    "momentum",
    "nesterov",
    "epsilon",
    "weight_decay",
    "rounding",
    "batch_norm",
    "label_smoothing",
    "loss",
    "metric",
    "schedule",
    "augmentation",
    "batch_size",
)


def run_options(*names: str) -> Callable:
    """A decorator that adds an option for each of these fields of `Run`, or for all.

    Args:
        *names: Fields of `Run`; none of them means every one.
    """

    def decorate(command: Callable) -> Callable:
        for field in reversed(dataclasses.fields(Run)):
            if not names or field.name in names:
                command = run_option(field)(command)
        return command

    return decorate


def run_option(field: dataclasses.Field) -> Callable:
    """The click option of one field, with the field's own default."""
    kind, help_text = FIELDS[field.name]
    flag = f"--{field.name.replace('_', '-')}"
    unset = field.default is None
    meant = UNSET.get(field.name, "the optimizer's own")
    return click.option(
        f"{flag}/--no-{flag[2:]}" if kind is None else flag,
        field.name,
        type=kind,
        default=field.default,
        show_default=meant if unset else True,
        help=help_text,
    )


def json_option(command: Callable) -> Callable:
    """`--json`: one object on standard output."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print one JSON object on standard output, and nothing else there.",
    )(command)


def tracking_uri_option(command: Callable) -> Callable:
    """`--tracking-uri`: the MLflow store."""
    return click.option(
        "--tracking-uri",
        metavar="URI",
        help="MLflow store, such as sqlite:///FILE.db or http://HOST:PORT.  "
        "[default: $MLFLOW_TRACKING_URI, else sqlite:///mlruns/mlflow.db]",
    )(command)
