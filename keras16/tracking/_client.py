"""How keras16 talks to MLflow: in haste, and off the screen."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import pathlib
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from keras16 import store
from keras16.report import record

LARGEST_BATCH = 1000  # metrics that a store of MLflow's takes at once

# Set unless the user has, while MLflow is at work; telemetry would ask the network.
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
# As long as a server has not answered: MLflow's own 8 tries of 120 seconds would
# hold the training up for a quarter of an hour.
IMPATIENT = {
    **ENVIRONMENT,
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
}


def find_experiment(client: Any, uri: str, name: str) -> str:
    """The id of an experiment; it is created where there is none of that name.

    Args:
        client: `MlflowClient`.
        uri: Of the store; decides where artifacts go.
        name: Of the experiment.

    Raises:
        OSError: It was deleted, and MLflow still has its name.
    """
    found = client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage == "deleted":
        raise OSError(
            errno.ENOENT,
            f"experiment {name} was deleted there: restore it by `mlflow experiments "
            f"restore --experiment-id {found.experiment_id}`",
        )
    if found is not None:
        return found.experiment_id
    folder = store.artifact_folder(uri)
    location = folder.as_uri() if folder else None
    return client.create_experiment(name, location)


def log_params(client: Any, run_id: str, fields: Mapping[str, Any]) -> None:
    """Records parameters; MLflow takes each only once."""
    from mlflow.entities import Param

    params = [Param(name, str(value)) for name, value in fields.items()]
    client.log_batch(run_id, params=params)


def log_metrics(
    client: Any,
    run_id: str,
    values: Mapping[str, Any],
    step: int = 0,
    *,
    milliseconds: int | None = None,
    model_id: str | None = None,
) -> None:
    """Records numbers at one step; those that are None are left out.

    Args:
        client: `MlflowClient`.
        run_id: Of the run.
        values: By name.
        step: Of the run.
        milliseconds: When, since 1970; None for now.
        model_id: Of the logged model that they are about, if any.
    """
    from mlflow.entities import Metric

    now = int(time.time() * 1000) if milliseconds is None else milliseconds
    metrics = [
        Metric(name, record.finite(value), now, step, model_id=model_id)
        for name, value in values.items()
        if value is not None
    ]
    for start in range(0, len(metrics), LARGEST_BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + LARGEST_BATCH])


def log_tags(client: Any, run_id: str, tags: Mapping[str, str]) -> None:
    """Records tags as every store takes them."""
    from mlflow.entities import RunTag

    kept = [RunTag(name, value) for name, value in record.clean(tags).items()]
    client.log_batch(run_id, tags=kept)


def trouble(uri: str, error: BaseException, lost: str) -> str:
    """One line on a store that fails.

    Args:
        uri: Of the store.
        error: What it raised.
        lost: Such as "not all of this run is recorded".
    """
    shown = store.without_password(uri)
    return f"MLflow store {shown} fails ({store.reason(error)}): {lost}."


def create_database(uri: str) -> None:
    """Makes a new SQLite store whole before it takes its name.

    MLflow can't open a file whose tables were half made when the disk ran full or
    the process was stopped: every later run would be lost.

    Args:
        uri: Of the store; nothing is done where it is no new SQLite file.
    """
    from mlflow import MlflowClient

    file = store.database_file(uri)
    if file is None or file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=file.parent) as folder:
        whole = pathlib.Path(folder) / file.name
        MlflowClient(store.sqlite_uri(whole)).search_experiments(max_results=1)
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.link(whole, file)


@contextlib.contextmanager
def manners(environment: Mapping[str, str]) -> Iterator[None]:
    """Keeps MLflow in haste and off the screen; everything is as before afterwards.

    Args:
        environment: What is set unless the user has.
    """
    added = {name: text for name, text in environment.items() if name not in os.environ}
    os.environ.update(added)
    try:
        with warnings.catch_warnings():  # its warnings are for programs that call it
            warnings.simplefilter("ignore")
            with _silenced_logs():
                yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextlib.contextmanager
def _silenced_logs() -> Iterator[None]:
    """Drops MLflow's log lines: migrations, and the tracebacks of what we tell."""
    import mlflow  # noqa: F401, sets its logger up when it is imported

    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
