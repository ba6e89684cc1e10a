"""Hinge losses."""

from __future__ import annotations

from typing import Any

import keras

from keras16.losses._sixteen import SixteenBit
from keras16.numerics import categorical, hinges
from keras16.numerics.terms import Terms


@keras.saving.register_keras_serializable(package="keras16")
class Hinge(SixteenBit, keras.losses.Hinge):
    """Keras' loss of that name."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return hinges.hinge(labels, predictions)


@keras.saving.register_keras_serializable(package="keras16")
class SquaredHinge(SixteenBit, keras.losses.SquaredHinge):
    """Keras' loss of that name; large margins are squared without overflow."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return hinges.squared_hinge(labels, predictions)


@keras.saving.register_keras_serializable(package="keras16")
class CategoricalHinge(SixteenBit, keras.losses.CategoricalHinge):
    """Keras' loss of that name."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return categorical.hinge(labels, predictions)
