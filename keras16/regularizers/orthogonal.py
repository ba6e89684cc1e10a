"""How far the rows or columns of a matrix are from being orthogonal."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.numerics import bits, products, reductions, regression, scaled
from keras16.numerics.scaled import Scaled
from keras16.regularizers.norms import penalized


@keras.saving.register_keras_serializable(package="keras16")
class OrthogonalRegularizer(keras.regularizers.OrthogonalRegularizer):
    """Keras' mean magnitude of the cosines between rows (or columns)."""

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        super().__init__(factor, mode)
        # Keras' own makes a float32 tensor of the factor.
        self.factor = float(factor)

    def __call__(self, inputs: Any) -> Any:
        if not bits.is_16_bit(inputs.dtype):
            return super().__call__(inputs)
        if len(inputs.shape) != 2:
            raise ValueError(
                "Inputs to OrthogonalRegularizer must have rank 2. Received: "
                f"inputs.shape={inputs.shape}"
            )
        inputs = ops.convert_to_tensor(inputs)
        rows = inputs if self.mode == "rows" else ops.transpose(inputs)
        return penalized(rows, self._penalty)

    def _penalty(self, rows: Scaled) -> tuple[Scaled, Scaled]:
        units, length, _ = regression.unit_vectors(scaled.value(rows), 1)
        flat = scaled.value(units)
        count = rows.x.shape[0]
        others = 1 - ops.eye(count, dtype=flat.dtype)
        cosines = products.matmul(flat, ops.transpose(flat)) * others
        share = self.factor / (count * (count - 1.0)) if count > 1 else 0.0
        value = scaled.total(scaled.of(ops.abs(cosines))) * share
        # The derivative by the unit vectors, then by the rows: across each.
        pull = products.matmul(ops.sign(cosines), flat)
        along = reductions.last_axis_sum(pull * flat)
        slope = scaled.of(pull - along * flat) / length * (2 * share)
        return value, slope
