"""`FILE.npz` with x_train, y_train, x_test and y_test; nothing in it is executed."""

from __future__ import annotations

import pathlib
import zipfile
import zlib
from typing import Any

import numpy as np

from keras16.data import Dataset
from keras16.errors import UserError
from keras16.study import short_name
from keras16.user_code import reason

KEYS = ("x_train", "y_train", "x_test", "y_test")
HOW_TO_SAVE = "np.savez(FILE, x_train=..., y_train=..., x_test=..., y_test=...)"
DAMAGE = (ValueError, EOFError, OSError, KeyError, zipfile.BadZipFile, zlib.error)


def read(path: pathlib.Path) -> Dataset:
    """Reads the four arrays, and `class_names` where there is one.

    Raises:
        UserError: No such file, a damaged one, missing keys, or pickled objects.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}: make it with {HOW_TO_SAVE}.")
    try:
        with path.open("rb") as file:  # np.load leaves a path open when it fails
            return _dataset(path, np.load(file, allow_pickle=False))
    except UserError:  # a ValueError, too
        raise
    except DAMAGE as error:
        raise UserError(
            f"{path} is damaged or no .npz file ({_reason(error)}): make it again with "
            f"{HOW_TO_SAVE}."
        ) from error


def _reason(error: Exception) -> str:
    """NumPy takes what it doesn't know for pickled objects, and says to run them."""
    told = reason(error)
    return "its format is unknown" if "pickle" in told else told


def _dataset(path: pathlib.Path, archive: Any) -> Dataset:
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise UserError(f"{path} holds one bare array: make it with {HOW_TO_SAVE}.")
    missing = [key for key in KEYS if key not in archive.files]
    if missing:
        raise UserError(
            f"{path} lacks {', '.join(missing)} (it holds "
            f"{', '.join(archive.files) or 'nothing'}): make it with {HOW_TO_SAVE}."
        )
    x_train, y_train, x_test, y_test = (_array(path, archive, key) for key in KEYS)
    names: tuple[str, ...] = ()
    if "class_names" in archive.files:
        names = tuple(map(str, _array(path, archive, "class_names").ravel()))
    return Dataset(
        short_name(str(path)),
        str(path),
        *(x_train, y_train, x_test, y_test),
        class_names=names,
    )


def _array(path: pathlib.Path, archive: np.lib.npyio.NpzFile, key: str) -> np.ndarray:
    try:
        return archive[key]
    except DAMAGE as error:
        if "allow_pickle" in str(error):
            raise UserError(
                f"{key} in {path} holds Python objects, which are not loaded: save a "
                "plain array of one dtype (np.stack of rows of equal length)."
            ) from error
        raise UserError(
            f"{key} in {path} is damaged: make the file again with {HOW_TO_SAVE}."
        ) from error
