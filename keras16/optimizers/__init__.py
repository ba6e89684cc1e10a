"""Optimizers whose state is 16-bit and whose steps are those of float64."""

from __future__ import annotations

from typing import Any

import keras

from keras16 import lookup
from keras16.backend import own_floats
from keras16.errors import UserError
from keras16.optimizers._sixteen import SixteenBit
from keras16.optimizers.adadelta import Adadelta
from keras16.optimizers.adagrad import Adagrad
from keras16.optimizers.adam import Adam
from keras16.optimizers.adamax import Adamax
from keras16.optimizers.adamw import AdamW
from keras16.optimizers.lamb import Lamb
from keras16.optimizers.lion import Lion
from keras16.optimizers.nadam import Nadam
from keras16.optimizers.rmsprop import RMSprop
from keras16.optimizers.sgd import SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lamb",
    "Lion",
    "Nadam",
    "RMSprop",
    "get",
]

REFUSED = {
    "Adafactor": "it factors second moments by sums over rows: use AdamW",
    "Ftrl": "its linear term needs powers that float16 does not hold: use Adagrad",
    "LossScaleOptimizer": "pure 16-bit training scales no loss: give the optimizer "
    "that it wraps",
    "MultiOptimizer": "give one optimizer for all variables",
    "Muon": "its Newton-Schulz iteration is not written in 16 bits yet: use AdamW",
    "ScheduleFreeAdamW": "it recovers an average from rounded weights: use AdamW "
    "with a schedule and use_ema",
}


def get(identifier: Any) -> Any:
    """keras16's optimizer for whatever `model.compile` takes as one.

    Args:
        identifier: A name ("adam"), a config, one of Keras' optimizers (not built
            yet: its settings and schedule are carried over) or one of keras16's,
            which is returned as it is.

    Raises:
        UserError: keras16 has no equal; the text says what to use instead.
    """
    if isinstance(identifier, SixteenBit):
        return identifier
    stock = _stock(identifier)
    if isinstance(stock, SixteenBit):
        return stock
    name = type(stock).__name__
    ours: Any = globals().get(name, object)
    if name not in __all__ or type(stock) not in ours.__mro__:
        reason = REFUSED.get(name, "choose another, or write its update in 16 bits")
        raise UserError(f"keras16 has no 16-bit {name}: {reason}.")
    return ours.from_config(_config(stock))


def _stock(identifier: Any) -> Any:
    try:
        # Keras keeps the rate of an optimizer that it makes in floatx: 1e-8 as 0.
        with own_floats.used("float32"):
            return keras.optimizers.get(identifier)
    except (TypeError, ValueError) as error:
        raise lookup.unknown("optimizers", identifier, error) from error


def _config(stock: Any) -> dict[str, Any]:
    """The settings of one of Keras' optimizers, functions of the user's included."""
    config = stock.get_config()
    rate = stock._learning_rate
    if callable(rate) and not hasattr(rate, "assign"):
        config["learning_rate"] = rate
    return config
