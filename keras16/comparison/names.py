"""Whether Keras knows a loss and a metric by their names, asked in another process.

`python -m keras16.comparison.names` reads both from standard input and tells a JSON
object in its last line: this process need not import Keras, nor show what that prints.
"""

from __future__ import annotations

from typing import Any

from keras16.criterion import HIGHER, LOWER
from keras16.execution import child


def check(loss: Any, metric: Any) -> None:
    """Refuses a name that is none of Keras'.

    Args:
        loss: As `compare` takes it; what is no name is known.
        metric: Likewise.

    Raises:
        UserError: It tells the nearest ones.
    """
    asked = [_asked(loss), _asked(metric)]
    if any(asked):
        child.ask(__name__, asked)


def _asked(part: Any) -> str | None:
    """The name, where it isn't known for one of Keras' anyway."""
    if not isinstance(part, str) or ".py:" in part:
        return None
    return None if part.replace("_", "").lower() in HIGHER | LOWER else part


def _looked_up(asked: list[str | None]) -> dict[str, Any]:
    from keras16 import losses, metrics

    loss, metric = asked
    losses.get(loss, "float32")
    metrics.get(metric, "float32")
    return {"known": True}


if __name__ == "__main__":
    child.answer(_looked_up)
