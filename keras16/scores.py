"""Loss and accuracy of logits, in float64 on the host."""

from __future__ import annotations

import numpy as np


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean softmax cross-entropy in nats; NaN where any logit is NaN or +inf.

    Args:
        logits: [examples, classes] of any float dtype.
        labels: [examples] class ids.
    """
    z = np.asarray(logits, "float64")
    with np.errstate(invalid="ignore"):
        z = z - z.max(axis=-1, keepdims=True)
        log_sum = np.log(np.exp(z).sum(axis=-1))
    return float(np.mean(log_sum - z[np.arange(len(z)), labels]))


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """The share of examples whose largest logit is the labelled class."""
    predicted = np.argmax(np.asarray(logits, "float64"), axis=-1)
    return float(np.mean(predicted == np.asarray(labels)))
