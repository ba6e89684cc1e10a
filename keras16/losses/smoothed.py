"""Cross-entropy with label smoothing, of integer class ids."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.losses.categorical import CategoricalCrossentropy
from keras16.numerics import shapes


@keras.saving.register_keras_serializable(package="keras16")
class SmoothedCrossentropy(CategoricalCrossentropy):
    """`CategoricalCrossentropy` for class ids, which Keras does not smooth.

    Args: as `keras.losses.CategoricalCrossentropy`; labels are int32 [examples], in
        [0, classes).

    Source: Szegedy et al., arXiv 1512.00567, section 7.
    """

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        ids = shapes.class_ids(y_true, y_pred)
        labels = ops.one_hot(ids, y_pred.shape[self.axis], dtype=y_pred.dtype)
        return super().__call__(labels, y_pred, sample_weight)
