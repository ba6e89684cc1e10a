"""Metrics over more samples than float16 counts."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np

from keras16 import backend, metrics
from keras16.exactness._row import Found, Row, share_off, wide

BATCHES, BATCH, CLASSES = 40, 2048, 4
EXACT = 2.0**-24  # Keras adds 1e-7 to the divisor of some
# A metric, its arguments, what it is given, and the bound of its error.
CASES: dict[str, tuple[dict[str, Any], str, float]] = {
    "Mean": ({}, "values", EXACT),
    "SparseCategoricalAccuracy": ({}, "ids", EXACT),
    "BinaryAccuracy": ({}, "yes or no", EXACT),
    "Precision": ({}, "yes or no", EXACT),
    "Recall": ({}, "yes or no", EXACT),
    "AUC": ({}, "yes or no", 2.0**-10),
    "MeanSquaredError": ({}, "numbers", 2.0**-10),
    "MeanAbsoluteError": ({}, "numbers", 2.0**-10),
    "RootMeanSquaredError": ({}, "numbers", 2.0**-10),
    "SparseCategoricalCrossentropy": ({"from_logits": True}, "ids", 2.0**-10),
}


def batches(kind: str) -> list[tuple[np.ndarray, ...]]:
    """What a metric is updated with, batch by batch."""
    random = np.random.default_rng(0)
    return [_batch(kind, random) for _ in range(BATCHES)]


def _batch(kind: str, random: np.random.Generator) -> tuple[np.ndarray, ...]:
    logits = random.normal(0, 3, (BATCH, CLASSES)).astype("float16")
    if kind == "values":
        return (np.abs(logits),)
    if kind == "ids":
        return random.integers(0, CLASSES, BATCH).astype("int32"), logits
    if kind == "numbers":
        return random.normal(0, 3, (BATCH, CLASSES)).astype("float16"), logits
    labels = random.integers(0, 2, (BATCH, 1)).astype("float16")
    p = 1 / (1 + np.exp(-wide(logits[:, :1]) - wide(labels)))
    return labels, p.astype("float16")


def metric_error(name: str, library: Any, compiled: bool) -> Found:
    """The error of the result as a share, against Keras in float64."""
    function, found = _result(name, library, "float16", compiled)
    _, exact = _result(name, keras.metrics, "float64", False)
    return Found(share_off(found, exact), function.wide)


def _result(name: str, library: Any, dtype: str, compiled: bool) -> tuple[Any, float]:
    """The traced update, and the result after all batches, as it is reported."""
    arguments, kind, _ = CASES[name]
    metric = getattr(library, name)(dtype=dtype, **arguments)
    given = [
        tuple(x if x.dtype == "int32" else x.astype(dtype) for x in batch)
        for batch in batches(kind)
    ]
    metric.update_state(*given[0])  # makes the variables of those that wait
    metric.reset_state()

    def update(*tensors: Any) -> Any:
        metric.update_state(*tensors)
        return tensors[-1]

    function = backend.module().Function(update, compiled)
    for batch in given:
        function(*batch)
    if library is metrics:
        return function, metrics.on_host(metric)
    return function, float(metric.result())


ROWS = tuple(
    Row(
        f"metric {name}",
        f"{BATCHES * BATCH:,} samples",
        "share of it, as reported",
        bound,
        functools.partial(metric_error, name, metrics),
        functools.partial(metric_error, name, keras.metrics),
        "test_metrics.py",
    )
    for name, (_, _, bound) in CASES.items()
)
