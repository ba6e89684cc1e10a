"""CIFAR-10: 60,000 small colour pictures (Krizhevsky, 2009)."""

from __future__ import annotations

from keras16.data import Dataset
from keras16.datasets import _tfds


def load() -> Dataset:
    """50,000 and 10,000 pictures, uint8 [n, 32, 32, 3], 10 classes.

    Raises:
        UserError: It is not prepared and can't be downloaded, or it is damaged.
    """
    return _tfds.read("cifar10", origin="https://www.cs.toronto.edu")
