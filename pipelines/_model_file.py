"""Puts a trained model on disk under a name of its own, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import tempfile
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

DEFAULT_FOLDER = pathlib.Path("mlruns", "models")
UNSAFE = re.compile(r"[^-.,=+ \w]+")  # in a file's name


def spare_folder() -> pathlib.Path:
    """Where a model goes for which its own folder has no room."""
    return pathlib.Path(tempfile.gettempdir(), "keras16-models")


def save(model: keras.Model, name: str, folder: pathlib.Path) -> pathlib.Path:
    """Saves a model; where that fails no broken file is left.

    Args:
        model: A trained Keras model.
        name: The start of the file's name; the time follows.
        folder: Made where there is none.

    Returns:
        The file, which was not there before.

    Raises:
        OSError: The folder does not take it: its disk is full, for one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with claimed(folder, name) as path:
        partial = path.with_name(f".{path.stem}.partial.keras")
        try:
            model.save(partial)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    return path


@contextlib.contextmanager
def claimed(folder: pathlib.Path, name: str) -> Iterator[pathlib.Path]:
    """A new empty file; removed again where what should fill it fails."""
    path = claim(folder, name)
    try:
        yield path
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def claim(folder: pathlib.Path, name: str) -> pathlib.Path:
    """Makes an empty file of a name that nothing has, and no other run can take."""
    stem = f"{UNSAFE.sub('_', name)}-{time.strftime('%Y%m%d-%H%M%S')}"
    number = 1
    while True:
        path = folder / (f"{stem}.keras" if number == 1 else f"{stem}-{number}.keras")
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            number += 1
        else:
            return path
