"""Dull float64 twins of Keras' losses: formulas written out, nothing clever.

Each takes labels and predictions, float64 arrays of [..., n], and gives the losses
[...]. Gradients are complex-step derivatives of the same formulas.
"""

import numpy as np

EPSILON = 1e-7


def mean(x):
    return x.mean(-1) if x.shape[-1] else x.sum(-1)


def absolute(x):
    return np.where(x.real < 0, -x, x)


def at_least(x, low):
    return np.where(x.real < low, low, x)


def at_most(x, high):
    return np.where(x.real > high, high, x)


def clipped(p):
    return at_most(at_least(p, EPSILON), 1 - EPSILON)


def mean_squared_error(y, p):
    return mean((p - y) ** 2)


def mean_absolute_error(y, p):
    return mean(absolute(p - y))


def mean_absolute_percentage_error(y, p):
    return 100 * mean(absolute((y - p) / np.maximum(np.abs(y), EPSILON)))


def mean_squared_logarithmic_error(y, p):
    first, second = (np.log1p(at_least(x, EPSILON)) for x in (p, y))
    return mean((first - second) ** 2)


def huber(y, p, delta=1.0):
    size = absolute(p - y)
    far = delta * size - delta**2 / 2
    return mean(np.where(size.real <= delta, size**2 / 2, far))


def log_cosh(y, p):
    size = absolute(p - y)
    near = np.log(np.cosh(np.where(size.real > 20, 0, size)))
    series = size**2 / 2 - size**4 / 12
    near = np.where(size.real < 1e-3, series, near)
    return mean(np.where(size.real > 20, size - np.log(2), near))


def poisson(y, p):
    return mean(p - y * np.log(p + EPSILON))


def cosine_similarity(y, p):
    def unit(x):
        length = np.sqrt((x**2).sum(-1, keepdims=True))
        return x / at_least(length, EPSILON)

    return -(unit(y) * unit(p)).sum(-1)


def signed(y):
    return 2 * y - 1 if np.all((y == 0) | (y == 1)) else y


def hinge(y, p):
    return mean(at_least(1 - signed(y) * p, 0))


def squared_hinge(y, p):
    return mean(at_least(1 - signed(y) * p, 0) ** 2)


def categorical_hinge(y, p):
    right = (y * p).sum(-1)
    wrong = (1 - y) * p
    best = np.take_along_axis(wrong, wrong.real.argmax(-1)[..., None], -1)[..., 0]
    return at_least(best - right + 1, 0)


def kl_divergence(y, p):
    y, p = np.clip(y, EPSILON, 1), at_most(at_least(p, EPSILON), 1)
    return (y * np.log(y / p)).sum(-1)


def sigmoid(z):
    small = np.exp(np.where(z.real > 0, -z, z))
    return np.where(z.real > 0, 1 / (1 + small), small / (1 + small))


def binary_crossentropy(y, p, from_logits=False, label_smoothing=0.0):
    y = y * (1 - label_smoothing) + label_smoothing / 2
    if from_logits:
        softplus = np.log1p(np.exp(-absolute(p))) + at_least(p, 0)
        return mean(softplus - y * p)
    p = clipped(p)
    return mean(-y * np.log(p) - (1 - y) * np.log1p(-p))


def binary_focal_crossentropy(
    y, p, from_logits=False, alpha=0.25, gamma=2.0, apply_class_balancing=False
):
    no = sigmoid(-p) if from_logits else 1 - p
    p = sigmoid(p) if from_logits else p
    low, high = p.real < EPSILON, no.real < EPSILON
    kept, kept_no = (
        np.where(low, EPSILON, np.where(high, 1 - EPSILON, p)),
        np.where(high, EPSILON, np.where(low, 1 - EPSILON, no)),
    )
    entropy = -y * np.log(kept) - (1 - y) * np.log(kept_no)
    wrong = y * no + (1 - y) * p
    weight = y * alpha + (1 - y) * (1 - alpha) if apply_class_balancing else 1
    return mean(weight * wrong**gamma * entropy)


def softmax(z):
    exponentials = np.exp(z - z.real.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def one_hot(labels, classes):
    return (labels[..., None] == np.arange(classes)).astype("float64")


def categorical_crossentropy(y, p, from_logits=False, label_smoothing=0.0):
    y = y * (1 - label_smoothing) + label_smoothing / y.shape[-1]
    if from_logits:
        p = p - p.real.max(-1, keepdims=True)
        return (y * (np.log(np.exp(p).sum(-1, keepdims=True)) - p)).sum(-1)
    p = clipped(p / p.sum(-1, keepdims=True))
    return -(y * np.log(p)).sum(-1)


def sparse_categorical_crossentropy(y, p, from_logits=False):
    y = one_hot(y, p.shape[-1])
    if from_logits:
        return categorical_crossentropy(y, p, from_logits=True)
    p = clipped(p)
    return -np.log((y * p).sum(-1) / p.sum(-1))


def categorical_focal_crossentropy(y, p, from_logits=False, alpha=0.25, gamma=2.0):
    p = softmax(p) if from_logits else p / p.sum(-1, keepdims=True)
    p = clipped(p)
    return -(alpha * y * (1 - p) ** gamma * np.log(p)).sum(-1)


def categorical_generalized_cross_entropy(y, p, q=0.5):
    p = (one_hot(y, p.shape[-1]) * p).sum(-1)
    return (1 - p**q) / q


def dice(y, p):
    return 1 - 2 * (y * p).sum() / (y.sum() + p.sum() + EPSILON)


def tversky(y, p, alpha=0.5, beta=0.5):
    common = (y * p).sum()
    wrong = alpha * (y * (1 - p)).sum() + beta * ((1 - y) * p).sum()
    return 1 - common / (common + wrong + EPSILON)


def gradient(function, y, p, weight=1.0, rows=None):
    """The derivative of the weighted sum of losses, by steps along the imaginary axis.

    Args:
        function: One of the above.
        y: Labels.
        p: [..., n] predictions; entries of one column are stepped together, since
            no loss of a row depends on another row.
        weight: [...] or a scalar.
        rows: Whether rows are independent; False steps each entry alone.
    """
    result = np.zeros(p.shape)
    step = 1e-30
    if rows is False:
        for index in np.ndindex(p.shape):
            moved = p.astype("complex128")
            moved[index] += step * 1j
            result[index] = np.imag(np.sum(weight * function(y, moved))) / step
        return result
    for column in range(p.shape[-1]):
        moved = p.astype("complex128")
        moved[..., column] += step * 1j
        result[..., column] = weight * np.imag(function(y, moved)) / step
    return result
