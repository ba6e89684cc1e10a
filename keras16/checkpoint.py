"""What a training needs to go on where it was, in one file that is never torn."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras16.errors import UserError

_HEADER = "header"


def save(path: pathlib.Path, variables: Sequence[Any], told: Mapping[str, Any]) -> None:
    """Writes the bits of variables; the file of before stands until it is whole.

    Args:
        path: Of the file; its folder exists.
        variables: Of Keras, of any dtype, in an order that a new process repeats.
        told: What else there is to remember, as JSON takes it.
    """
    arrays: dict[str, Any] = {f"v{i}": _bits(v) for i, v in enumerate(variables)}
    header = {"variables": [_kind(v) for v in variables], **told}
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    written = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with written.open("wb") as file:
            np.savez(file, **arrays | {_HEADER: text})
            file.flush()
            os.fsync(file.fileno())
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)


def restore(path: pathlib.Path, variables: Sequence[Any]) -> dict[str, Any]:
    """Assigns the bits that were saved, and gives back what else was remembered.

    Args:
        path: Of the file.
        variables: As many, of the same shapes and dtypes as those saved.

    Returns:
        `told` of `save`; empty where there is no file: nothing is assigned then.

    Raises:
        UserError: It can't be read, or is of another model.
    """
    if not path.exists():
        return {}
    with _readable(path), path.open("rb") as opened, np.load(opened) as file:
        header = json.loads(file[_HEADER].tobytes())
        kinds = header.pop("variables")
        values = [file[f"v{i}"] for i in range(len(kinds))]
    if kinds != [_kind(v) for v in variables]:
        raise UserError(f"{path} is the checkpoint of another model: delete it.")
    for variable, bits in zip(variables, values, strict=True):
        dtype = np.asarray(variable.numpy()).dtype
        variable.assign(bits.view(dtype).reshape(variable.shape))
    return header


@contextlib.contextmanager
def _readable(path: pathlib.Path) -> Any:
    try:
        yield
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is no checkpoint of keras16's: delete it.") from error


def _kind(variable: Any) -> list[Any]:
    return [str(variable.dtype), list(variable.shape)]


def _bits(variable: Any) -> np.ndarray:
    value = np.ascontiguousarray(variable.numpy())
    return value.reshape(-1).view(np.uint8)
