"""What the optimizers share in 16 bits."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from keras16.backend import optimizer as private
from keras16.numerics import bits


class SixteenBit:
    """A mixin before one of Keras' optimizers.

    A 16-bit variable is given `_sixteen_step`; any other one Keras' own update.
    Weight decay goes into the same subtraction as the step: taken alone,
    learning_rate x weight_decay x w is below half a unit in the last place of w
    and would never change it.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if not bits.is_16_bit(bits.name_of(variable)):
            super().update_step(gradient, variable, learning_rate)  # type: ignore[misc]
            return
        gradient = ops.cast(gradient, variable.dtype)
        rate = ops.cast(learning_rate, variable.dtype)
        step = self._sixteen_step(gradient, variable, rate)
        decay = private.weight_decay(self, variable)
        if decay:
            step = step + ops.convert_to_tensor(variable) * (rate * decay)
        self.assign_sub(variable, step)  # type: ignore[attr-defined]

    def _sixteen_step(self, gradient: Any, variable: Any, rate: Any) -> Any:
        """What to subtract from a 16-bit variable, of its shape and dtype."""
        raise NotImplementedError

    def _apply_weight_decay(self, variables: Any) -> None:
        wide = [v for v in variables if not bits.is_16_bit(bits.name_of(v))]
        super()._apply_weight_decay(wide)  # type: ignore[misc]

    def _slot(self, slots: list[Any], variable: Any) -> Any:
        return slots[private.index(self, variable)]

    def _steps(self, dtype: Any) -> Any:
        """The number of this step, from 1; infinite where the format ends."""
        return ops.cast(self.iterations + 1, dtype)  # type: ignore[attr-defined]


def missing_weight(beta: float, steps: Any) -> Any:
    """1 - beta**steps in the dtype of `steps`, without cancellation."""
    return -ops.expm1(steps * math.log(beta)) if beta else ops.ones_like(steps)
