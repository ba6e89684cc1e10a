"""Learning-rate schedules: one file each, with `build(learning_rate, steps)`."""

from __future__ import annotations

from typing import Any

import keras

from keras16.errors import UserError
from keras16.schedules._tabulated import Tabulated
from keras16.schedules.cosine import CosineDecay
from keras16.schedules.cosine_restarts import CosineDecayRestarts
from keras16.schedules.exponential import ExponentialDecay
from keras16.schedules.inverse_time import InverseTimeDecay
from keras16.schedules.piecewise import PiecewiseConstantDecay
from keras16.schedules.polynomial import PolynomialDecay
from keras16.schedules.triangular import Triangular

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "Tabulated",
    "Triangular",
    "get",
]


def get(schedule: keras.optimizers.schedules.LearningRateSchedule) -> Any:
    """keras16's equal of one of Keras' schedules; ours are returned as they are.

    Raises:
        UserError: It is a class of somebody else's.
    """
    if isinstance(schedule, Tabulated):
        return schedule
    name = type(schedule).__name__
    ours: Any = globals().get(name, object)
    if name not in __all__ or type(schedule) not in ours.__mro__:
        raise UserError(
            f"keras16 can't compute {name} in 16 bits: derive it from "
            "keras16.schedules.Tabulated too, with a method "
            "rates(steps) that computes NumPy arrays."
        )
    return ours.from_config(schedule.get_config())
