"""AdamW in 16 bits."""

from __future__ import annotations

from typing import Any

import keras

from keras16.optimizers import _settings
from keras16.optimizers.adam import Adam

DEFAULTS = {"learning_rate": 1e-3, "epsilon": 1e-7, "weight_decay": 0.004}


def build(schedule: _settings.Schedule, **given: Any) -> AdamW:
    """AdamW of the given settings, where None takes the default.

    Args:
        schedule: Makes Keras' learning rate of the initial one.
        **given: What `DEFAULTS` names, `rounding` and `seed`.
    """
    return AdamW(**_settings.chosen("adamw", DEFAULTS, schedule, given))


@keras.saving.register_keras_serializable(package="keras16")
class AdamW(Adam, keras.optimizers.AdamW):
    """Keras' AdamW: `Adam` with a weight decay of 0.004 where none is given.

    learning_rate x weight_decay, 4e-6, is below a last place of every float16
    weight; it is subtracted in one exact sum with the step.

    Args: as `keras.optimizers.AdamW`, and `rounding` and `seed` (`SixteenBit`).

    Source: Loshchilov and Hutter, arXiv 1711.05101, algorithm 2.
    """
