"""Files of JSON that are whole whenever somebody reads them."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any


def write(file: pathlib.Path, content: Any) -> None:
    """Writes a file, and its folder; the file of before stands until it is whole.

    Args:
        file: Of this process and others.
        content: As JSON takes it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(f".{os.getpid()}.part")
    try:
        with part.open("w") as written:
            json.dump(content, written)
            written.flush()
            os.fsync(written.fileno())  # else a power cut may leave it empty
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def read(file: pathlib.Path) -> dict[str, Any]:
    """The object that a file holds; empty where there is none that can be read."""
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
