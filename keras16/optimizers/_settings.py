"""What `build` of every optimizer takes, and the refusal of what it has not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from keras16.errors import UserError

Schedule = Callable[[float], Any]
# What every optimizer takes, whether its defaults name it or not.
SHARED = ("weight_decay", "rounding", "seed")


def chosen(
    optimizer: str,
    defaults: Mapping[str, Any],
    schedule: Schedule,
    given: Mapping[str, Any],
) -> dict[str, Any]:
    """The arguments of a keras16 optimizer: the defaults with what was given.

    Args:
        optimizer: Its name, for the message.
        defaults: What the optimizer takes.
        schedule: Makes Keras' learning rate of the initial one.
        given: None, False or 0 where it was not given.

    Raises:
        UserError: Something was given that the optimizer doesn't have.
    """
    for name, value in given.items():
        if value and name not in defaults and name not in SHARED:
            raise UserError(
                f"{optimizer} has no {name.replace('_', ' ')}: leave it out, or "
                f"choose another optimizer."
            )
    settings = filled(defaults, given)
    settings["learning_rate"] = schedule(settings["learning_rate"])
    settings["weight_decay"] = weight_decay(defaults, given)
    settings["rounding"] = given.get("rounding") or "nearest"
    settings["seed"] = given.get("seed") or 0
    return settings


def filled(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults, each replaced by what was given for it."""
    return {
        name: default if given.get(name) is None else given[name]
        for name, default in defaults.items()
    }


def weight_decay(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> float | None:
    """The decay that was given; 0 takes the optimizer's own, if it has one."""
    return given.get("weight_decay") or defaults.get("weight_decay")
