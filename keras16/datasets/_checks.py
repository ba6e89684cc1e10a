"""What every data set must hold to, whichever source it came from."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from keras16.errors import UserError

if TYPE_CHECKING:
    from keras16.data import Dataset

FLOAT16_MAX = 65504.0
FLOAT16_SMALLEST = 6e-8  # 2**-24, the smallest subnormal, rounded up
PIXEL_MAX = 255


def check(dataset: Dataset) -> Dataset:
    """The data set in the form that `keras16.data.checked` promises.

    Raises:
        UserError: What is wrong, where, and what to do.
    """
    x_train, x_test = features(dataset.x_train, dataset.x_test)
    y_train, columns = labels(dataset.y_train, "y_train", len(x_train))
    y_test, _ = labels(dataset.y_test, "y_test", len(x_test))
    classes = dataset.classes or len(dataset.class_names)
    if not classes:
        classes = max(int(y_train.max()) + 1, int(y_test.max()) + 1, columns)
        _refuse_gaps(classes, len(y_train) + len(y_test))
    in_range(y_train, "y_train", classes)
    in_range(y_test, "y_test", classes)
    if len(np.unique(y_train)) < 2:
        raise UserError("y_train holds one class only: give examples of two or more.")
    return dataclasses.replace(
        dataset,
        x_train=x_train,
        y_train=y_train.astype(np.int32),
        x_test=x_test,
        y_test=y_test.astype(np.int32),
        classes=classes,
        class_names=_named(dataset.class_names, classes),
    )


def check_targets(dataset: Dataset, ids: bool) -> Dataset:
    """The data set in the form that `keras16.data.load_targets` promises.

    Raises:
        UserError: What is wrong, where, and what to do.
    """
    x_train, x_test = features(dataset.x_train, dataset.x_test)
    y_train = targets(dataset.y_train, "y_train", len(x_train), ids)
    y_test = targets(dataset.y_test, "y_test", len(x_test), ids)
    if (y_train.shape[1:], y_train.dtype) != (y_test.shape[1:], y_test.dtype):
        raise UserError(
            f"a target of y_train has shape {y_train.shape[1:]} and one of y_test "
            f"{y_test.shape[1:]} ({y_train.dtype} and {y_test.dtype}): give both the "
            "same."
        )
    return dataclasses.replace(
        dataset,
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        classes=_outputs(y_train, y_test),
        class_names=(),
    )


def targets(y: Any, part: str, examples: int, ids: bool) -> np.ndarray:
    """One part of y as float32 [n, ...] with a column at least, or int32 [n, ...].

    Args:
        y: Numbers.
        part: Its name.
        examples: How many there must be.
        ids: Whether whole numbers stay int32.

    Raises:
        UserError: No numbers, another count than `examples`, NaN, infinity, or values
            that float16 can't hold.
    """
    array = _array(y, part)
    if array.dtype.kind not in "biuf":
        raise UserError(f"{part} is {_kind(array)}: give numbers.")
    if len(array) != examples:
        raise UserError(
            f"x{part[1:]} has {examples:,} examples and {part} {len(array):,} targets: "
            "give one for each example."
        )
    if ids and array.dtype.kind != "f":
        return array.astype(np.int32)
    array = array.reshape(len(array), 1) if array.ndim == 1 else array
    return _floats(array.astype(np.float64), part).astype(np.float32)


def _outputs(*parts: np.ndarray) -> int:
    """How many outputs a net of such targets has."""
    first = parts[0]
    if first.ndim == 2 and (first.shape[1] > 1 or first.dtype.kind == "f"):
        return first.shape[1]
    if first.dtype.kind == "f":
        return first.shape[-1]
    return max(int(part.max()) for part in parts) + 1


def features(x_train: Any, x_test: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both parts of x as [n, features] or [n, height, width, channels].

    Integers (and booleans) that fit become uint8; others become float32; floats
    keep their dtype.

    Raises:
        UserError: Not numeric, ragged, empty, shapes that differ, NaN, infinity, or
            values that float16 can't hold.
    """
    train, test = _shaped(x_train, "x_train"), _shaped(x_test, "x_test")
    if train.shape[1:] != test.shape[1:]:
        raise UserError(
            f"an example of x_train has shape {train.shape[1:]} and one of x_test "
            f"{test.shape[1:]}: give both the same shape."
        )
    if (train.dtype.kind == "f") != (test.dtype.kind == "f"):
        raise UserError(
            f"x_train is {train.dtype} and x_test {test.dtype}: prepare both in the "
            "same way, as integers (pixels) or as floats."
        )
    if train.dtype.kind == "f":
        return _floats(train, "x_train"), _floats(test, "x_test")
    return _integers(train, test)


def labels(y: Any, part: str, examples: int) -> tuple[np.ndarray, int]:
    """One part of y as int64 [n], and the columns of its one-hot form (0: was none).

    Raises:
        UserError: Not whole numbers, another count than `examples`, a negative id,
            or two-dimensional without being one-hot.
    """
    array = _array(y, part)
    if array.dtype.kind not in "biuf":
        raise UserError(
            f"{part} is {_kind(array)}: give class ids 0, 1, 2, ... "
            "(np.unique(y, return_inverse=True)[1])."
        )
    if len(array) != examples:
        raise UserError(
            f"x{part[1:]} has {examples:,} examples and {part} {len(array):,} labels: "
            "give one label for each example."
        )
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        return _from_one_hot(array, part), array.shape[1]
    return _whole(array, part), 0


