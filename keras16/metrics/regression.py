"""Means of errors of real numbers."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras16.metrics._of_terms import MeanOf
from keras16.metrics.mean import ExactMean, mean_on_host
from keras16.numerics import accumulators, bits, regression, scaled, shapes
from keras16.numerics.scaled import Scaled
from keras16.numerics.terms import Terms


@keras.saving.register_keras_serializable(package="keras16.metrics")
class MeanSquaredError(MeanOf, keras.metrics.MeanSquaredError, ExactMean):
    """Keras' metric of that name, exact over any number of samples."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return regression.squared_error(labels, predictions)


@keras.saving.register_keras_serializable(package="keras16.metrics")
class MeanAbsoluteError(MeanOf, keras.metrics.MeanAbsoluteError, ExactMean):
    """Keras' metric of that name, exact over any number of samples."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return regression.absolute_error(labels, predictions)


@keras.saving.register_keras_serializable(package="keras16.metrics")
class MeanAbsolutePercentageError(
    MeanOf, keras.metrics.MeanAbsolutePercentageError, ExactMean
):
    """Keras' metric of that name, exact over any number of samples."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return regression.absolute_percentage_error(labels, predictions)


@keras.saving.register_keras_serializable(package="keras16.metrics")
class MeanSquaredLogarithmicError(
    MeanOf, keras.metrics.MeanSquaredLogarithmicError, ExactMean
):
    """Keras' metric of that name, exact over any number of samples."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return regression.squared_logarithmic_error(labels, predictions)


@keras.saving.register_keras_serializable(package="keras16.metrics")
class LogCoshError(MeanOf, keras.metrics.LogCoshError, ExactMean):
    """Keras' metric of that name, exact over any number of samples."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return regression.log_cosh(labels, predictions)


@keras.saving.register_keras_serializable(package="keras16.metrics")
class Poisson(MeanOf, keras.metrics.Poisson, ExactMean):
    """Keras' metric of that name, exact over any number of samples."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return regression.poisson(labels, predictions)


@keras.saving.register_keras_serializable(package="keras16.metrics")
class CosineSimilarity(MeanOf, keras.metrics.CosineSimilarity, ExactMean):
    """Keras' metric of that name; unlike Keras', `get_config` holds the axis.

    Args: as `keras.metrics.CosineSimilarity`.
    """

    def __init__(
        self, name: str = "cosine_similarity", dtype: Any = None, axis: int = -1
    ) -> None:
        super().__init__(name=name, dtype=dtype, axis=axis)
        self.axis = axis

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return regression.cosine_similarity(labels, predictions, self.axis)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


@keras.saving.register_keras_serializable(package="keras16.metrics")
class RootMeanSquaredError(MeanOf, keras.metrics.RootMeanSquaredError, ExactMean):
    """Keras' metric of that name; the mean square may be beyond float16."""

    def _values(self, y_true: Any, y_pred: Any) -> Scaled:
        pair = (ops.cast(x, self.dtype) for x in (y_true, y_pred))
        labels, predictions = shapes.same_shape(*pair)
        error = scaled.difference(predictions, labels)
        return error * error

    def result(self) -> Any:
        if not bits.is_16_bit(self.dtype):
            return super().result()
        sums = (ops.convert_to_tensor(v) for v in (self.total, self.count))
        total, count = (accumulators.as_scaled(v, self.dtype) for v in sums)
        nothing = count.x == 0
        mean = scaled.masked(ops.logical_not(nothing), total / count)
        return scaled.value(scaled.square_root(mean))

    def on_host(self) -> float:
        """The root of the mean in float64; NaN where it isn't finite."""
        return math.sqrt(mean_on_host(self))
