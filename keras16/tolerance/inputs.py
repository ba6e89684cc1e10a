"""A data set's test examples as a model takes them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras16 import data
from keras16.data import Dataset
from keras16.errors import UserError


def of(model: Any, dataset: Dataset) -> np.ndarray:
    """Test examples for a model, standardized as `keras16 train` would.

    A model whose input is an integer, as all that `keras16 train` saves from pixels,
    takes these raw; any other gets them with mean 0 and deviation 1 over the training
    set.

    Args:
        model: Of one input and one output, [examples, classes].
        dataset: Its test examples are taken.

    Returns:
        [examples, ...], uint8 or float32.

    Raises:
        UserError: The model takes no such inputs, or gives no classes.
    """
    _check(model, dataset)
    declared = keras.backend.standardize_dtype(model.inputs[0].dtype)
    if not dataset.is_pixels or "int" in declared:
        return dataset.x_test
    rows = np.arange(len(dataset.x_train))
    mean, deviation = data.standardization(dataset, rows)
    return ((dataset.x_test - mean) / deviation).astype(np.float32)


def _check(model: Any, dataset: Dataset) -> None:
    if len(model.inputs or ()) != 1 or len(model.outputs or ()) != 1:
        raise UserError(f"model {model.name!r} has not one input and one output.")
    wanted, given = tuple(model.inputs[0].shape[1:]), dataset.input_shape
    fits = len(wanted) == len(given) and all(
        a in (None, b) for a, b in zip(wanted, given, strict=True)
    )
    if not fits:
        raise UserError(
            f"model {model.name!r} takes inputs of shape {wanted}, but {dataset.name} "
            f"has {given}: name another with --dataset."
        )
    if len(model.output_shape) != 2 or (model.output_shape[1] or 0) < 2:
        raise UserError(
            f"model {model.name!r} gives shape {model.output_shape}: a classifier "
            "gives a number for each of two or more classes."
        )
