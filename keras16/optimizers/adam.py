"""Adam in 16 bits."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.numerics import norms
from keras16.optimizers import _settings
from keras16.optimizers._sixteen import SixteenBit, missing_weight

DEFAULTS = {"learning_rate": 1e-3, "epsilon": 1e-7}


def build(schedule: _settings.Schedule, **given: Any) -> Adam:
    """Adam of the given settings, where None takes the default.

    Args:
        schedule: Makes Keras' learning rate of the initial one.
        **given: What `DEFAULTS` names, and `weight_decay`.
    """
    return Adam(**_settings.chosen("adam", DEFAULTS, schedule, given))


@keras.saving.register_keras_serializable(package="keras16")
class Adam(SixteenBit, keras.optimizers.Adam):
    """Keras' Adam, whose step in 16 bits is close to the one that float64 gives.

    In float16 Keras' second moment, (1 - beta_2) g**2, is 0 for gradients below
    5.5e-3, so that the step is learning_rate x m / 1e-7, and it is infinite from
    g = 256 on. Here the slot holds its root (arXiv 2102.13565), and both slots
    are averages over the steps so far (their bias is never there to correct), so
    that neither leaves the range of the gradient itself. Epsilon 1e-7 then means
    what it means in float32. Rounded to nearest, the root of a slow average stalls:
    after 3,000 steps at beta_2 = 0.999 it is 10 % low where gradients are stationary,
    and 32 % low where they shrink a hundredfold, so that steps come out that much
    too large. The slots are Keras' in number, shape and name.

    Args: as `keras.optimizers.Adam`.

    Source: Kingma and Ba, arXiv 1412.6980, algorithm 1.
    """

    def _sixteen_step(self, gradient: Any, variable: Any, rate: Any) -> Any:
        momentum = self._slot(self._momentums, variable)
        velocity = self._slot(self._velocities, variable)
        steps = self._steps(variable.dtype)
        seen = missing_weight(self.beta_2, steps)
        share = (1 - self.beta_1) / missing_weight(self.beta_1, steps)
        mean = (1 - share) * ops.convert_to_tensor(momentum) + share * gradient
        root = norms.root_mean_square(
            ops.convert_to_tensor(velocity), gradient, (1 - self.beta_2) / seen
        )
        self.assign(momentum, mean)
        self.assign(velocity, root)
        # Keras adds epsilon before the bias is corrected.
        floor = self.epsilon / ops.sqrt(seen)
        return rate * (mean / (self._largest(root, seen, variable) + floor))

    def _largest(self, root: Any, seen: Any, variable: Any) -> Any:
        """The root itself or, for amsgrad, the largest so far."""
        if not self.amsgrad:
            return root
        correction = ops.sqrt(seen)
        slot = self._slot(self._velocity_hats, variable)
        largest = ops.maximum(ops.convert_to_tensor(slot), root * correction)
        self.assign(slot, largest)
        return largest / correction
