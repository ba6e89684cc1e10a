"""Adam in 16 bits."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras16.numerics import softfloat
from keras16.numerics.softfloat import SoftFloat
from keras16.optimizers import _settings
from keras16.optimizers._group import Group
from keras16.optimizers._sixteen import MEAN, ROOT, Kernel, SixteenBit, seen

DEFAULTS = {"learning_rate": 1e-3, "epsilon": 1e-7}


def build(schedule: _settings.Schedule, **given: Any) -> Adam:
    """Adam of the given settings, where None takes the default.

    Args:
        schedule: Makes Keras' learning rate of the initial one.
        **given: What `DEFAULTS` names, `weight_decay`, `rounding` and `seed`.
    """
    return Adam(**_settings.chosen("adam", DEFAULTS, schedule, given))


@keras.saving.register_keras_serializable(package="keras16")
class Adam(SixteenBit, keras.optimizers.Adam):
    """Keras' Adam, whose step in 16 bits is the one that float64 gives.

    In float16 Keras' second moment, (1 - beta_2) g**2, is 0 for gradients below
    5.5e-3, so that the step is learning_rate x m / 1e-7, and it is infinite from
    g = 256 on. Here the slot holds its root (arXiv 2102.13565), and both slots
    are averages over the steps so far (their bias is never there to correct), so
    that neither leaves the range of the gradient itself. Both are rounded by
    chance, without which they stall (see `numerics.moments`). Epsilon 1e-7 then
    means what it means in float32. The slots are Keras' in number, shape and name.

    Args: as `keras.optimizers.Adam`, and `rounding` and `seed` (`SixteenBit`).

    Source: Kingma and Ba, arXiv 1412.6980, algorithm 1.
    """

    def _sixteen_step(
        self, gradient: SoftFloat, group: Group, rate: SoftFloat
    ) -> SoftFloat:
        mean = self.moved_mean(self._momentums, group, gradient)
        root = self.moved_deviation(self._velocities, group, gradient)
        if self.amsgrad:
            root = self._largest(root, group)
        return rate * mean.over(root + softfloat.of_word(self._floor()))

    def _floor(self) -> Any:
        """Epsilon as the word of a float32: Keras adds it before bias is corrected."""
        return self.word_by_step(
            "floor", lambda t: self.epsilon / np.sqrt(seen(self.beta_2, t))
        )

    def _has_kernel(self) -> bool:
        return not self.amsgrad

    def _kernel(self, group: Group, word: Any) -> Kernel:
        words = [
            word,
            self.word_of_share("share_1", self.beta_1),
            self.word_of_share("share_2", self.beta_2),
            self._floor(),
            softfloat.word(self._decay(group.variables[0])),
            *(group.key(self.seed, draw) for draw in (MEAN, ROOT)),
            self._iterations,
        ]
        return Kernel("adam", [self._momentums, self._velocities], words)

    def _largest(self, root: SoftFloat, group: Group) -> SoftFloat:
        """The largest root so far, with the bias that all Keras' have corrected.

        Keras compares them uncorrected, so that an old one loses weight against
        the newest until the bias is gone.
        """
        share = self.by_step("aging", self._aging)
        before = self.slot(self._velocity_hats, group)
        aged = self.rounded_by_chance(group, before - share * before, 3)
        largest = softfloat.maximum(softfloat.of(aged), root)
        group.write(self._velocity_hats, largest.rounded(group.dtype))
        return largest

    def _aging(self, steps: Any) -> Any:
        return 1 - np.sqrt(seen(self.beta_2, steps - 1) / seen(self.beta_2, steps))
