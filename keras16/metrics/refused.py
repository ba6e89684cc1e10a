"""Keras' metrics that have no 16-bit form: they say so instead of going wrong."""

from __future__ import annotations

from typing import Any

import keras

from keras16.errors import UserError
from keras16.metrics._confusion import starts_in_16_bits

ADVICE = "Take another metric, or compute it from predict()."


class _Refused:
    """A mixin before the metric."""

    refused_because = "it is a difference of sums of squares, which cancel"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if starts_in_16_bits(self.dtype):  # type: ignore[attr-defined]
            name, reason = type(self).__name__, self.refused_because
            raise UserError(f"{name} has no 16-bit form: {reason}. {ADVICE}")


@keras.saving.register_keras_serializable(package="keras16.metrics")
class R2Score(_Refused, keras.metrics.R2Score):
    """Keras' metric of that name; refused in 16 bits but with `dtype="float32"`."""


@keras.saving.register_keras_serializable(package="keras16.metrics")
class PearsonCorrelation(_Refused, keras.metrics.PearsonCorrelation):
    """Keras' metric of that name; refused in 16 bits but with `dtype="float32"`."""


@keras.saving.register_keras_serializable(package="keras16.metrics")
class ConcordanceCorrelation(_Refused, keras.metrics.ConcordanceCorrelation):
    """Keras' metric of that name; refused in 16 bits but with `dtype="float32"`."""
