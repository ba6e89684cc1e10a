"""How far each part is from float64, measured: `keras16 numerics` and its page.

Each file beside this one has `ROWS`: a part, the inputs it is tried on, the bound
that its error keeps, and the functions that measure it. The bounds stand there and
nowhere else.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from keras16.exactness._row import Found, Row

FILES = ("arithmetic", "sums", "layers", "losses", "metrics", "optimizers")

__all__ = ["FILES", "Found", "Row", "rows"]


def rows(word: str = "") -> Iterator[Row]:
    """The rows whose part holds a word, in the order of the page.

    Args:
        word: Any letters of a part's name; "" for all rows.
    """
    for name in FILES:
        for row in importlib.import_module(f"keras16.exactness.{name}").ROWS:
            if word.lower() in row.part.lower():
                yield row
