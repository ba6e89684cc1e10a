"""Means of hinge losses."""

from __future__ import annotations

from typing import Any

import keras

from keras16.metrics._of_terms import MeanOf
from keras16.metrics.mean import Mean
from keras16.numerics import categorical, hinges
from keras16.numerics.terms import Terms


@keras.saving.register_keras_serializable(package="keras16")
class Hinge(MeanOf, keras.metrics.Hinge, Mean):
    """Keras' metric of that name, exact over any number of samples."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return hinges.hinge(labels, predictions)


@keras.saving.register_keras_serializable(package="keras16")
class SquaredHinge(MeanOf, keras.metrics.SquaredHinge, Mean):
    """Keras' metric of that name, exact over any number of samples."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return hinges.squared_hinge(labels, predictions)


@keras.saving.register_keras_serializable(package="keras16")
class CategoricalHinge(MeanOf, keras.metrics.CategoricalHinge, Mean):
    """Keras' metric of that name, exact over any number of samples."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return categorical.hinge(labels, predictions)
