"""Data sets: what one is, where to find it, how to check it and how to split it."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import pathlib

import numpy as np

from keras16 import catalog
from keras16.datasets import _checks
from keras16.errors import UserError

SMALLEST_DEVIATION = 1 / 16


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory: of class ids, or of targets for a loss of one's own.

    Attributes:
        name: Short, as in the run's name.
        source: One line on where it came from.
        x_train: [examples, features] or [examples, height, width, channels]; uint8
            for pixels (normalised inside the training step), or floats, which are
            taken as they are.
        y_train: Class ids, int32 [examples]; targets are float32 [examples, ...], or
            int32 where they are ids.
        x_test: As x_train.
        y_test: As y_train.
        classes: Their number; 0 lets `checked` count them. Of targets, how many
            outputs they ask for.
        class_names: One for each class; () lets `checked` number them.
    """

    name: str
    source: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: int = 0
    class_names: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return self.x_train.shape[1:]

    @property
    def is_pixels(self) -> bool:
        """Whether x is uint8, to be normalised inside the training step."""
        return self.x_train.dtype == np.uint8

    @functools.cached_property
    def digest(self) -> str:
        """16 hexadecimal digits that change with any value, shape or dtype."""
        sha = hashlib.sha256()
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            sha.update(f"{array.dtype.str}{array.shape}".encode())
            # Of bytes: NumPy has no buffers of bfloat16.
            sha.update(np.ascontiguousarray(array).view(np.uint8).data)
        return sha.hexdigest()[:16]


def load(name: str) -> Dataset:
    """The data set that `name` stands for, read and checked.

    Args:
        name: A file of keras16/datasets, `FILE.npz`, `FILE.py:function` or a folder
            with one sub-folder of images per class.

    Raises:
        UserError: There is no such data set, or it can't be used as it is.
    """
    return checked(_read(name))


def checked(dataset: Dataset) -> Dataset:
    """The data set in the one form that training takes, or the reason why not.

    Integers in 0..255 become uint8, images without a channel axis get one, one-hot
    and column labels become ids, and missing `classes` and `class_names` are
    filled in. Labels that only the test part holds are allowed.

    Raises:
        UserError: What is wrong, where, and what to do, in one line.
    """
    try:
        return _checks.check(dataset)
    except UserError as error:
        raise UserError(f"data set {dataset.name}: {error}") from error


def load_targets(name: str, *, ids: bool) -> Dataset:
    """A data set for a loss of one's own, its y as it is.

    Args:
        name: As `load` takes it.
        ids: Whether whole numbers in y may be class ids: those stay int32, and ask
            for an output for each class. Else they are numbers like any others.

    Returns:
        One with y as float32 [examples, ...], of one number an example [examples, 1],
        as Keras' losses make it; or as int32, where it may be ids.

    Raises:
        UserError: There is no such data set, or y is not made of numbers in float16's
            range.
    """
    dataset = _read(name)
    try:
        return _checks.check_targets(dataset, ids)
    except UserError as error:
        raise UserError(f"data set {dataset.name}: {error}") from error


