"""Losses and regularizers: values and gradients."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np

from keras16 import backend, losses, regularizers
from keras16.exactness._row import Found, Row, found_worst, units_off, wide

ROWS_, CLASSES = 64, 7
Pair = tuple[np.ndarray, np.ndarray]


def _real(scale: float) -> Pair:
    random = np.random.default_rng(0)
    shape = (ROWS_, CLASSES)
    first, second = ((scale * random.normal(size=shape)) for _ in range(2))
    return first.astype("float16"), second.astype("float16")


def _positive(scale: float) -> Pair:
    first, second = _real(scale)
    return np.abs(first) + np.float16(1e-3), np.abs(second) + np.float16(1e-3)


def _shares(scale: float) -> np.ndarray:
    powers = np.exp(wide(_real(scale)[1]))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype("float16")


def _ids() -> np.ndarray:
    return np.random.default_rng(2).integers(0, CLASSES, ROWS_).astype("int32")


def _yes_or_no() -> np.ndarray:
    drawn = np.random.default_rng(1).integers(0, 2, (ROWS_, CLASSES))
    return drawn.astype("float16")


def _classes() -> np.ndarray:
    return np.eye(CLASSES, dtype="float16")[_ids()]


LOGITS = {"from_logits": True}
# A loss, its arguments, and the labels and predictions of some magnitudes.
CASES: dict[str, tuple[dict[str, Any], list[Pair]]] = {
    "MeanSquaredError": ({}, [_real(1e-4), _real(1.0), _real(50.0)]),
    "MeanAbsoluteError": ({}, [_real(1e-4), _real(1.0), _real(1e4)]),
    "MeanSquaredLogarithmicError": ({}, [_positive(0.1), _positive(3.0)]),
    "Huber": ({}, [_real(0.01), _real(2.0), _real(1e4)]),
    "LogCosh": ({}, [_real(0.1), _real(1.0), _real(1e4)]),
    "Poisson": ({}, [_positive(1.0), _positive(30.0)]),
    "Hinge": ({}, [(_yes_or_no(), _real(3.0)[1]), (_yes_or_no(), _real(1e4)[1])]),
    "SquaredHinge": ({}, [(_yes_or_no(), _real(3.0)[1]), (_yes_or_no(), _real(50)[1])]),
    "CategoricalHinge": ({}, [(_classes(), _real(3.0)[1])]),
    "KLDivergence": ({}, [(_shares(2.0)[::-1].copy(), _shares(2.0))]),
    "BinaryCrossentropy": (
        LOGITS,
        [(_yes_or_no(), _real(scale)[1]) for scale in (0.1, 5.0, 3e3)],
    ),
    "BinaryCrossentropy of probabilities": ({}, [(_yes_or_no(), _shares(2.0))]),
    "BinaryFocalCrossentropy": ({}, [(_yes_or_no(), _shares(2.0))]),
    "CategoricalCrossentropy": (
        LOGITS,
        [(_classes(), _real(scale)[1]) for scale in (0.1, 3.0, 300.0, 1e4)],
    ),
    "CategoricalCrossentropy of probabilities": ({}, [(_classes(), _shares(2.0))]),
    "CategoricalFocalCrossentropy": ({}, [(_classes(), _shares(2.0))]),
    "SparseCategoricalCrossentropy": (
        LOGITS,
        [(_ids(), _real(scale)[1]) for scale in (0.1, 3.0, 300.0, 1e4)],
    ),
    "SparseCategoricalCrossentropy of probabilities": ({}, [(_ids(), _shares(2.0))]),
    "Dice": ({}, [(_yes_or_no(), _shares(1.0))]),
    "Tversky": ({}, [(_yes_or_no(), _shares(1.0))]),
}


def loss_error(case: str, library: Any, compiled: bool) -> Found:
    """The worst error of value and gradient, against Keras in float64."""
    arguments, pairs = CASES[case]
    function = _step(case, library, "float16", compiled)
    exact_function = _step(case, keras.losses, "float64", False)
    errors = []
    for labels, predictions in pairs:
        y = labels if labels.dtype == "int32" else wide(labels)
        exact = exact_function(np.float64(1), y, wide(predictions))
        found = function(np.float16(1), labels, predictions)
        # The value is one of sums: in units of the mean of magnitudes, its own.
        errors += [units_off(found[0], exact[0]), units_off(found[-1], exact[-1])]
    return found_worst(errors, function)


def _step(case: str, library: Any, dtype: str, compiled: bool) -> Any:
    """A function of (1, labels, predictions): the value, and the gradients."""
    loss = getattr(library, case.split(" of ")[0])(dtype=dtype, **CASES[case][0])

    def step(upstream: Any, labels: Any, predictions: Any) -> Any:
        both = backend.module().with_gradients(lambda p: loss(labels, p))
        return both(upstream, predictions)

    return backend.module().Function(step, compiled)


def batch_error(library: Any, compiled: bool) -> Found:
    """A batch of 131,072: the mean's share 1 / batch is subnormal."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, (1 << 17, 2)).astype("float16")
    ids = random.integers(0, 2, 1 << 17).astype("int32")
    case = "SparseCategoricalCrossentropy"
    function = _step(case, library, "float16", compiled)
    exact_function = _step(case, keras.losses, "float64", False)
    exact = exact_function(np.float64(1), ids, wide(logits))
    found = function(np.float16(1), ids, logits)
    pairs = zip(found, exact, strict=True)
    return found_worst((units_off(*pair) for pair in pairs), function)


