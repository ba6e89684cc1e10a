"""From what `compile(metrics=...)` takes to keras16's metric of the same meaning."""

from __future__ import annotations

import importlib
from typing import Any

import keras

from keras16 import lookup
from keras16.backend import wrapped
from keras16.errors import UserError
from keras16.numerics import bits

ACCURACY = ("accuracy", "acc")
# Keras' metric functions by name -> the class of the same meaning.
OF_FUNCTION = {
    "binary_accuracy": "BinaryAccuracy",
    "binary_crossentropy": "BinaryCrossentropy",
    "categorical_accuracy": "CategoricalAccuracy",
    "categorical_crossentropy": "CategoricalCrossentropy",
    "categorical_hinge": "CategoricalHinge",
    "concordance_correlation": "ConcordanceCorrelation",
    "hinge": "Hinge",
    "kl_divergence": "KLDivergence",
    "log_cosh": "LogCoshError",
    "mean_absolute_error": "MeanAbsoluteError",
    "mean_absolute_percentage_error": "MeanAbsolutePercentageError",
    "mean_squared_error": "MeanSquaredError",
    "mean_squared_logarithmic_error": "MeanSquaredLogarithmicError",
    "pearson_correlation": "PearsonCorrelation",
    "poisson": "Poisson",
    "sparse_categorical_accuracy": "SparseCategoricalAccuracy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    "sparse_top_k_categorical_accuracy": "SparseTopKCategoricalAccuracy",
    "squared_hinge": "SquaredHinge",
    "top_k_categorical_accuracy": "TopKCategoricalAccuracy",
}


def get(identifier: Any, dtype: Any = None) -> Any:
    """The metric of keras16 that does what Keras would do with an identifier.

    Keras resolves "accuracy" (`CompileMetrics.build`, private) when it first sees
    labels and predictions, by their shapes. `AnyAccuracy` does so whenever it is
    updated: a `compile` of ours needs no shapes, and maps this function over what
    `compile(metrics=...)` and `compile(weighted_metrics=...)` nest, an identifier
    a leaf. Unlike for losses, Keras knows no "crossentropy" here.

    Args:
        identifier: What `compile(metrics=[...])` takes: a name ("accuracy" and
            "acc" choose by the shapes that they are given, as Keras does), a
            metric function or class or object of Keras, its config carried over,
            or a function of your own, whose mean is then exact; or None. A metric
            of keras16, or derived from one, in this dtype is given back as it is.
        dtype: Of the metric, "float16" say; None is Keras' floatx.

    Returns:
        A metric object of that dtype, named as Keras would name it; None for None.

    Raises:
        UserError: The metric has no 16-bit form, or there is no such metric.
    """
    if identifier is None:
        return None
    dtype = dtype or keras.config.floatx()
    if isinstance(identifier, str) and identifier.lower() in ACCURACY:
        return _ours("AnyAccuracy", {"name": identifier}, dtype)
    try:
        found = keras.metrics.get(identifier)
    except (TypeError, ValueError) as error:
        raise lookup.unknown("metrics", identifier, error) from error
    is_metric = isinstance(found, keras.metrics.Metric)
    metric = _of_object(found, dtype) if is_metric else _of(found, {}, dtype)
    # As Keras' compile names it.
    named = isinstance(identifier, str)
    metric.name = identifier if named else wrapped.name_of(found)
    return metric


def _of_object(metric: Any, dtype: Any) -> Any:
    name = type(metric).__name__
    if any(base.__module__.startswith("keras16.") for base in type(metric).__mro__):
        return _of_ours(metric, dtype)
    if not type(metric).__module__.startswith("keras."):
        if not bits.is_16_bit(_name(dtype)):
            return metric
        raise UserError(
            f"the metric {name} is not of Keras: keras16 can't know what it adds in "
            "16 bits. Write it as a function, or derive it from a metric of keras16."
        )
    if name == "MeanMetricWrapper":
        arguments = wrapped.arguments_of(metric)
        return _of(
            wrapped.function_of(metric), {"name": metric.name, **arguments}, dtype
        )
    config = {**metric.get_config(), **wrapped.arguments_of(metric)}
    return _ours(name, config, dtype)


def _of_ours(metric: Any, dtype: Any) -> Any:
    """A metric of keras16, or derived from one, in a dtype."""
    if metric.dtype == _name(dtype):
        return metric
    return type(metric).from_config({**metric.get_config(), "dtype": dtype})


def _name(dtype: Any) -> str:
    return str(keras.dtype_policies.get(dtype).compute_dtype)


def _of(function: Any, config: dict[str, Any], dtype: Any) -> Any:
    """The metric of a function."""
    name = getattr(function, "__name__", "")
    if getattr(keras.metrics, name, None) is function and name in OF_FUNCTION:
        return _ours(OF_FUNCTION[name], config, dtype)
    return _ours("MeanMetricWrapper", {"fn": function, **config}, dtype)


def _ours(name: str, config: dict[str, Any], dtype: Any) -> Any:
    cls = getattr(importlib.import_module("keras16.metrics"), name, None)
    if cls is None:
        raise UserError(
            f"the metric {name} has no 16-bit form: compute it from predict()."
        )
    return cls(**{**config, "dtype": dtype})
