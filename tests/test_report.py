"""Tables, words, figures and files: what is made of a result."""

import csv
import dataclasses
import io
import json
import math
import types

import numpy as np
import pytest

from keras16.audit import AuditReport, WideTensor
from keras16.report import artifacts, curves, history, predictions, table, units
from keras16.report.verdict import verdict
from keras16.study import Run
from keras16.training import Epoch, Result

WIDE = WideTensor("Cast", "float32", (), "dense")


def epoch(number, **fields):
    values = {
        "loss": 2.0 / number,
        "accuracy": 1 - 0.5 / number,
        "val_loss": 2.5 / number,
        "val_accuracy": 1 - 0.6 / number,
        "epoch_seconds": 3.125,
        "learning_rate": 1e-3,
    }
    return Epoch(epoch=number, **(values | fields))


FINISHED = Result(
    run=Run(learning_rate=1e-3),
    status="finished",
    cause="",
    model=None,
    dataset=types.SimpleNamespace(y_test=np.array([1, 0])),
    epochs=(epoch(1), epoch(2), epoch(3)),
    test_logits=np.array([[0.0, 1.0], [1.0, 1.5]], np.float16),
    test_loss=0.0712,
    test_accuracy=0.97834,
    audit=AuditReport("16", 412, ()),
    compile_seconds=2.0,
    median_epoch_seconds=3.125,
    first_epoch_seconds=4.5,
    weight_bytes=312_000,
    optimizer_bytes=624_012,
    peak_memory_bytes=1_520_000_000,
    parameters=156_000,
)


def but(**fields):
    return dataclasses.replace(FINISHED, **fields)


# Words


def test_verdict_of_a_pure_run():
    assert verdict(FINISHED) == (
        "Pure float16: 0 of 412 tensors in the training step are wider than 16 bits. "
        "Test accuracy 97.83 % after 3 epochs (3.12 s each). "
        "Weights 312 kB, half of float32's."
    )


def test_verdict_of_float32_claims_nothing():
    audit = AuditReport("32", 412, (WIDE,) * 400)
    said = verdict(but(run=Run(precision="32"), audit=audit, weight_bytes=624_000))
    assert said.startswith("Not pure 16-bit (float32): 400 of 412 tensors")
    assert "half" not in said


def test_one_wide_tensor_is_enough_to_lose_the_claim():
    said = verdict(but(audit=AuditReport("16", 412, (WIDE,))))
    assert said.startswith("Not pure 16-bit (float16): 1 of 412 tensors")


def test_what_was_not_audited_is_not_called_pure():
    said = verdict(but(audit=None))
    assert said.startswith("Float16, not audited.")


def test_verdict_of_runs_that_ended_badly_gives_no_accuracy():
    bad = {"test_accuracy": None, "test_loss": None, "test_logits": None}
    failed = verdict(but(status="failed", cause="loss is NaN at step 7", **bad))
    assert "The run FAILED after 3 epochs" in failed
    assert "loss is NaN at step 7." in failed
    nothing = {"epochs": (), "median_epoch_seconds": None, "first_epoch_seconds": None}
    killed = verdict(but(status="killed", cause="Ctrl-C.", **bad, **nothing))
    assert "The run was stopped after no whole epoch: Ctrl-C. " in killed
    assert "accuracy" not in failed + killed


def test_verdict_of_a_single_epoch():
    said = verdict(but(epochs=(epoch(1),), median_epoch_seconds=None))
    assert "after 1 epoch (4.5 s)." in said


# The table


def test_summary():
    rows = table.summary(FINISHED)
    labels = [label for label, _ in rows]
    assert len(set(labels)) == len(labels)
    assert dict(rows) == {
        "run": "cnn-mnist5k-16-adam-s0",
        "status": "finished",
        "precision": "16",
        "purity": "pure: 0 of 412 tensors wider than 16 bits",
        "test accuracy": "97.83 %",
        "test loss": "0.0712",
        "validation accuracy": "80.00 %",
        "epochs": "3 of 8",
        "epoch time": "3.12 s",
        "first epoch": "4.5 s",
        "compile time": "2 s",
        "parameters": "156,000",
        "weights": "312 kB",
        "optimizer state": "624 kB",
        "peak memory": "1.52 GB",
    }