def ids_error(library: Any, compiled: bool) -> Found:
    """Class ids beyond 2,048, which float16 rounds."""
    logits = np.zeros((64, 5000), "float16")
    ids = np.arange(2049, 2049 + 64 * 41, 41).astype("int32")
    logits[np.arange(64), ids] = 9
    case = "SparseCategoricalCrossentropy"
    function = _step(case, library, "float16", compiled)
    exact_function = _step(case, keras.losses, "float64", False)
    exact = exact_function(np.float64(1), ids, wide(logits))
    found = function(np.float16(1), ids, logits)
    pairs = zip(found, exact, strict=True)
    return found_worst((units_off(*pair) for pair in pairs), function)


def penalty_error(name: str, library: Any, compiled: bool) -> Found:
    """The penalty of 3,000 weights, where it is within the format, and its gradient."""
    function = _penalty(name, library, compiled)
    exact_function = _penalty(name, keras.regularizers, False)
    errors = []
    for scale in (1e-3, 1.0, 30.0):
        random = np.random.default_rng(0)
        weights = (random.normal(size=3000) * scale).astype("float16")
        exact = exact_function(np.float64(1), wide(weights))
        found = function(np.float16(1), weights)
        errors += [units_off(*pair) for pair in zip(found, exact, strict=True)]
    return found_worst(errors, function)


def _penalty(name: str, library: Any, compiled: bool) -> Any:
    penalty = getattr(library, name)(0.01)
    return backend.module().Function(backend.module().with_gradients(penalty), compiled)


def _row(case: str) -> Row:
    pairs = CASES[case][1]
    sizes = sorted(f"{np.abs(p).max():.2g}" for _, p in pairs)
    return Row(
        f"{case}",
        f"{ROWS_} x {CLASSES} predictions up to {', '.join(sizes)}",
        "ulp, of value and gradient",
        4,
        functools.partial(loss_error, case, losses),
        functools.partial(loss_error, case, keras.losses),
        "test_losses.py",
    )


ROWS = (
    *(_row(case) for case in CASES),
    Row(
        "cross-entropy of a large batch",
        "131,072 x 2 logits",
        "ulp, of value and gradient",
        4,
        functools.partial(batch_error, losses),
        functools.partial(batch_error, keras.losses),
        "test_losses.py",
    ),
    Row(
        "cross-entropy of many classes",
        "64 x 5,000 logits, ids from 2,049 on",
        "ulp, of value and gradient",
        4,
        functools.partial(ids_error, losses),
        functools.partial(ids_error, keras.losses),
        "test_losses.py",
    ),
    *(
        Row(
            f"regularizer {name}",
            "3,000 weights of 1e-3, 1 and 30",
            "ulp, of value and gradient",
            2,
            functools.partial(penalty_error, name, regularizers),
            functools.partial(penalty_error, name, keras.regularizers),
            "test_regularizers_and_constraints.py",
        )
        for name in ("L1", "L2")
    ),
)
