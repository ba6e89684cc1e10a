"""Root mean square normalization in 16 bits."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.layers import _parameters
from keras16.numerics import bits, normalization


@keras.saving.register_keras_serializable(package="keras16")
class RMSNormalization(keras.layers.RMSNormalization):
    """Keras' layer, its squares and their mean in 16 bits where its inputs are.

    Args: as `keras.layers.RMSNormalization`. Its default epsilon of 1e-6 counts in
        full, though 1e-6 is no normal float16.

    Source: Zhang and Sennrich, arXiv 1910.07467; backward pass by hand.
    """

    def call(self, x: Any) -> Any:
        if not bits.is_16_bit(self.compute_dtype):
            return super().call(x)
        x = ops.cast(x, self.compute_dtype)
        axes = _parameters.axes_of(x, self.axis)
        unit = normalization.over_root_mean_square(x, axes, self.epsilon)
        return _parameters.affine(unit, axes, self.scale, None)
