"""The private parts of Keras' optimizers that a subclass needs."""

from __future__ import annotations

from typing import Any


def index(optimizer: Any, variable: Any) -> int:
    """The place of a variable among those that the optimizer was built with.

    Keras hands `update_step` the backend's own variable, and only this private
    method finds the slots of it.
    """
    return optimizer._get_variable_index(variable)


def weight_decay(optimizer: Any, variable: Any) -> float:
    """The decoupled weight decay of a variable; 0 where it is excluded."""
    if not optimizer.weight_decay or not optimizer._use_weight_decay(variable):
        return 0.0
    return float(optimizer.weight_decay)
