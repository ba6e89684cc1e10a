"""The files that go with a run: history, curves, audit, test predictions."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

from keras16.report import curves, history, predictions

if TYPE_CHECKING:
    from keras16.training import Result


def write(result: Result, title: str, folder: pathlib.Path) -> None:
    """Writes history.csv, curves.png and, where there are any, the other two.

    Args:
        result: What the run came to.
        title: Of the figure.
        folder: Exists; gets audit.json and test_predictions.csv too.
    """
    (folder / "history.csv").write_text(history.to_csv(result.epochs))
    if result.epochs:
        curves.curves(result.epochs, title).savefig(folder / "curves.png")
    if result.audit is not None:
        (folder / "audit.json").write_text(result.audit.to_json(indent=1))
    if result.test_logits is not None:
        table = predictions.to_csv(result.test_logits, result.dataset.y_test)
        (folder / "test_predictions.csv").write_text(table)
