"""Losses of real numbers."""

from __future__ import annotations

from typing import Any

import keras

from keras16.losses._sixteen import SixteenBit
from keras16.numerics import regression
from keras16.numerics.terms import Terms


@keras.saving.register_keras_serializable(package="keras16")
class MeanSquaredError(SixteenBit, keras.losses.MeanSquaredError):
    """Keras' loss of that name; errors of 300 and more are squared without overflow."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return regression.squared_error(labels, predictions)


@keras.saving.register_keras_serializable(package="keras16")
class MeanAbsoluteError(SixteenBit, keras.losses.MeanAbsoluteError):
    """Keras' loss of that name."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return regression.absolute_error(labels, predictions)


@keras.saving.register_keras_serializable(package="keras16")
class MeanAbsolutePercentageError(SixteenBit, keras.losses.MeanAbsolutePercentageError):
    """Keras' loss of that name; labels below 1e-7 count as 1e-7, as there."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return regression.absolute_percentage_error(labels, predictions)


@keras.saving.register_keras_serializable(package="keras16")
class MeanSquaredLogarithmicError(SixteenBit, keras.losses.MeanSquaredLogarithmicError):
    """Keras' loss of that name; close logarithms don't cancel."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return regression.squared_logarithmic_error(labels, predictions)


@keras.saving.register_keras_serializable(package="keras16")
class Huber(SixteenBit, keras.losses.Huber):
    """Keras' loss of that name; unlike Keras', `get_config` holds delta.

    Args: as `keras.losses.Huber`.
    """

    def __init__(self, delta: float = 1.0, *args: Any, **kwargs: Any) -> None:
        super().__init__(delta, *args, **kwargs)
        self.delta = delta

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return regression.huber(labels, predictions, self.delta)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "delta": self.delta}


@keras.saving.register_keras_serializable(package="keras16")
class LogCosh(SixteenBit, keras.losses.LogCosh):
    """Keras' loss of that name; small errors keep their digits."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return regression.log_cosh(labels, predictions)


@keras.saving.register_keras_serializable(package="keras16")
class Poisson(SixteenBit, keras.losses.Poisson):
    """Keras' loss of that name."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return regression.poisson(labels, predictions)


@keras.saving.register_keras_serializable(package="keras16")
class CosineSimilarity(SixteenBit, keras.losses.CosineSimilarity):
    """Keras' loss of that name; unlike Keras', `get_config` holds the axis.

    Args: as `keras.losses.CosineSimilarity`.
    """

    def __init__(self, axis: int = -1, *args: Any, **kwargs: Any) -> None:
        super().__init__(axis, *args, **kwargs)
        self.axis = axis

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        terms = regression.cosine_similarity(labels, predictions, self.axis)
        return Terms(-terms.losses, lambda factor: terms.pull(-factor))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}
