"""What a run came to, in two or three sentences that claim no more than was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras16 import precision
from keras16.report import units

if TYPE_CHECKING:
    from keras16.audit import AuditReport
    from keras16.training import Result


def verdict(result: Result) -> str:
    """The run in words: how pure, how it ended, how good, how fast, how large.

    Returns:
        Such as "Pure float16: 0 of 412 tensors in the training step are wider than 16
        bits. Test accuracy 97.83 % after 5 epochs (3.1 s each). Weights 312 kB, half
        of float32's."
    """
    name = precision.get(result.run.precision).policy
    return " ".join((purity(result.audit, name), ending(result), weights(result)))


def purity(audit: AuditReport | None, name: str) -> str:
    """How many tensors of the training step are wider than 16 bits."""
    if audit is None:
        return f"{name[0].upper()}{name[1:]}, not audited."
    count = f"{audit.wide_tensors} of {audit.tensors} tensors in the training step"
    claim = f"Pure {name}" if audit.pure else f"Not pure 16-bit ({name})"
    return f"{claim}: {count} are wider than 16 bits."


def ending(result: Result) -> str:
    """How the run ended, and how good it was where it finished."""
    after = epochs_done(result)
    if result.status == "failed":
        return f"The run FAILED after {after}: {sentence(result.cause)}"
    if result.status == "killed":
        return f"The run was stopped after {after}: {sentence(result.cause)}"
    return f"Test {judged(result)} after {after}."


def judged(result: Result) -> str:
    """Such as "accuracy 97.83 %" or "mae 0.1204"."""
    if result.run.loss is None:
        return f"accuracy {units.percent(result.test_accuracy)}"
    own = result.test_metric if result.run.metric else result.test_loss
    return f"{result.run.metric_name} {units.number(own)}"


def epochs_done(result: Result) -> str:
    """Such as "5 epochs (3.1 s each)" or "no epoch"."""
    count = len(result.epochs)
    if not count:
        return "no whole epoch"
    median = result.median_epoch_seconds
    if median is None:
        return f"1 epoch ({units.seconds(result.first_epoch_seconds)})"
    return f"{count} epochs ({units.seconds(median)} each)"


def weights(result: Result) -> str:
    """The size of the weights, and the share of float32's that it is."""
    size = units.size_text(result.weight_bytes)
    share = result.weight_bytes / max(1, 4 * result.parameters)
    half = ", half of float32's" if 0.49 < share < 0.51 else ""
    return f"Weights {size}{half}."


def sentence(text: str) -> str:
    """The text with a full stop at its end."""
    return f"{text.strip().rstrip('.') or 'no cause was given'}."
