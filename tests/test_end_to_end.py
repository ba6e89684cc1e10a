"""The README's first command, whole, as a stranger runs it in an empty folder."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
# What the record of every run must hold.
EACH_EPOCH = {"loss", "accuracy", "val_loss", "val_accuracy", "epoch_seconds"}
ONCE = {
    "test_accuracy",
    "test_loss",
    "median_epoch_seconds",
    "first_epoch_seconds",
    "weight_bytes",
    "optimizer_bytes",
    "file_bytes",
    "peak_memory_bytes",
    "parameters",
    "wide_tensors",
}


def run(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(folder, the object that --json prints) of the default run."""
    folder = tmp_path_factory.mktemp("stranger")
    done = run(folder, "-m", "keras16", "train", "--precision", "16", "--json")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return folder, json.loads(done.stdout)


def test_it_learns_in_pure_float16(trained):
    _, result = trained
    assert result["status"] == "finished"
    assert result["wide_tensors"] == 0
    assert result["test_accuracy"] >= 0.95
    assert len(result["history"]) == result["epochs"]


def test_the_saved_model_opens_after_a_bare_import(trained):
    folder, result = trained
    program = (
        "import sys, keras16, keras\n"
        "from keras16 import data, scores\n"
        "digits = data.load('mnist5k')\n"
        "model = keras.models.load_model(sys.argv[1])\n"
        "logits = model.predict(digits.x_test, verbose=0)\n"
        "assert str(logits.dtype) == 'float16', logits.dtype\n"
        "print(scores.accuracy(logits, digits.y_test))\n"
    )
    done = run(folder, "-c", program, result["model_file"])
    assert done.returncode == 0, done.stderr
    # Another compilation of the same net may round one example differently.
    assert float(done.stdout) == pytest.approx(result["test_accuracy"], abs=0.0021)


def test_the_record_is_whole(trained):
    folder, result = trained
    program = (
        "import json, sys\n"
        "from mlflow import MlflowClient\n"
        "client = MlflowClient('sqlite:///mlruns/mlflow.db')\n"
        "run = client.get_run(sys.argv[1])\n"
        "steps = {key: len(client.get_metric_history(sys.argv[1], key))\n"
        "         for key in run.data.metrics}\n"
        "print(json.dumps([steps, run.data.params, run.data.tags, run.info.status,\n"
        "    [each.dataset.name for each in run.inputs.dataset_inputs]]))\n"
    )
    done = run(folder, "-c", program, result["run_id"])
    assert done.returncode == 0, done.stderr
    steps, params, tags, status, datasets = json.loads(done.stdout)
    assert status == "FINISHED"
    assert {steps[name] for name in EACH_EPOCH} == {result["epochs"]}
    assert set(steps) >= ONCE
    assert params["precision"] == "16" and params["seed"] == "0"
    assert tags["mlflow.runName"] == "cnn-mnist5k-16-adam-s0"
    assert "0 of" in tags["mlflow.note.content"]
    assert datasets == ["mnist5k"]
