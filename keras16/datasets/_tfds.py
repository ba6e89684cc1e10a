"""TensorFlow Datasets: prepared data first, and a download only if there is a way."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras16.data import Dataset
from keras16.errors import UserError
from keras16.user_code import reason

PROBE_SECONDS = 10
INSTEAD = "use --dataset mnist5k, which needs no network"


def read(name: str, *, origin: str) -> Dataset:
    """Reads an image data set of TensorFlow Datasets whole, as uint8.

    Args:
        name: As TensorFlow Datasets calls it. The folder is TFDS_DATA_DIR, or
            tensorflow_datasets in the home folder.
        origin: URL of the server that the original files come from. It is asked
            first: without a network, TensorFlow Datasets retries for 200 seconds.

    Raises:
        UserError: Not prepared and not to be had, or damaged.
    """
    with _quiet():
        builder = _prepared(name, origin)
        (x_train, y_train), (x_test, y_test) = _splits(builder)
    return Dataset(
        name,
        f"TensorFlow Datasets {name}:{builder.version}",
        *(x_train, y_train, x_test, y_test),
        classes=builder.info.features["label"].num_classes,
        class_names=tuple(builder.info.features["label"].names),
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No warnings of an empty folder; what is printed goes to standard error."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        logger.setLevel(level)


def _prepared(name: str, origin: str) -> Any:
    """The builder, with its files on disk."""
    tfds = _library()
    folder = os.environ.get("TFDS_DATA_DIR")  # the library reads it at import only
    try:
        builder = tfds.builder(name, data_dir=folder)
        if builder.is_prepared():
            return builder
    except Exception as error:  # broken metadata raise whatever a parser raises
        raise UserError(_damaged(name, _folder(name), error)) from error
    try:
        _reach(origin)
        config = tfds.download.DownloadConfig(try_download_gcs=False)
        builder.download_and_prepare(download_config=config)
    except Exception as error:  # any failure of a download has the same remedy
        raise UserError(
            f"{name} is not in {builder.data_dir} and can't be downloaded "
            f"({reason(error)}): set TFDS_DATA_DIR to a folder of prepared data, or "
            f"{INSTEAD}."
        ) from error
    return builder


def _library() -> Any:
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise UserError(
            f"TensorFlow Datasets can't be imported ({reason(error)}): run pip install "
            f"tensorflow tensorflow-datasets, or {INSTEAD}."
        ) from error
    return tensorflow_datasets


def _folder(name: str) -> str:
    home = os.path.join("~", "tensorflow_datasets")
    return os.path.join(os.environ.get("TFDS_DATA_DIR", home), name)


def _reach(origin: str) -> None:
    """Raises an OSError unless the server answers; any answer will do."""
    request = urllib.request.Request(origin, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError as answer:
        answer.close()


def _splits(builder: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    try:
        return [_split(builder, part) for part in ("train", "test")]
    except Exception as error:  # data loss, a missing file, a picture cut short
        raise UserError(_damaged(builder.name, builder.data_dir, error)) from error


def _split(builder: Any, part: str) -> tuple[np.ndarray, np.ndarray]:
    # The library itself fails where there are fewer examples than it prepared.
    tensors = builder.as_dataset(split=part, batch_size=-1, as_supervised=True)
    images, labels = (tensor.numpy() for tensor in tensors)
    return images, labels.astype(np.int32)


def _damaged(name: str, folder: str, error: Exception) -> str:
    return (
        f"{name} in {folder} is damaged ({reason(error)}): delete that folder and "
        f"prepare it again, or {INSTEAD}."
    )
