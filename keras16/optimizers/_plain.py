"""Textbook optimizers for precision `16-plain`: Keras' own, nothing added.

The claim that this precision tests is that float16 needs nothing but a tuned
epsilon (Yun et al., arXiv 2301.12809). 1e-4 is Adam's and RMSprop's here: Adam is
NaN in the first epoch at 1e-7.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras

from keras16.errors import UserError
from keras16.optimizers import _settings


@dataclasses.dataclass(frozen=True)
class Plain:
    """One of Keras' optimizers, as a part of the catalogue.

    Attributes:
        name: As on the command line.
        cls: Keras' class.
        DEFAULTS: As of the modules of this folder.
    """

    name: str
    cls: type
    DEFAULTS: dict[str, Any]

    def build(self, schedule: _settings.Schedule, **given: Any) -> Any:
        """The optimizer of the given settings, where None takes the default.

        Raises:
            UserError: It was asked for a rounding other than to nearest.
        """
        settings = _settings.chosen(self.name, self.DEFAULTS, schedule, given)
        settings.pop("seed")
        if settings.pop("rounding") != "nearest":
            raise UserError(
                "precision 16-plain adds nothing and rounds to nearest: leave "
                "--rounding out, or use precision 16."
            )
        return self.cls(**settings)


PLAIN = {
    part.name: part
    for part in (
        Plain(
            "sgd",
            keras.optimizers.SGD,
            {"learning_rate": 1e-2, "momentum": 0.9, "nesterov": False},
        ),
        Plain(
            "rmsprop",
            keras.optimizers.RMSprop,
            {"learning_rate": 1e-3, "momentum": 0.0, "epsilon": 1e-4},
        ),
        Plain("adam", keras.optimizers.Adam, {"learning_rate": 1e-3, "epsilon": 1e-4}),
    )
}


def get(name: str) -> Plain:
    """The textbook optimizer of a name.

    Raises:
        UserError: There is none.
    """
    if name not in PLAIN:
        raise UserError(
            f"precision 16-plain has no optimizer {name!r}: there are "
            f"{', '.join(PLAIN)}."
        )
    return PLAIN[name]
