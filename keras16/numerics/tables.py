"""Functions of the step as tables: computed in float64, looked up in the step.

Powers such as 1 - beta**step and whole learning-rate schedules need more than 16
bits to compute, not to hold. Each is a table of int32 words (see `softfloat.word`),
one for each of the first steps and from there on a fixed number for each doubling
of the step, with straight lines between them, up to 2**31 steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from keras16 import backend
from keras16.numerics import bits, softfloat

LAST_STEP = 2**31 - 1
_FINE_BITS = 6  # of the place between two entries


class Table(NamedTuple):
    """A non-negative function of the step.

    Attributes:
        words: [n] int32.
        exact: Steps from 0 on with an entry each, a power of two.
        octave: Entries for each doubling after that, a power of two <= exact.
    """

    words: np.ndarray
    exact: int
    octave: int

    def at(self, step: Any) -> Any:
        """The word of a step.

        Args:
            step: Integer scalar tensor, at least 0.
        """
        step = ops.cast(step, "int32")
        words = ops.convert_to_tensor(self.words)
        own = backend.module().own_kernels()
        if own is not None:
            return own.table_entry(words, step, self.exact, self.octave)
        last = len(self.words) - 1
        if last < self.exact:
            return ops.take(words, ops.minimum(step, last))
        # The entries of an octave are 2**width steps apart.
        width = ops.maximum(bits.bit_length(step) - self.octave.bit_length(), 0)
        width = ops.where(step < self.exact, 0, width)
        place = self._place(step, width)
        low = ops.take(words, ops.minimum(place, last))
        high = ops.take(words, ops.minimum(place + 1, last))
        return low + _part(step, width) * ops.right_shift(high - low, _FINE_BITS)

    def _place(self, step: Any, width: Any) -> Any:
        """The entry at or before a step."""
        skipped = self.exact.bit_length() - self.octave.bit_length()
        doublings = ops.maximum(width - skipped, 0)
        later = self.exact + doublings * self.octave
        later = later + ops.right_shift(step, width) - self.octave
        return ops.where(step < self.exact, step, later)


def tabulated(
    function: Callable[[np.ndarray], np.ndarray],
    last: int = LAST_STEP,
    exact: int = 1024,
    octave: int = 256,
) -> Table:
    """The table of a function.

    Args:
        function: Of float64 step numbers, to non-negative float64 numbers.
        last: The step from which the function stays as it is.
        exact: See `Table`.
        octave: Likewise. 256 keep a smooth function to 2e-6 of itself; a jump is
            smeared over 1 / octave of the step that it happens at.
    """
    steps = [np.arange(min(exact, last + 1), dtype="float64")]
    start = exact
    while start <= last:
        steps.append(start + np.arange(octave) * (start / octave))
        start *= 2
    places = np.minimum(np.concatenate([*steps, [min(start, LAST_STEP)]]), last)
    if last < exact:
        places = steps[0]
    return Table(softfloat.word(function(places)), exact, octave)


def _part(step: Any, width: Any) -> Any:
    """How far a step is past its entry, in 64ths of the distance to the next."""
    past = ops.bitwise_and(step, ops.left_shift(1, width) - 1)
    coarse = ops.maximum(width - _FINE_BITS, 0)
    fine = ops.maximum(_FINE_BITS - width, 0)
    return ops.left_shift(ops.right_shift(past, coarse), fine)
