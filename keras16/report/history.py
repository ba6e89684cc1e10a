"""The history of a run as CSV: one line per epoch, one column per field."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence

from keras16.results import Epoch


def to_csv(epochs: Sequence[Epoch]) -> str:
    """The epochs as CSV with a header, numbers in full; empty where there is none.

    Args:
        epochs: In order; none at all gives the header alone.
    """
    text = io.StringIO()
    names = [field.name for field in dataclasses.fields(Epoch)]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(dataclasses.asdict(epoch) for epoch in epochs)
    return text.getvalue()
