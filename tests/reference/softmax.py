"""Softmax cross-entropy of class ids in float64."""

import numpy as np


def cross_entropy(labels, logits):
    """[n] class ids, [n, classes] logits -> ([n] losses, their gradients)."""
    logits = np.asarray(logits, "float64")
    rows = np.arange(len(logits))
    shifted = logits - logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=-1, keepdims=True)
    others = exponentials.copy()
    others[rows, labels] = 0
    rest = others.sum(axis=-1)
    own = exponentials[rows, labels]
    # log(total / own) without cancellation where the label is far ahead.
    is_ahead = own >= 0.5
    ahead = np.log1p(rest / np.where(is_ahead, own, 1))
    behind = np.log(total[:, 0]) - shifted[rows, labels]
    gradients = others / total
    gradients[rows, labels] = -rest / total[:, 0]
    return np.where(is_ahead, ahead, behind), gradients
