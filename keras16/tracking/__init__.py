"""Records runs and studies in MLflow; the only importer of mlflow."""

from keras16.report.verdict import verdict
from keras16.store import store_uri, ui_command, where
from keras16.tracking._client import IMPATIENT, create_database
from keras16.tracking._models import Recorded, model_of
from keras16.tracking._run import Tracked, record_trial, track
from keras16.tracking._study import TrackedStudy, records, study

__all__ = [
    "IMPATIENT",
    "Recorded",
    "Tracked",
    "TrackedStudy",
    "create_database",
    "model_of",
    "record_trial",
    "records",
    "store_uri",
    "study",
    "track",
    "ui_command",
    "verdict",
    "where",
]
