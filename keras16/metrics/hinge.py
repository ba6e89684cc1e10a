"""Means of hinge losses."""

from __future__ import annotations

from typing import Any

import keras

from keras16.metrics._of_terms import MeanOf
from keras16.metrics.mean import ExactMean
from keras16.numerics import categorical, hinges
from keras16.numerics.terms import Terms


@keras.saving.register_keras_serializable(package="keras16.metrics")
class Hinge(MeanOf, keras.metrics.Hinge, ExactMean):
    """Keras' metric of that name, exact over any number of samples."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return hinges.hinge(labels, predictions)


@keras.saving.register_keras_serializable(package="keras16.metrics")
class SquaredHinge(MeanOf, keras.metrics.SquaredHinge, ExactMean):
    """Keras' metric of that name, exact over any number of samples."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return hinges.squared_hinge(labels, predictions)


@keras.saving.register_keras_serializable(package="keras16.metrics")
class CategoricalHinge(MeanOf, keras.metrics.CategoricalHinge, ExactMean):
    """Keras' metric of that name, exact over any number of samples."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return categorical.hinge(labels, predictions)
