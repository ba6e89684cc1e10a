"""From what a layer's `kernel_constraint=` takes to keras16's of the same meaning."""

from __future__ import annotations

from typing import Any

from keras16.lookup import counterpart


def get(identifier: Any) -> Any:
    """The constraint of keras16 that does what Keras' own would.

    Args:
        identifier: A name, a config, an object of Keras or keras16, a function of
            your own (which is given back as it is), or None.

    Raises:
        UserError: There is no such constraint.
    """
    return counterpart("constraints", identifier)
