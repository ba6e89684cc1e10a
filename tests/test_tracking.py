"""What MLflow holds of a run, read back through MLflow's own client."""

import contextlib
import dataclasses
import json
import math
import os
import pathlib
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from keras16 import measure, store, tracking
from keras16.audit import AuditReport
from keras16.data import Dataset
from keras16.errors import UserError
from keras16.report.verdict import verdict
from keras16.study import Run
from keras16.training import Epoch, Result

ROOT = pathlib.Path(__file__).parents[1]
EPOCHS = tuple(
    Epoch(number, 2.0 / number, 0.5, 2.5 / number, 0.4, 1.5, 1e-3)
    for number in (1, 2, 3)
)
pytestmark = [
    # MLflow's: at the first use of its tables, and when its pyfunc is imported.
    pytest.mark.filterwarnings("ignore:.*noload.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint.*:UserWarning"),
    # Keras', with NumPy 2.4, when it saves a model.
    pytest.mark.filterwarnings("ignore:__array__ implement.*:DeprecationWarning"),
]
CLOSED = "http://127.0.0.1:9"  # nothing listens on the discard port


@pytest.fixture(scope="module")
def data():
    draw = np.random.default_rng(0)
    x = draw.integers(0, 256, (40, 6), np.uint8)
    y = draw.integers(0, 3, 40, np.int32)
    return Dataset("toy", "toy.npz", x[:30], y[:30], x[30:], y[30:], 3)


@pytest.fixture(scope="module")
def model():
    import keras

    layers = [
        keras.Input((6,), dtype="uint8"),
        keras.layers.Rescaling(1 / 256, dtype="float16"),
        keras.layers.Dense(8, activation="relu", dtype="float16"),
        keras.layers.Dense(3, dtype="float16"),
    ]
    return keras.Sequential(layers)


@pytest.fixture(scope="module")
def result(model, data):
    return Result(
        run=Run(model="dnn", learning_rate=1e-3, epochs=3),
        status="finished",
        cause="",
        model=model,
        dataset=data,
        epochs=EPOCHS,
        test_logits=model(data.x_test).numpy(),
        test_loss=0.5,
        test_accuracy=0.9,
        audit=AuditReport("16", 412, ()),
        compile_seconds=1.0,
        median_epoch_seconds=1.5,
        first_epoch_seconds=1.75,
        weight_bytes=measure.weight_bytes(model),
        optimizer_bytes=120,
        peak_memory_bytes=10**9,
        parameters=measure.parameters(model),
    )


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "toy.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working directory; the tests of this file share its store, made in 2 s."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def recorded(folder, result, saved):
    """The whole life of a run in the default store: its id."""
    asked = dataclasses.replace(result.run, learning_rate=None)
    with contextlib.chdir(folder), tracking.track(asked) as tracked:
        tracked.started(result.model)
        for epoch in EPOCHS:
            tracked.epoch(epoch)
        tracked.finished(result, saved)
    assert tracked.problem == ""
    return tracked.run_id


@pytest.fixture
def client(here):
    from mlflow import MlflowClient

    return MlflowClient(store.store_uri())


@pytest.fixture
def run(client, recorded):
    return client.get_run(recorded)


# What is recorded


def test_parameters_are_the_fields_with_defaults_filled_in(run, result):
    fields = {name: str(value) for name, value in result.run.fields().items()}
    assert run.data.params == fields
    assert run.data.params["learning_rate"] == "0.001"
    assert run.data.params["epsilon"] == "None"
    assert run.info.run_name == "dnn-mnist5k-16-adam-s0"
    assert run.info.status == "FINISHED"


def test_metrics_of_every_epoch(client, recorded):
    for name in (
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "epoch_seconds",
        "learning_rate",
    ):
        points = client.get_metric_history(recorded, name)
        expected = [(epoch.epoch, getattr(epoch, name)) for epoch in EPOCHS]
        assert [(point.step, point.value) for point in points] == expected


def test_metrics_of_the_run(run, result, saved):
    once = {
        "test_accuracy": 0.9,
        "test_loss": 0.5,
        "median_epoch_seconds": 1.5,
        "first_epoch_seconds": 1.75,
        "compile_seconds": 1.0,
        "weight_bytes": 2 * (6 * 8 + 8 + 8 * 3 + 3),
        "optimizer_bytes": 120,
        "file_bytes": saved.stat().st_size,
        "peak_memory_bytes": 10**9,
        "parameters": 6 * 8 + 8 + 8 * 3 + 3,
        "wide_tensors": 0,
    }
    assert once.items() <= run.data.metrics.items()


