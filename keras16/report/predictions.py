"""What a model made of every test example, as CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

HEADER = "index,label,predicted,probability,margin"


def to_csv(logits: np.ndarray, labels: np.ndarray) -> str:
    """One line per example, in the order of the test set.

    Args:
        logits: [examples, classes] in any float dtype; computed on in float64.
        labels: [examples] class ids.

    Returns:
        CSV with a header: index, label, predicted class, its probability, and the
        margin by which its logit leads the second one's.
    """
    import numpy as np

    exact = np.asarray(logits, np.float64)
    order = np.sort(exact, axis=1)
    best = order[:, -1]
    probability = 1.0 / np.exp(exact - best[:, None]).sum(axis=1)
    margin = best - order[:, -2] if exact.shape[1] > 1 else best
    columns = (labels, exact.argmax(axis=1), probability, margin)
    lines = (
        f"{index},{label},{predicted},{chance:.6g},{lead:.6g}"
        for index, (label, predicted, chance, lead) in enumerate(
            zip(*columns, strict=True)
        )
    )
    return "\n".join((HEADER, *lines)) + "\n"
