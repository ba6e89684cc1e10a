"""The functions that Keras' losses and metrics are wrappers of.

Both attributes are private: `get_config` leaves some arguments out (Huber's delta,
the axis of a cosine similarity), and they stand nowhere else.
"""

from __future__ import annotations

from typing import Any


def function_of(wrapper: Any) -> Any:
    """The function that a loss or a metric calls, or None."""
    return getattr(wrapper, "fn", None) or getattr(wrapper, "_fn", None)


def arguments_of(wrapper: Any) -> dict[str, Any]:
    """The arguments that it gives to that function beside labels and predictions."""
    return dict(getattr(wrapper, "_fn_kwargs", {}))
