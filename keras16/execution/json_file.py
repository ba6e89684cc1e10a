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
    part.write_text(json.dumps(content))
    part.replace(file)
