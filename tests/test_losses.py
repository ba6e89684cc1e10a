"""Losses: values and gradients in float16 against float64, at every reduction."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras16 import losses
from tests.reference import losses as reference

ROWS, CLASSES = 64, 7
BOTH = pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])


def random(seed=0):
    return np.random.default_rng(seed)


def real(scale=1.0, shape=(ROWS, CLASSES)):
    r = random()
    return tuple((scale * r.normal(size=shape)).astype("float16") for _ in range(2))


def positive(scale=1.0):
    return tuple(np.abs(x) + np.float16(1e-3) for x in real(scale))


def yes_or_no(predictions):
    return random(1).integers(0, 2, predictions.shape).astype("float16"), predictions


def logits(scale=3.0):
    return real(scale)[1]


def probabilities():
    p = reference.softmax(logits(2.0).astype("float64"))
    return p.astype("float16")


def classes(predictions):
    ids = random(2).integers(0, CLASSES, ROWS)
    return reference.one_hot(ids, CLASSES).astype("float16"), predictions


def ids(predictions):
    return random(2).integers(0, CLASSES, ROWS).astype("int32"), predictions


def regions():
    return yes_or_no(random(3).uniform(0, 1, (ROWS, CLASSES)).astype("float16"))


# name of the class, its arguments, labels and predictions
CASES = {
    "mse": ("MeanSquaredError", {}, real()),
    "mse of 300": ("MeanSquaredError", {}, real(150.0)),
    "mse of 1e-4": ("MeanSquaredError", {}, real(1e-4)),
    "mae": ("MeanAbsoluteError", {}, real()),
    "mape": ("MeanAbsolutePercentageError", {}, real()),
    "msle": ("MeanSquaredLogarithmicError", {}, positive(3.0)),
    "huber": ("Huber", {}, real(2.0)),
    "huber .1": ("Huber", {"delta": 0.1}, real()),
    "log cosh": ("LogCosh", {}, real()),
    "log cosh of .01": ("LogCosh", {}, real(0.01)),
    "log cosh of 300": ("LogCosh", {}, real(300.0)),
    "poisson": ("Poisson", {}, positive()),
    "hinge": ("Hinge", {}, yes_or_no(logits())),
    "squared hinge": ("SquaredHinge", {}, yes_or_no(logits(300.0))),
    "categorical hinge": ("CategoricalHinge", {}, classes(logits())),
    "kl": ("KLDivergence", {}, (probabilities()[::-1].copy(), probabilities())),
    "binary logits": (
        "BinaryCrossentropy",
        {"from_logits": True},
        yes_or_no(logits(5.0)),
    ),
    "binary logits smoothed": (
        "BinaryCrossentropy",
        {"from_logits": True, "label_smoothing": 0.1},
        yes_or_no(logits(5.0)),
    ),
    "binary probabilities": ("BinaryCrossentropy", {}, yes_or_no(probabilities())),
    "binary focal logits": (
        "BinaryFocalCrossentropy",
        {"from_logits": True, "apply_class_balancing": True},
        yes_or_no(logits()),
    ),
    "binary focal probabilities": (
        "BinaryFocalCrossentropy",
        {"gamma": 2.5},
        yes_or_no(probabilities()),
    ),
    "categorical logits": (
        "CategoricalCrossentropy",
        {"from_logits": True},
        classes(logits()),
    ),
    "categorical logits smoothed": (
        "CategoricalCrossentropy",
        {"from_logits": True, "label_smoothing": 0.1},
        classes(logits()),
    ),
    "categorical probabilities": (
        "CategoricalCrossentropy",
        {},
        classes(probabilities()),
    ),
    "categorical probabilities smoothed": (
        "CategoricalCrossentropy",
        {"label_smoothing": 0.1},
        classes(probabilities()),
    ),
    "categorical focal logits": (
        "CategoricalFocalCrossentropy",
        {"from_logits": True},
        classes(logits()),
    ),
    "categorical focal probabilities": (
        "CategoricalFocalCrossentropy",
        {"gamma": 1.5, "alpha": 0.4},
        classes(probabilities()),
    ),
    "sparse logits": (
        "SparseCategoricalCrossentropy",
        {"from_logits": True},
        ids(logits()),
    ),
    "sparse probabilities": (
        "SparseCategoricalCrossentropy",
        {},
        ids(probabilities()),
    ),
    "generalized": (
        "CategoricalGeneralizedCrossEntropy",
        {"q": 0.7},
        ids(probabilities()),
    ),
    "cosine": ("CosineSimilarity", {}, real()),
    "dice": ("Dice", {}, regions()),
    "tversky": ("Tversky", {"alpha": 0.3, "beta": 0.7}, regions()),
}
# Derivatives that are differences of two numbers of about 1: their error is
# 4 units in the last place of those, not of what is left.
DIFFERENCES = {
    "categorical logits smoothed": 1.0,
    "categorical probabilities smoothed": 8.0,
    "binary logits smoothed": 1.0,
    "cosine": 0.5,
}
CASE = pytest.mark.parametrize("case", CASES)


def snake(name):
    return keras.src.utils.naming.to_snake_case(name)


def twin(case):
    name, arguments, _ = CASES[case]
    special = {
        "KLDivergence": "kl_divergence",
        "CategoricalGeneralizedCrossEntropy": "categorical_generalized_cross_entropy",
    }
    return functools.partial(
        getattr(reference, special.get(name, snake(name))), **arguments
    )


def run(loss, y, p, weight=None, compiled=False):
    """The loss and its gradient by the predictions."""

    @tf.function(jit_compile=compiled, autograph=False)
    def step(y, p, weight):
        with tf.GradientTape() as tape:
            tape.watch(p)
            value = loss(y, p, weight)
        return value, tape.gradient(value, p)

    weight = None if weight is None else tf.constant(weight)
    value, gradient = step(tf.constant(y), tf.constant(p), weight)
    assert value.dtype == gradient.dtype == tf.float16
    return value.numpy().astype("float64"), gradient.numpy().astype("float64")


def unit(x):
    """The unit in the last place of float16 at x."""
    exponent = np.floor(np.log2(np.maximum(np.abs(x), 2.0**-14)))
    return 2.0 ** (exponent - 10)


def assert_units(found, expected, units, floor=0.0):
    """FLOOR: the size of the numbers whose difference is expected."""
    error = np.abs(found - expected) / unit(np.maximum(np.abs(expected), floor))
    assert np.all(np.isfinite(found))
    assert np.max(error) <= units, (np.max(error), np.argmax(error))


def expected(case, weight, share):
    """Losses, and the gradient of weight x share x loss."""
    _, _, (y, p) = CASES[case]
    y, p = (x if x.dtype.kind == "i" else x.astype("float64") for x in (y, p))
    function = twin(case)
    rows = function(y, p).shape != ()
    with np.errstate(all="ignore"):
        slopes = reference.gradient(function, y, p, weight * share, rows or False)
        return function(y, p), slopes


@CASE
@BOTH
def test_mean_and_gradient_agree_with_float64(case, compiled):
    name, arguments, (y, p) = CASES[case]
    loss = getattr(losses, name)(dtype="float16", **arguments)
    value, gradient = run(loss, y, p, compiled=compiled)
    share = 1 if twin(case)(*map(np.float64, (y, p))).shape == () else 1 / ROWS
    each, slopes = expected(case, 1.0, share)
    assert_units(value, each.mean(), 4, floor=np.abs(each).mean())
    assert_units(gradient, slopes, 4, floor=DIFFERENCES.get(case, 0.0) * share)