def test_tags_tell_machine_software_and_verdict(run, result):
    tags = run.data.tags
    assert tags["precision"] == "16"
    assert tags["model"] == "dnn"
    assert tags["numpy"] == np.__version__
    assert int(tags["cores"]) >= 1
    assert tags["mlflow.note.content"] == verdict(result)
    assert all(tags.values())


def test_data_set_is_the_input(run, data):
    (given,) = run.inputs.dataset_inputs
    assert given.dataset.name == "toy"
    assert given.dataset.digest == data.digest
    assert json.loads(given.dataset.source) == {"uri": "toy.npz"}
    assert json.loads(given.dataset.profile) == {"num_rows": 30, "num_test_rows": 10}


def test_files_lie_under_mlruns(client, recorded, here):
    names = {file.path for file in client.list_artifacts(recorded)}
    assert names == {"history.csv", "curves.png", "audit.json", "test_predictions.csv"}
    stored = here / "mlruns" / "artifacts" / recorded / "artifacts"
    text = (stored / "test_predictions.csv").read_text()
    assert text.count("\n") == 1 + 10
    assert {path.name for path in here.iterdir()} == {"mlruns"}
    assert {path.name for path in (here / "mlruns").iterdir()} == {
        "mlflow.db",
        "artifacts",
    }


def test_model_belongs_to_the_run_and_carries_its_metrics(client, run):
    (output,) = run.outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    assert logged.status == "READY"
    assert logged.source_run_id == run.info.run_id
    assert logged.params["precision"] == "16"
    metrics = {metric.key: metric.value for metric in logged.metrics}
    assert metrics["test_accuracy"] == 0.9


# The model


