"""Fetches the model that a run recorded."""

from __future__ import annotations

import pathlib
import re
from typing import Any, NamedTuple

from keras16.errors import UserError
from keras16.store import reason, without_password
from keras16.tracking import _client

LATEST_FIRST = ["attributes.start_time DESC"]
RUN_ID = re.compile(r"[0-9a-f]{32}")


class Recorded(NamedTuple):
    """A run that recorded a model.

    Attributes:
        run_id: MLflow's.
        params: The run's, as text.
        folder: Holds the model as `served_model.load` reads it.
    """

    run_id: str
    params: dict[str, str]
    folder: pathlib.Path


def model_of(run: str, uri: str, target: pathlib.Path) -> Recorded:
    """The model of a run; of several runs of one name the latest that has a model.

    Args:
        run: The run's name, or MLflow's id of it.
        uri: Of the store, as `store_uri` gives it.
        target: An empty folder to copy the model into.

    Raises:
        UserError: The store fails, or holds no such run with a model.
    """
    from mlflow import MlflowClient

    try:
        with _client.manners(_client.IMPATIENT):
            _client.create_database(uri)
            client = MlflowClient(uri, registry_uri=uri)
            for found in _runs(client, run):
                models = _models(client, found)
                if models:
                    return _fetched(found, models[0], uri, target)
    except Exception as error:  # whatever the store has to complain of
        raise UserError(
            f"MLflow store {without_password(uri)} can't be read ({reason(error)})."
        ) from error
    raise UserError(
        f"{without_password(uri)} holds no run {run!r} with a model: give the name or "
        "id of a run of `keras16 train`, or a saved FILE.keras."
    )


def _runs(client: Any, run: str) -> list[Any]:
    """The runs of a name or an id, the latest first."""
    experiments = [one.experiment_id for one in client.search_experiments()]
    key = "run_id" if RUN_ID.fullmatch(run) else "run_name"
    quoted = run.replace("'", "")
    where = f"attributes.{key} = '{quoted}'"
    found: list[Any] = client.search_runs(experiments, where, order_by=LATEST_FIRST)
    return found


def _models(client: Any, run: Any) -> list[Any]:
    found: list[Any] = client.search_logged_models(
        [run.info.experiment_id], f"source_run_id = '{run.info.run_id}'"
    )
    return found


def _fetched(run: Any, model: Any, uri: str, target: pathlib.Path) -> Recorded:
    from mlflow.artifacts import download_artifacts

    # An address models:/ID would be looked up in MLflow's own default store.
    download_artifacts(
        artifact_uri=model.artifact_location, dst_path=str(target), tracking_uri=uri
    )
    # `served_model.save` chose the name; MLflow puts it under a folder of its own.
    saved = next(target.rglob("model.keras"))
    return Recorded(run.info.run_id, dict(run.data.params), saved.parent)
