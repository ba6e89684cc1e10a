"""Refuses a twin that would compute in more than 16 bits."""

from __future__ import annotations

import collections
from typing import Any

from keras16.audit import audit_passes
from keras16.errors import UserError
from keras16.layers import _refused

NAMED = 5


def require_pure(model: Any) -> None:
    """Traces a model's forward and backward pass.

    Raises:
        UserError: Some of it is wider than 16 bits; the text names the layers.
    """
    report = audit_passes(model)
    if report.pure:
        return
    counts = collections.Counter(tensor.source for tensor in report.wide)
    named = [_told(source, n) for source, n in counts.most_common(NAMED)]
    rest = len(counts) - len(named)
    more = f"; and {rest} more" if rest else ""
    advice = " ".join(report.advice())
    raise UserError(
        f"model {model.name!r} can't be made pure 16-bit: {'; '.join(named)}{more}. "
        f"{advice or 'Write these parts with keras16.layers'}, or pass check=False "
        "for a twin that is pure but for them."
    )


def _told(source: str, count: int) -> str:
    reason = next((r for n, r in _refused.REFUSED.items() if n in source.split()), "")
    noun = "tensor" if count == 1 else "tensors"
    return f"{source}: {count} wide {noun}{f' ({reason})' if reason else ''}"