def predict_elsewhere(folder, uri, rows, tmp_path):
    """Logits from a process of another folder that imports nothing but mlflow."""
    np.save(tmp_path / "x.npy", rows)
    program = (
        "import sys, mlflow, numpy\n"
        "assert 'keras' not in sys.modules and 'keras16' not in sys.modules\n"
        f"mlflow.set_tracking_uri({store_of(folder)!r})\n"
        f"model = mlflow.pyfunc.load_model({uri!r})\n"
        "numpy.save('logits.npy', model.predict(numpy.load('x.npy')))"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return np.load(tmp_path / "logits.npy")


def store_of(folder):
    return f"sqlite:///{folder}/mlruns/mlflow.db"


def test_model_loads_where_only_mlflow_is_imported(folder, recorded, result, tmp_path):
    rows = result.dataset.x_test
    logits = predict_elsewhere(folder, f"runs:/{recorded}/model", rows, tmp_path)
    assert logits.dtype == np.float32
    np.testing.assert_array_equal(logits, result.test_logits.astype(np.float32))


def test_signature_is_that_of_the_raw_data(client, run):
    from mlflow.models import Model

    (output,) = run.outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    folder = pathlib.Path(logged.artifact_location.removeprefix("file://"))
    described = Model.load(folder)
    (taken,) = described.signature.inputs.inputs
    (given,) = described.signature.outputs.inputs
    assert (taken.type, taken.shape) == (np.dtype("uint8"), (-1, 6))
    assert (given.type, given.shape) == (np.dtype("float32"), (-1, 3))
    assert set(described.flavors) == {"keras", "python_function"}
    needed = (folder / "requirements.txt").read_text()
    assert f"numpy=={np.__version__}" in needed


USERS_MODEL = """
import keras

class Doubled(keras.layers.Layer):
    def call(self, x):
        return keras.ops.cast(x, self.compute_dtype) * 2

def build():
    inputs = keras.Input((6,), dtype="uint8")
    return keras.Model(inputs, Doubled(dtype="float16")(inputs))
"""


def test_users_own_classes_go_with_the_model(tmp_path, data):
    from keras16 import served_model, user_code

    file = tmp_path / "mine.py"
    file.write_text(USERS_MODEL)
    own = user_code.load_function(f"{file}:build")()
    own.save(tmp_path / "own.keras")
    run = Run(model=f"{file}:build")
    folder = served_model.write(tmp_path / "served", tmp_path / "own.keras", run)
    logits = served_model._load_pyfunc(str(folder)).predict(data.x_test)
    np.testing.assert_array_equal(logits, 2.0 * data.x_test)
    (folder / served_model.PARTS_FILE).unlink()
    with pytest.raises(TypeError, match="Doubled"):
        served_model.load(folder)


def test_served_model_takes_any_number_of_examples(model, data):
    from keras16.served_model import BATCH_SIZE, ServedModel

    rows = np.resize(data.x_train, (BATCH_SIZE + 3, 6))
    logits = ServedModel(model).predict(rows)
    np.testing.assert_array_equal(logits[-3:], ServedModel(model).predict(rows[-3:]))
    assert logits.shape == (BATCH_SIZE + 3, 3)
    assert ServedModel(model).predict(rows[:0]).shape == (0, 3)


# How runs end


@pytest.mark.parametrize(
    ("status", "ended"), [("failed", "FAILED"), ("killed", "KILLED")]
)
def test_runs_that_ended_badly_say_so(client, result, recorded, status, ended):
    bad = dataclasses.replace(
        result,
        status=status,
        cause="loss is NaN at step 7",
        test_logits=None,
        test_loss=None,
        test_accuracy=None,
    )
    with tracking.track(result.run, run_name=f"a {status} run") as tracked:
        tracked.finished(bad, None)
    run = client.get_run(tracked.run_id)
    assert run.info.status == ended
    assert run.info.run_name == f"a {status} run"
    assert run.data.tags["cause"] == "loss is NaN at step 7"
    assert not {"test_loss", "test_accuracy", "file_bytes"} & set(run.data.metrics)
    assert not run.outputs.model_outputs


@pytest.mark.parametrize(
    ("error", "ended"),
    [(RuntimeError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")],
)
def test_exceptions_end_the_run_and_go_on(client, recorded, error, ended):
    with pytest.raises(error), tracking.track(Run()) as tracked:
        raise error
    run = client.get_run(tracked.run_id)
    assert run.info.status == ended
    assert run.info.end_time is not None


def test_what_is_no_number_is_recorded_as_nan(client, recorded):
    with tracking.track(Run()) as tracked:
        tracked.epoch(dataclasses.replace(EPOCHS[0], loss=math.inf, accuracy=math.nan))
        tracked.epoch(dataclasses.replace(EPOCHS[1], val_loss=None))
    assert tracked.problem == ""
    losses = client.get_metric_history(tracked.run_id, "loss")
    assert math.isnan(losses[0].value)
    assert losses[1].value == EPOCHS[1].loss
    assert len(client.get_metric_history(tracked.run_id, "val_loss")) == 1


# Stores that fail


def test_closed_server_is_told_in_one_line_at_once(result, saved):
    began = time.perf_counter()
    with tracking.track(result.run, CLOSED) as tracked:
        assert tracked.problem
        tracked.started(result.model, result.dataset)
        tracked.epoch(EPOCHS[0])
        tracked.finished(result, saved)
    assert time.perf_counter() - began < 5
    assert tracked.problem == (
        f"MLflow store {CLOSED} fails (Connection refused): nothing of this run is "
        "recorded."
    )
    assert tracked.where == f"Nothing was recorded in {CLOSED}."


def test_silent_server_is_not_waited_for(monkeypatch):
    monkeypatch.setitem(tracking.IMPATIENT, "MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"http://me:secret@127.0.0.1:{server.getsockname()[1]}"
        began = time.perf_counter()
        with tracking.track(Run(), uri) as tracked:
            pass
    assert time.perf_counter() - began < 4
    assert "no answer in time" in tracked.problem
    assert "secret" not in tracked.problem + tracked.where


def test_folder_that_takes_nothing(tmp_path, monkeypatch, result, saved):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlruns").write_text("a file where the folder should be")
    with tracking.track(result.run) as tracked:
        tracked.finished(result, saved)
    assert f"(File exists: {tmp_path}/mlruns): nothing of this" in tracked.problem
    assert tracked.run_id == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o500)
    with tracking.track(Run()) as tracked:
        pass
    tmp_path.chmod(0o700)
    assert (
        f"(Permission denied: {tmp_path}/mlruns): nothing of this run"
        in tracked.problem
    )


def test_damaged_store(tmp_path):
    file = tmp_path / "mlflow.db"
    file.write_bytes(b"no database" * 1000)
    with tracking.track(Run(), f"sqlite:///{file}") as tracked:
        pass
    assert "(file is not a database)" in tracked.problem
    assert "\n" not in tracked.problem
    assert file.read_bytes() == b"no database" * 1000


def test_store_half_made_is_taken_away(tmp_path, monkeypatch):
    from mlflow import MlflowClient

    def stopped(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(MlflowClient, "search_experiments", stopped)
    with pytest.raises(KeyboardInterrupt):
        tracking.create_database(f"sqlite:///{tmp_path}/mlflow.db")
    assert list(tmp_path.iterdir()) == []


def test_full_disk_keeps_what_was_recorded_before(
    client, recorded, result, saved, monkeypatch
):
    from mlflow import MlflowClient

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MlflowClient, "log_artifacts", full)
    with tracking.track(result.run) as tracked:
        tracked.epoch(EPOCHS[0])
        tracked.finished(result, saved)
    assert "(No space left on device): not all of this run" in tracked.problem
    run = client.get_run(tracked.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test_accuracy"] == 0.9


def test_what_failed_meanwhile_is_recorded_at_the_end(
    client, recorded, result, monkeypatch
):
    from mlflow import MlflowClient

    works = MlflowClient.log_batch

    def fails(*args, **kwargs):
        raise ConnectionResetError(104, "Connection reset by peer")

    with tracking.track(result.run) as tracked:
        monkeypatch.setattr(MlflowClient, "log_batch", fails)
        tracked.epoch(EPOCHS[0])
        assert "Connection reset by peer" in tracked.problem
        tracked.epoch(EPOCHS[1])
        monkeypatch.setattr(MlflowClient, "log_batch", works)
        tracked.finished(result, None)
    assert tracked.problem == ""
    losses = client.get_metric_history(tracked.run_id, "loss")
    assert [point.step for point in losses] == [1, 2]


def test_a_model_file_that_is_gone_is_a_problem_and_no_error(
    recorded, here, result, tmp_path
):
    with tracking.track(result.run) as tracked:
        tracked.finished(result, tmp_path / "gone.keras")
    assert "No such file" in tracked.problem


def test_nothing_is_printed(recorded, here, result, saved, capfd):
    with tracking.track(result.run) as tracked:
        tracked.finished(result, saved)
    assert capfd.readouterr() == ("", "")


def test_environment_is_as_before(recorded, here, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    before = dict(os.environ)
    with tracking.track(Run()):
        assert dict(os.environ) == before
    assert dict(os.environ) == before


# Where it is


def test_store_is_the_option_then_the_environment_then_mlruns(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert store.store_uri() == f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    assert store.store_uri() == "http://host:5000"
    assert store.store_uri("sqlite:///x.db") == f"sqlite:///{tmp_path}/x.db"
    assert store.store_uri("postgresql+psycopg2://host/db").startswith("postgresql+")


@pytest.mark.parametrize("uri", ["mlruns", "file:///tmp/mlruns", "ftp://host", "x.db"])
def test_what_is_no_store_is_refused(uri, monkeypatch):
    monkeypatch.delenv(store.FILE_STORE_SWITCH, raising=False)
    with pytest.raises(UserError, match=r"sqlite:///FILE\.db or http"):
        store.store_uri(uri)


def test_where_leads_to_the_run(here):
    uri = store.store_uri()
    line = store.where(uri, "r1", "7")
    assert "`keras16 ui`" in line
    assert line.endswith("http://127.0.0.1:5000/#/experiments/7/runs/r1")
    other = store.where("sqlite:////elsewhere/x.db", "r1")
    assert "`keras16 ui --tracking-uri sqlite:////elsewhere/x.db`" in other
    served = store.where("http://me:secret@host:5000/", "r1", "7")
    assert served.endswith(" http://host:5000/#/experiments/7/runs/r1")


def test_ui_command(recorded, here):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UserError, match=rf"{port}.*use.*--port"):
            store.ui_command(store.store_uri(), port=port)
    command = store.ui_command(store.store_uri(), port=port)
    assert command[:4] == [sys.executable, "-m", "mlflow", "server"]
    options = dict(zip(command[4::2], command[5::2], strict=True))
    assert options["--backend-store-uri"] == store.store_uri()
    assert options["--default-artifact-root"] == (here / "mlruns/artifacts").as_uri()
    assert (options["--host"], options["--port"]) == ("127.0.0.1", str(port))


def test_ui_before_the_first_run_says_to_train(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="train first"):
        store.ui_command(store.store_uri())
    with pytest.raises(UserError, match="own UI"):
        store.ui_command("http://host:5000")


def test_ui_options_are_mlflows_own():
    import click
    from mlflow.cli import cli

    known = {
        option
        for parameter in cli.get_command(click.Context(cli), "server").params
        for option in parameter.opts
    }
    file = pathlib.Path(__file__)
    command = store.ui_command(f"sqlite:///{file}", port=free_port())
    assert set(command[4::2]) <= known


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
