"""What is recorded of a run, as plain values: metrics and tags by name."""

from __future__ import annotations

import getpass
import math
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from keras16 import hardware
from keras16.report.verdict import verdict
from keras16.results import MEASURED
from keras16.study import Run

if TYPE_CHECKING:
    from keras16.training import Epoch, Result

TAG_LENGTH = 5000  # characters that every store of MLflow's takes
EPOCH_METRICS = (
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "epoch_seconds",
    "learning_rate",
    "metric",
    "val_metric",
)


def epoch_metrics(record: Epoch) -> dict[str, float | None]:
    """What is recorded of every epoch; None where there is no value."""
    return {name: getattr(record, name) for name in EPOCH_METRICS}


class Subject(Protocol):
    """What a run in MLflow is about where it is no training: its fields and name."""

    @property
    def name(self) -> str:
        """Of the run."""

    @property
    def model(self) -> str:
        """Of the nets."""

    @property
    def dataset(self) -> str:
        """Of the inputs."""

    @property
    def precision(self) -> str:
        """Of the nets."""

    @property
    def optimizer(self) -> str:
        """Of the training; "" without one."""

    def fields(self) -> dict[str, Any]:
        """As plain values."""


def run_tags(run: Run | Subject) -> dict[str, str]:
    """What a run is found by, who made it and on what machine."""
    found = hardware.fingerprint()
    commit = found["git_commit"].removesuffix("-dirty")
    names = ("precision", "model", "dataset", "optimizer")
    return clean(
        {
            **found,
            **{name: getattr(run, name) for name in names},
            "mlflow.source.name": "keras16",
            "mlflow.source.type": "LOCAL",
            "mlflow.source.git.commit": commit,
            "mlflow.user": _user(),
        }
    )


def result_tags(result: Result) -> dict[str, str]:
    """The verdict as the run's description, and the cause of a bad end."""
    note = "\n\n".join((verdict(result), *result.findings))
    return {"mlflow.note.content": note, "cause": result.cause}


def run_metrics(result: Result, model_path: pathlib.Path | None) -> dict[str, Any]:
    """What is recorded once; None where there is no value."""
    return {
        **{name: getattr(result, name) for name in MEASURED},
        "file_bytes": model_path.stat().st_size if model_path else None,
        "wide_tensors": result.audit.wide_tensors if result.audit else None,
    }


def finite(value: float) -> float:
    """The value; NaN for infinity, which MLflow would turn into 1.8e308."""
    number = float(value)
    return number if math.isfinite(number) else math.nan


def clean(tags: Mapping[str, Any]) -> dict[str, str]:
    """Tags as every store takes them: no empty ones, none too long."""
    return {name: str(value)[:TAG_LENGTH] for name, value in tags.items() if value}


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container without a name for its user
        return ""
