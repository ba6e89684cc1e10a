"""The error of a training step that no backend can trace."""

from __future__ import annotations

import re
from typing import Any

from keras16.errors import UserError


def untraceable(model: Any, error: Exception) -> UserError:
    """What to raise where tracing a model's step failed.

    Args:
        model: Of Keras.
        error: What went wrong; told in one line.
    """
    plain = re.sub(r"\x1b\[\d*m", "", str(error))  # Keras prints in bold
    reason = " ".join(plain.split())[:300] or type(error).__name__
    return UserError(
        f"the training step of {model.name!r} can't be traced with this batch: {reason}"
    )
