"""Refuses a twin, and tells of its losses, that would compute in wider floats."""

from __future__ import annotations

import collections
import warnings
from collections.abc import Callable
from typing import Any

from keras import ops

from keras16 import backend
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


def warn_of_wide(model: Any, name: str, function: Callable[..., Any]) -> None:
    """Says so where a user's own loss or metric is wider than 16 bits.

    It is tried with labels like an output of the model; where it takes none such,
    only the audit of the step can tell.

    Args:
        model: A twin, in whose floats this runs.
        name: Of the loss or metric.
        function: Of labels and predictions.
    """
    if any(_is_wide(function, output) for output in model.outputs):
        warnings.warn(
            f"{name!r} is not 16-bit: it computes in wider floats, as keras.ops.mean "
            "does and keras16.numerics.reductions.mean does not. "
            "keras16.audit(model, x, y) names the lines.",
            stacklevel=2,
        )


def _is_wide(function: Callable[..., Any], output: Any) -> bool:
    example = ops.zeros([size or 2 for size in output.shape], output.dtype)
    traced = backend.module().Function(function, False)
    try:
        traced(example, example)
    except Exception:  # of any kind: a loss is anyone's code
        return False
    return bool(traced.wide)


def _told(source: str, count: int) -> str:
    reason = next((r for n, r in _refused.REFUSED.items() if n in source.split()), "")
    noun = "tensor" if count == 1 else "tensors"
    return f"{source}: {count} wide {noun}{f' ({reason})' if reason else ''}"