def in_range(y: np.ndarray, part: str, classes: int) -> None:
    """Raises a UserError for the first label that is not in 0..classes-1."""
    wrong = np.flatnonzero((y < 0) | (y >= classes))
    if len(wrong):
        first = int(wrong[0])
        raise UserError(
            f"label {y[first]} ({part}[{first}]) is not in 0..{classes - 1}, the ids "
            f"of {classes} classes: renumber the labels from 0."
        )


def _refuse_gaps(classes: int, examples: int) -> None:
    if classes > max(examples, 2):
        raise UserError(
            f"the largest label is {classes - 1:,} among {examples:,} examples: number "
            "the classes without gaps (np.unique(y, return_inverse=True)[1])."
        )


def _named(class_names: tuple[str, ...], classes: int) -> tuple[str, ...]:
    names = tuple(class_names) or tuple(str(number) for number in range(classes))
    if len(names) != classes:
        raise UserError(
            f"class_names has {len(names)} names for {classes} classes: give one each."
        )
    return names


def as_array(value: Any, part: str) -> np.ndarray:
    """What NumPy makes of it.

    Args:
        value: Anything.
        part: What it is called.

    Raises:
        UserError: It makes none.
    """
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{part} can't be read as one array: give all its rows the same shape."
        ) from error


def _array(value: Any, part: str) -> np.ndarray:
    array = as_array(value, part)
    if array.ndim == 0 or len(array) == 0:
        raise UserError(f"{part} holds no example: give at least one.")
    return array


def _kind(array: np.ndarray) -> str:
    return "text" if array.dtype.kind in "US" else f"of dtype {array.dtype}"


def _shaped(x: Any, part: str) -> np.ndarray:
    array = _array(x, part)
    if array.dtype.kind not in "biuf":
        raise UserError(
            f"{part} is {_kind(array)}: give numbers, uint8 for pixels or floats."
        )
    if array.ndim == 3:
        array = array[..., np.newaxis]
    if array.ndim not in (2, 4):
        raise UserError(
            f"{part} has shape {array.shape}: give [examples, features] or "
            "[examples, height, width, channels]."
        )
    if 0 in array.shape:
        raise UserError(f"{part} has shape {array.shape}: no axis may be empty.")
    _refuse_channels_first(array, part)
    return array


def _refuse_channels_first(array: np.ndarray, part: str) -> None:
    if array.ndim != 4:
        return
    _, first, height, width = array.shape
    if first in (1, 3) and height == width > 4:
        raise UserError(
            f"{part} has shape {array.shape}, which looks like channels first: put "
            "them last with np.moveaxis(x, 1, -1)."
        )


def _integers(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low = min(int(train.min()), int(test.min()))
    high = max(int(train.max()), int(test.max()))
    if low >= 0 and high <= PIXEL_MAX:
        return train.astype(np.uint8, copy=False), test.astype(np.uint8, copy=False)
    for array, part in ((train, "x_train"), (test, "x_test")):
        _fits(float(max(-int(array.min()), int(array.max()))), part)
    return train.astype(np.float32), test.astype(np.float32)


def _floats(array: np.ndarray, part: str) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
        raise UserError(
            f"{part} holds NaN or infinity (first in example {int(finite.argmin())}): "
            "drop those examples or fill the gaps."
        )
    largest = max(-low, high)
    _fits(largest, part)
    if 0 < largest < FLOAT16_SMALLEST:
        raise UserError(
            f"the largest value of {part} is {largest:.3g} and float16 takes anything "
            f"below {FLOAT16_SMALLEST:g} for 0: scale the data up, or standardise it."
        )
    if array.dtype.itemsize > 8:  # long double: TensorFlow has none
        return array.astype(np.float64)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _fits(largest: float, part: str) -> None:
    if largest > FLOAT16_MAX:
        raise UserError(
            f"{part} reaches {largest:,.10g} in absolute value and float16 ends at "
            "65,504: divide the data by its maximum, or standardise it."
        )


def _from_one_hot(array: np.ndarray, part: str) -> np.ndarray:
    if array.ndim != 2 or not _is_one_hot(array):
        raise UserError(
            f"{part} has shape {array.shape} and is not one-hot: give one class id "
            "for each example, shape [examples]."
        )
    return array.argmax(axis=1)


def _is_one_hot(array: np.ndarray) -> bool:
    zeros_and_ones = bool(((array == 0) | (array == 1)).all())
    return zeros_and_ones and bool((np.count_nonzero(array, axis=1) == 1).all())


def _whole(array: np.ndarray, part: str) -> np.ndarray:
    if array.dtype.kind == "f":
        wrong = np.flatnonzero(~np.isfinite(array) | (array != np.round(array)))
        if len(wrong):
            first = int(wrong[0])
            raise UserError(
                f"label {array[first]} ({part}[{first}]) is not a whole number: give "
                "class ids 0, 1, 2, ..., or a loss for what they are (--loss mse)."
            )
    limit = np.iinfo(np.int32).max
    wrong = np.flatnonzero((array < 0) | (array > limit))
    if len(wrong):
        first = int(wrong[0])
        raise UserError(
            f"label {array[first]} ({part}[{first}]) is no class id: number the "
            "classes 0, 1, 2, ..."
        )
    return array.astype(np.int64)
