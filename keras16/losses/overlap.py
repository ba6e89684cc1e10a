"""Losses of overlapping regions."""

from __future__ import annotations

from typing import Any

import keras

from keras16.losses._sixteen import SixteenBit
from keras16.numerics import overlap
from keras16.numerics.terms import Terms


@keras.saving.register_keras_serializable(package="keras16")
class Dice(SixteenBit, keras.losses.Dice):
    """Keras' loss of that name; a small loss keeps its digits."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return overlap.dice(labels, predictions, self.axis)


@keras.saving.register_keras_serializable(package="keras16")
class Tversky(SixteenBit, keras.losses.Tversky):
    """Keras' loss of that name; a small loss keeps its digits."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return overlap.tversky(labels, predictions, self.alpha, self.beta, self.axis)
