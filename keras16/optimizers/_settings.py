"""What `build` of every optimizer takes, and the refusal of what it has not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from keras16.errors import UserError

Schedule = Callable[[float], Any]


def chosen(
    optimizer: str,
    defaults: Mapping[str, Any],
    schedule: Schedule,
    given: Mapping[str, Any],
) -> dict[str, Any]:
    """The arguments of a Keras optimizer: the defaults with what was given.

    Args:
        optimizer: Its name, for the message.
        defaults: What the optimizer takes.
        schedule: Makes Keras' learning rate of the initial one.
        given: None, False or 0 where it was not given.

    Raises:
        UserError: Something was given that the optimizer doesn't have.
    """
    asked = dict(given)
    decay = asked.pop("weight_decay", 0.0) or None
    for name, value in asked.items():
        if value and name not in defaults:
            raise UserError(
                f"{optimizer} has no {name.replace('_', ' ')}: leave it out, or "
                f"choose another optimizer."
            )
    settings = filled(defaults, asked)
    rate = schedule(settings.pop("learning_rate"))
    return {**settings, "learning_rate": rate, "weight_decay": decay}


def filled(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults, each replaced by what was given for it."""
    return {
        name: default if given.get(name) is None else given[name]
        for name, default in defaults.items()
    }
