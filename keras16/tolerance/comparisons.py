"""The three comparisons: a cast, nets trained apart, and the control.

The papers call the difference between a net trained in 16 bits and one trained in 32
its floating-point error. Most of it is that two trainings part, as two trainings in 32
bits from other seeds do. What rounding does to one net is the difference between the
net and its cast.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras16.convert import convert
from keras16.errors import UserError
from keras16.tolerance import measured, nets
from keras16.tolerance.measured import Comparison

NARROW = ("16", "bf16")


def compare(models: list[keras.Model], x: np.ndarray) -> list[Comparison]:
    """All comparisons that some nets allow.

    Args:
        models: One or more, of the same classes.
        x: [examples, ...] as the nets take them.

    Returns:
        Of one net its cast. Of several: the first pair of unlike precisions as
        "trained", the first pair of like ones as "control", and the cast of the
        first.

    Raises:
        UserError: A net can't be converted, or the nets differ in their classes.
    """
    known = {id(model): nets.probabilities(model, x) for model in models}
    if len({p.shape for p in known.values()}) > 1:
        raise UserError("these models have other numbers of classes: give equal ones.")
    found = []
    for kind, both in (("trained", _apart(models)), ("control", _alike(models))):
        if both:
            p, q = (known[id(model)] for model in both)
            found.append(measured.compared(kind, p, q))
    return [*found, cast(models[0], x)]


def cast(model: keras.Model, x: np.ndarray) -> Comparison:
    """A net beside its cast: what rounding alone does to it.

    Args:
        model: In any precision.
        x: [examples, ...] as the net takes them.
    """
    p, q = (nets.probabilities(net, x) for net in pair(model))
    return measured.compared("cast", p, q)


def pair(model: keras.Model) -> tuple[keras.Model, keras.Model]:
    """A wide net and its 16-bit cast, of which the model is one.

    Of a wide net the cast has rounded weights. A 16-bit net is itself the cast: of
    the 32-bit net with the same weights.

    Args:
        model: In any precision.

    Raises:
        UserError: It can't be converted.
    """
    if nets.precision(model) in NARROW:
        return convert(model, "32"), model
    return model, convert(model, "16", check=False)


def _apart(models: list[Any]) -> tuple[Any, Any] | None:
    """The first net of more than 16 bits and the first of 16."""
    wide = [m for m in models if nets.precision(m) not in NARROW]
    narrow = [m for m in models if nets.precision(m) in NARROW]
    return (wide[0], narrow[0]) if wide and narrow else None


def _alike(models: list[Any]) -> tuple[Any, Any] | None:
    """The first two nets of one precision."""
    for place, model in enumerate(models):
        for other in models[place + 1 :]:
            if nets.precision(model) == nets.precision(other):
                return model, other
    return None
