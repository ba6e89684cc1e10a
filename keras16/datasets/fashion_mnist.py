"""Fashion-MNIST: 70,000 pieces of clothing (Xiao, Rasul and Vollgraf, 2017)."""

from __future__ import annotations

from keras16.data import Dataset
from keras16.datasets import _tfds


def load() -> Dataset:
    """60,000 and 10,000 pictures, uint8 [n, 28, 28, 1], 10 classes.

    Raises:
        UserError: It is not prepared and can't be downloaded, or it is damaged.
    """
    return _tfds.read(
        "fashion_mnist",
        origin="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    )
