"""Records of runs go to CSV and JSON and come back as they were."""

import csv
import dataclasses
import json
import pathlib

import numpy as np
import pytest

from keras16 import results
from keras16.errors import UserError
from keras16.study import Run

EPOCH = results.Epoch(
    epoch=1,
    loss=0.1,
    accuracy=0.9,
    val_loss=None,
    val_accuracy=1 / 3,
    val_metric=2 / 3,
    epoch_seconds=2.5,
    learning_rate=1e-3,
)
RECORD = results.Record(
    study="smoke",
    row="dnn, Adam",
    arm="16",
    pair=3,
    run=Run(
        model="dnn",
        seed=3,
        epsilon=1e-7,
        nesterov=True,
        epochs=3,
        batch_norm="stock",
        loss="mse",
    ),
    status="finished",
    test_accuracy=0.1 + 0.2,
    correct=results.packed(np.arange(100) % 3 == 0),
    weight_bytes=12,
    workers=2,
    foreign_cores=0.25,
    fingerprint={"cpu": "one, of a kind", "gpu": ""},
    epochs=(EPOCH, dataclasses.replace(EPOCH, epoch=2)),
)
FAILED = results.Record(
    study="smoke", row="cnn", arm="32", pair=0, run=Run(), status="failed", cause="NaN"
)