def test_summary_leaves_out_what_there_is_not():
    rows = dict(
        table.summary(
            but(
                status="failed",
                cause="loss is NaN",
                epochs=(),
                audit=None,
                test_accuracy=None,
                test_loss=None,
                median_epoch_seconds=None,
                first_epoch_seconds=None,
            )
        )
    )
    assert rows["status"] == "failed: loss is NaN"
    assert rows["purity"] == "not audited"
    assert rows["epochs"] == "0 of 8"
    assert not {"test accuracy", "test loss", "epoch time", "first epoch"} & set(rows)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (312_345, "312 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (1_520_000, "1.52 MB"),
        (999_999_999, "1 GB"),
        (12_345_678_901, "12.3 GB"),
        (1_234_567_890_123, "1230 GB"),
    ],
)
def test_bytes(count, text):
    assert units.size_text(count) == text


def test_what_is_no_number_is_a_dash():
    assert units.percent(math.nan) == units.percent(None) == "-"
    assert units.seconds(None) == units.number(None) == "-"
    assert units.percent(1.0) == "100.00 %"


def test_seconds():
    texts = [units.seconds(duration) for duration in (0.01234, 75.25, 999.6, 12345.6)]
    assert texts == ["0.0123 s", "75.2 s", "1,000 s", "12,346 s"]


# History and predictions


def test_history_gives_every_digit_back():
    third = epoch(3, loss=1 / 3, val_loss=None, val_accuracy=None)
    rows = list(csv.DictReader(io.StringIO(history.to_csv([epoch(1), third]))))
    assert [row["epoch"] for row in rows] == ["1", "3"]
    assert float(rows[1]["loss"]) == 1 / 3
    assert rows[1]["val_loss"] == rows[1]["val_accuracy"] == ""
    assert list(rows[0]) == [field.name for field in dataclasses.fields(Epoch)]


def test_history_of_nothing_is_its_header():
    assert history.to_csv([]).count("\n") == 1


def test_predictions_against_a_softmax_in_float64():
    logits = np.random.default_rng(0).normal(0, 3, (50, 10)).astype(np.float16)
    labels = np.arange(50) % 10
    rows = list(csv.DictReader(io.StringIO(predictions.to_csv(logits, labels))))
    exact = np.exp(logits.astype(np.float64))
    exact /= exact.sum(axis=1, keepdims=True)
    ordered = np.sort(logits.astype(np.float64), axis=1)
    assert [int(row["index"]) for row in rows] == list(range(50))
    assert [int(row["label"]) for row in rows] == labels.tolist()
    assert [int(row["predicted"]) for row in rows] == exact.argmax(1).tolist()
    given = np.array([float(row["probability"]) for row in rows])
    np.testing.assert_allclose(given, exact.max(axis=1), rtol=1e-5)
    margins = np.array([float(row["margin"]) for row in rows])
    np.testing.assert_allclose(margins, ordered[:, -1] - ordered[:, -2], rtol=1e-5)


def test_predictions_of_large_logits_do_not_overflow():
    text = predictions.to_csv(np.array([[65504.0, -65504.0]], np.float16), [0])
    assert text.splitlines()[1] == "0,0,0,1,131008"


# The figure


def lines(axes):
    return {line.get_label(): line.get_xydata().tolist() for line in axes.lines}


def test_curves_draw_what_was_measured():
    figure = curves.curves(FINISHED.epochs, "a run")
    loss, accuracy = figure.axes
    assert lines(loss)["training"] == [[1, 2.0], [2, 1.0], [3, 2.0 / 3]]
    assert lines(accuracy)["validation"][0] == pytest.approx([1, 40.0])
    assert loss.get_ylabel() == "Loss [nats]"
    assert figure.get_suptitle() == "a run"
    styles = [(line.get_color(), line.get_linestyle()) for line in loss.lines]
    assert len({color for color, _ in styles}) == len({dash for _, dash in styles}) == 2


@pytest.mark.parametrize(
    "epochs",
    [
        (),
        (epoch(1),),
        (epoch(1, val_loss=None, val_accuracy=None),),
        (epoch(1, loss=math.nan, val_loss=math.inf), epoch(2)),
    ],
    ids=["none", "one", "without validation", "diverged"],
)
def test_curves_of_odd_histories_can_be_drawn(epochs, tmp_path):
    curves.curves(epochs, "odd").savefig(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_curves_leave_pyplot_alone():
    import sys

    curves.curves(FINISHED.epochs, "a run")
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


# The files


def test_files_of_a_finished_run(tmp_path):
    artifacts.write(FINISHED, "a run", tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"history.csv", "curves.png", "audit.json", "test_predictions.csv"}
    assert json.loads((tmp_path / "audit.json").read_text())["wide_tensors"] == 0
    assert (tmp_path / "test_predictions.csv").read_text().splitlines()[1:] == [
        "0,1,1,0.731059,1",
        "1,0,1,0.622459,0.5",
    ]


def test_files_of_a_run_that_failed_at_once(tmp_path):
    artifacts.write(but(epochs=(), test_logits=None, audit=None), "a run", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]
