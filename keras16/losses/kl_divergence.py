"""The divergence of Kullback and Leibler."""

from __future__ import annotations

from typing import Any

import keras

from keras16.losses._sixteen import SixteenBit
from keras16.numerics import categorical
from keras16.numerics.terms import Terms


@keras.saving.register_keras_serializable(package="keras16")
class KLDivergence(SixteenBit, keras.losses.KLDivergence):
    """Keras' loss of that name; close distributions don't cancel term by term."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return categorical.divergence(labels, predictions)