def test_csv_gives_back_what_was_written(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "new" / "smoke.csv"
    results.write_csv([RECORD, FAILED], path)
    first, second = results.read_csv(path)
    assert first == RECORD
    assert dataclasses.replace(second, fingerprint={}) == FAILED


def test_times_are_trusted_of_a_run_that_had_the_machine_to_itself() -> None:
    alone = dataclasses.replace(RECORD, workers=1, foreign_cores=0.04)
    assert alone.timed_alone
    assert dataclasses.replace(alone, foreign_cores=None).timed_alone  # of before
    assert not dataclasses.replace(alone, foreign_cores=0.5).timed_alone
    assert not dataclasses.replace(alone, workers=2).timed_alone


def test_json_gives_back_what_was_written() -> None:
    text = json.dumps(results.to_dict(RECORD))
    assert results.from_dict(json.loads(text)) == RECORD


@pytest.mark.parametrize("count", [0, 1, 7, 8, 10_001])
def test_packed_examples_come_back(count: int) -> None:
    correct = np.random.default_rng(0).random(count) < 0.9
    found = results.unpacked(results.packed(correct))
    assert found.dtype == bool
    np.testing.assert_array_equal(found, correct)


def test_a_file_of_another_kind_is_refused_in_one_line(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "other.csv"
    with pytest.raises(UserError, match=r"other\.csv can't be read: No such file"):
        results.read_csv(path)
    for name in ("other.csv", "other-epochs.csv"):
        (tmp_path / name).write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="is no file of a study's runs"):
        results.read_csv(path)


@pytest.mark.parametrize(
    ("file", "before", "after", "words"),
    [
        ("smoke", "run.epochs", "run.weeks", "it has no column 'run.epochs'"),
        ("smoke", "test_accuracy", "accuracy", "it has no column 'test_accuracy'"),
        ("smoke", ",pair,", ",couple,", "it has no column 'pair'"),
        ("smoke-epochs", "val_loss", "loss_val", "it has no column 'val_loss'"),
        ("smoke", "study", "\0", "is no file of a study's runs"),
        ("smoke", "100:", "100:ab", r"smoke\.csv, line 2: correct is '100:ab"),
        ("smoke", "100:", "1e2:", "line 2: correct is '1e2:"),
        ("smoke", ",12,", ",twelve,", "weight_bytes is 'twelve': .* a whole number"),
        ("smoke", ",12,", ",nan,", "weight_bytes is 'nan': it must be a whole number"),
        ("smoke", ",12,", ",1,2,", "line 2: it has more cells than the header"),
        ("smoke", ",failed,NaN,", ",failed", "line 3: it has fewer cells than the"),
        (
            "smoke",
            ",finished,",
            ",weird,",
            "2: status is 'weird': it must be finished or",
        ),
        ("smoke", "failed", "", "line 3: status is '': it must be finished or"),
        ("smoke", "0.30000000000000004", "97", "test_accuracy is '97': .* a share in"),
        (
            "smoke",
            "0.30000000000000004",
            "nan",
            "2: test_accuracy is 'nan': it must be",
        ),
        ("smoke", "0.30000000000000004", "-0.1", "test_accuracy is '-0.1': it must be"),
        ("smoke", ",16,3,", ",16,,", "line 2: pair is '': it must be a whole number"),
        ("smoke", ",True,", ",yes,", "run.nesterov is 'yes': it must be True or False"),
        ("smoke", ",1e-07,", ",inf,", "run.epsilon is 'inf': it must be a finite"),
        (
            "smoke-epochs",
            ",0.9,",
            ",90,",
            r"smoke-epochs\.csv, line 2: accuracy is '90",
        ),
        ("smoke-epochs", ",2.5,", ",,", "line 2: epoch_seconds is '': it must be a"),
    ],
)
def test_a_file_that_lost_something_is_refused(tmp_path, file, before, after, words):
    path = tmp_path / "smoke.csv"
    results.write_csv([RECORD, FAILED], path)
    part = tmp_path / f"{file}.csv"
    text = part.read_text()
    assert before in text
    part.write_text(text.replace(before, after, 1))
    with pytest.raises(UserError, match=words) as caught:
        results.read_csv(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"PK\x03\x04" + bytes(range(256)) * 90, "it is no CSV file in UTF-8"),
        (b'"' + b"x" * 200_000, "field larger than field limit"),
    ],
)
def test_what_is_no_csv_is_refused_in_a_short_line(tmp_path, content, words):
    path = tmp_path / "my.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"my\.npz is no file .* \({words}") as caught:
        results.read_csv(path)
    assert len(str(caught.value)) < 120 + len(str(path))


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "-3.5", "1e300"])
def test_losses_and_metrics_may_be_any_number(tmp_path, number):
    path = tmp_path / "smoke.csv"
    run = dataclasses.replace(RECORD, test_loss=0.125, test_metric=0.125)
    results.write_csv([run], path)
    part = results.epochs_file(path)
    part.write_text(part.read_text().replace(",0.1,", f",{number},"))
    path.write_text(path.read_text().replace("0.125", number))
    (found,) = results.read_csv(path)
    told = (found.test_loss, found.test_metric, found.epochs[0].loss)
    np.testing.assert_array_equal(told, float(number))


def test_a_loss_that_was_nan_comes_back_as_none(tmp_path):
    path = tmp_path / "smoke.csv"
    diverged = dataclasses.replace(EPOCH, loss=float("nan"), val_loss=float("inf"))
    results.write_csv([dataclasses.replace(RECORD, epochs=(diverged,))], path)
    (found,) = results.read_csv(path)
    assert (found.epochs[0].loss, found.epochs[0].val_loss) == (None, None)


def test_a_file_without_its_epochs_is_refused(tmp_path):
    path = tmp_path / "smoke.csv"
    results.write_csv([RECORD], path)
    results.epochs_file(path).unlink()
    with pytest.raises(UserError, match=r"smoke-epochs\.csv is missing: put it beside"):
        results.read_csv(path)


def test_files_of_before_a_field_are_read(tmp_path):
    path = tmp_path / "smoke.csv"
    results.write_csv([dataclasses.replace(RECORD, run=Run(), epochs=())], path)
    with path.open(newline="") as file:
        (found,) = csv.DictReader(file)
    for name in ("run.loss", "run.metric", "test_metric", "val_metric"):
        del found[name]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(found))
        writer.writeheader()
        writer.writerow(found)
    (record,) = results.read_csv(path)
    assert record.run == Run()
