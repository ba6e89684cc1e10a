"""What commands say: lines for people, objects for programs."""

from __future__ import annotations

import math
from typing import Any

import click


def say(line: str) -> None:
    """One line to the user, on standard error."""
    click.echo(f"keras16: {' '.join(line.split())}", err=True)


def plain(value: Any) -> Any:
    """The value with None for NaN and infinity, which JSON has no words for."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
