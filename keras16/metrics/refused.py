"""Keras' metrics that have no 16-bit form: they say so instead of going wrong."""

from __future__ import annotations

from typing import Any

import keras

from keras16.errors import UserError
from keras16.metrics._confusion import starts_in_16_bits

REASON = (
    "{name} has no 16-bit form: it is a difference of sums of squares, which cancel. "
    "Compute it from predict(), or give it dtype='float32'."
)


class _Refused:
    """A mixin before the metric."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if starts_in_16_bits(self.dtype):  # type: ignore[attr-defined]
            raise UserError(REASON.format(name=type(self).__name__))


@keras.saving.register_keras_serializable(package="keras16.metrics")
class R2Score(_Refused, keras.metrics.R2Score):
    """Keras' metric of that name; refused in 16 bits."""


@keras.saving.register_keras_serializable(package="keras16.metrics")
class PearsonCorrelation(_Refused, keras.metrics.PearsonCorrelation):
    """Keras' metric of that name; refused in 16 bits."""


@keras.saving.register_keras_serializable(package="keras16.metrics")
class ConcordanceCorrelation(_Refused, keras.metrics.ConcordanceCorrelation):
    """Keras' metric of that name; refused in 16 bits."""
