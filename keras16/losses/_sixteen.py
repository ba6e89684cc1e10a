"""What the losses share in 16 bits."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.backend import outputs
from keras16.errors import UserError
from keras16.numerics import batch_reduction, bits, shapes
from keras16.numerics.terms import Terms


class SixteenBit:
    """A mixin before one of Keras' losses: its arguments, config and meaning.

    At 32 bits the class is Keras' own. In 16 bits every loss keeps an exponent of
    its own until the whole is reduced, so that neither a loss beyond 65,504 nor
    the factor 1 / batch leaves float16's range; the gradient of the predictions
    is written by hand and rounded once. Labels and sample weights are constants:
    no gradient flows back to them.

    The factor 1 / batch: the reduction "sum_over_batch_size" (Keras' default) is
    the plain definition, and a gradient of it is rounded once, as a whole. It is
    small all the same where the batch is large: of a batch of 4,096, derivatives
    of a loss below 1/4 give gradients below float16's normal numbers (6.1e-5) and
    have fewer than 11 bits, those below 1.2e-4 vanish. What helps is not to divide:
    `reduction="sum"` has gradients that are `batch` times as large, right to 4 units
    in the last place, and leaves it to the optimizer's settings to take that back.
    It is another objective, not loss scaling: nothing is divided out again.
    """

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        if not bits.is_16_bit(self.dtype):  # type: ignore[attr-defined]
            return super().__call__(y_true, y_pred, sample_weight)  # type: ignore[misc]
        with keras.name_scope(self.name):  # type: ignore[attr-defined]
            return self._sixteen(y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The losses before weights and reduction, one for each example."""
        if not bits.is_16_bit(self.dtype):  # type: ignore[attr-defined]
            return super().call(y_true, y_pred)  # type: ignore[misc]
        labels, predictions = self._prepared(y_true, y_pred)
        return batch_reduction.reduced(
            lambda p: self._terms(labels, p), predictions, reduction=None
        )

    def get_config(self) -> dict[str, Any]:
        # Keras' own leave the dtype out: a reloaded loss would take the floatx.
        config = super().get_config()  # type: ignore[misc]
        return {**config, "dtype": self.dtype}  # type: ignore[attr-defined]

    def _sixteen(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Any:
        labels, predictions = self._prepared(y_true, y_pred)
        return batch_reduction.reduced(
            lambda p: self._terms(labels, p),
            predictions,
            reduction=self.reduction,  # type: ignore[attr-defined]
            sample_weight=sample_weight,
            mask=outputs.mask_of(y_pred),
        )

    def _prepared(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """Labels and predictions as `_terms` takes them; gradients flow through."""
        dtype = self.dtype  # type: ignore[attr-defined]
        y_true, y_pred = (ops.cast(x, dtype) for x in (y_true, y_pred))
        return shapes.same_shape(y_true, y_pred)

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        """The loss of each example, and the way back."""
        raise NotImplementedError


class Refused:
    """A mixin before one of Keras' losses that has no 16-bit equal, which says so."""

    refused_because: str

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        if bits.is_16_bit(self.dtype):  # type: ignore[attr-defined]
            raise UserError(refusal(type(self).__name__, self.refused_because))
        return super().__call__(y_true, y_pred, sample_weight)  # type: ignore[misc]


def refusal(name: str, reason: str) -> str:
    """One line that says why, and what to do."""
    return (
        f"{name} has no 16-bit form: {reason}. Take another loss, or mixed precision."
    )
