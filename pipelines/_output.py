"""What commands say: lines for people, objects for programs."""

from __future__ import annotations

import math
import pathlib
import tempfile
from typing import Any

import click

from keras16.errors import UserError


def say(line: str) -> None:
    """One line to the user, on standard error."""
    click.echo(f"keras16: {' '.join(line.split())}", err=True)


def require_folder(option: str, path: pathlib.Path | None) -> None:
    """Refuses a file in a folder that is not there, before minutes are spent.

    Raises:
        UserError: There is no such folder.
    """
    if path is not None and not path.absolute().parent.is_dir():
        raise UserError(f"{option} {path}: there is no such folder.")


def ready(folder: pathlib.Path, thing: str, option: str = "") -> pathlib.Path:
    """Makes a folder that takes files: before the work is done, not after.

    Args:
        folder: Where it shall be.
        thing: What will be written there, such as "the model".
        option: That names another folder; without one it is the working folder's.

    Raises:
        UserError: No file can be made there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        other = (
            f"name another folder with {option}"
            if option
            else "start keras16 in another folder"
        )
        raise UserError(
            f"{thing} can't be written in {folder} ({error.strerror}): {other}."
        ) from error


def require_figure(path: pathlib.Path | None) -> None:
    """Likewise of a figure, whose kind is told by its name.

    Raises:
        UserError: It is of no known kind, or there is no such folder.
    """
    if path is not None and path.suffix not in (".png", ".pdf", ".svg"):
        raise UserError(f"--figure {path}: name a .png, .pdf or .svg file.")
    require_folder("--figure", path)


def plain(value: Any) -> Any:
    """The value with None for NaN and infinity, which JSON has no words for."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
