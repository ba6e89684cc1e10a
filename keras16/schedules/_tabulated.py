"""What the schedules share: rates from a table instead of float32 in the step."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np

from keras16.numerics import bits, tables
from keras16.numerics import scaled_steps as scaled

EXACT_STEPS = 1 << 14
ENTRIES_A_DOUBLING = 1 << 11


class Tabulated:
    """A mixin before one of Keras' schedules, which compute in float32 in the step.

    The rates of 16,384 steps are computed in float64 on the host and looked up, each
    rounded once; after those, 2,048 rates for each doubling of the step with
    straight lines between them, which smears a jump over 1/2,048 of its step.
    """

    last: int = tables.LAST_STEP  # from here on the rate stays as it is

    def rates(self, step: np.ndarray) -> np.ndarray:
        """The rates of some steps, counted from 0, in float64."""
        raise NotImplementedError

    def rate(self, step: int) -> float:
        """The rate of a step in float64."""
        return float(self.rates(np.asarray([min(step, self.last)], "float64"))[0])

    def word(self, step: Any) -> Any:
        """The rate of a step as an int32 word (see `keras16.numerics.scaled_steps`)."""
        return self._table.at(step)

    @property
    def peak(self) -> float:
        """The largest rate of all."""
        return scaled.host_number(self._table.words.max())

    def __call__(self, step: Any) -> Any:
        """The rate in Keras' floatx: Keras' own result where that is wider."""
        floatx = keras.config.floatx()
        if not bits.is_16_bit(floatx):
            return super().__call__(step)  # type: ignore[misc]
        return scaled.of_word(self.word(step), floatx).collapsed()

    @functools.cached_property
    def _table(self) -> tables.Table:
        return tables.tabulated(
            lambda step: np.maximum(self.rates(step), 0),
            last=self.last,
            exact=EXACT_STEPS,
            octave=ENTRIES_A_DOUBLING,
        )