def hold_out(
    dataset: Dataset, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Splits the training part, class by class: the same split at every precision.

    Where there are no classes, it is split at random.

    Args:
        dataset: A checked one.
        share: Of the training examples to hold out, in [0, 1). A share above 0
            holds out at least one.
        seed: Not negative.

    Returns:
        Indices of the training and of the validation examples, int64, ascending.

    Raises:
        UserError: A share outside [0, 1), or one that leaves nothing to train on.
    """
    if not 0 <= share < 1:
        raise UserError(f"validation share {share} is not in [0, 1): 0.1 is usual.")
    kept, taken = split(strata(dataset.y_train), share, seed)
    if len(kept) == 0:
        raise UserError(
            f"a validation share of {share} leaves none of {len(taken):,} training "
            "examples to train on: give a smaller share."
        )
    return kept, taken


def strata(y: np.ndarray) -> np.ndarray:
    """Class ids to split by, int64 [examples]; zeros where y holds none.

    Args:
        y: Ids [examples] or [examples, 1], one-hot rows, or any other targets.
    """
    if not np.issubdtype(y.dtype, np.integer) or y.ndim > 2:
        return np.zeros(len(y), np.int64)
    ids = y.argmax(-1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1)
    return np.unique(ids, return_inverse=True)[1].astype(np.int64)


def split(labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of `labels` in two parts, the second `share` of the whole.

    Every class gives its share, rounded so that the total is right (largest
    remainder first); no class gives its last example while another has more.

    Returns:
        Kept and taken indices, int64, both ascending.
    """
    keys = shuffle_keys(len(labels), seed)
    order = np.lexsort((keys, labels))  # by class, at random within one
    counts = np.bincount(labels)
    quotas = _quotas(counts, share)
    starts = np.cumsum(counts) - counts
    rank = np.arange(len(labels)) - np.repeat(starts, counts)
    taken = rank < np.repeat(quotas, counts)
    return np.sort(order[~taken]), np.sort(order[taken])


def shuffle_keys(count: int, seed: int) -> np.ndarray:
    """Random sort keys, uint64 [count]; `np.argsort` of them is a permutation.

    They are the generator's raw output, which NumPy keeps the same for ever (NEP
    19); `Generator.permutation` may change from one version to the next.
    """
    if seed < 0:
        raise UserError(f"seed {seed} is negative: give 0 or more.")
    return np.random.PCG64(seed).random_raw(count)


def standardization(
    dataset: Dataset, indices: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel over some training examples.

    Of pixels they are exact integer sums, divided once. A channel that never
    changes gets deviation 1. Floats are taken as they are: mean 0, deviation 1.

    Args:
        dataset: A checked one.
        indices: Into x_train; at least one.

    Returns:
        Mean and deviation, float64 [channels], in the units of x.
    """
    channels = dataset.input_shape[-1]
    if not dataset.is_pixels:
        return np.zeros(channels), np.ones(channels)
    totals, squares = _pixel_sums(dataset.x_train, indices)
    count = len(indices) * int(np.prod(dataset.input_shape[:-1], dtype=np.int64))
    mean = np.array([total / count for total in totals])
    variance = [
        (count * square - total**2) / count**2
        for total, square in zip(totals, squares, strict=True)
    ]
    return mean, _floored(np.sqrt(variance))


def _read(name: str) -> Dataset:
    """By the form of the name; the readers import what they need when called."""
    if name in catalog.names("datasets"):
        return catalog.load("datasets", name)()
    path = pathlib.Path(name)
    if ".py" in name and (":" in name or path.suffix == ".py"):
        from keras16.datasets import _function

        return _function.read(name)
    if path.suffix.lower() == ".npz":
        from keras16.datasets import _npz

        return _npz.read(path)
    if name and path.is_dir():
        from keras16.datasets import _images

        return _images.read(path)
    raise UserError(_unknown(name, path))


def _unknown(name: str, path: pathlib.Path) -> str:
    if path.is_file():
        forms = catalog.FORMS["datasets"]
        return f"{name} is no data set that keras16 reads: give {forms}."
    return catalog.unknown("datasets", name)


def _quotas(counts: np.ndarray, share: float) -> np.ndarray:
    """How many examples each class gives; their sum is `share` of all, rounded."""
    exact = counts * share
    quotas = np.floor(exact).astype(np.int64)
    total = round(share * int(counts.sum()))
    missing = max(total, 1 if share > 0 else 0) - int(quotas.sum())
    remainder = np.where(quotas + 1 < counts, exact - quotas, -1.0)
    remainder[quotas >= counts] = -2.0  # nothing left to give
    quotas[np.argsort(-remainder, kind="stable")[:missing]] += 1
    return quotas


def _pixel_sums(x: np.ndarray, indices: np.ndarray) -> tuple[list[int], list[int]]:
    """Sums of the values and of their squares by channel, as exact Python integers."""
    channels = x.shape[-1]
    totals = np.zeros(channels, np.int64)
    squares = np.zeros(channels, np.int64)
    for start in range(0, len(indices), 4096):  # 4096 * 255**2 fits 32 bits
        part = x[indices[start : start + 4096]]
        total = part.sum(axis=0, dtype=np.uint32)
        square = np.square(part, dtype=np.uint16).sum(axis=0, dtype=np.uint32)
        totals += total.reshape(-1, channels).sum(axis=0, dtype=np.int64)
        squares += square.reshape(-1, channels).sum(axis=0, dtype=np.int64)
    return totals.tolist(), squares.tolist()


def _floored(deviation: np.ndarray) -> np.ndarray:
    # A column that is 0 in all but one of 100,000 examples has a deviation near
    # .003; dividing 255 by that would overflow float16.
    return np.where(deviation == 0, 1.0, np.maximum(deviation, SMALLEST_DEVIATION))
