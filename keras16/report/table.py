"""The summary of one run as rows of a label and a value, both text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras16.report import units

if TYPE_CHECKING:
    from keras16.training import Result


def summary(result: Result) -> list[tuple[str, str]]:
    """The rows of the table that closes `keras16 train`, most wanted first.

    Returns:
        Label and value of each row; rows that the run has no value for are left out.
    """
    rows = [*asked(result), *quality(result), *speed(result), *size(result)]
    return [(label, value) for label, value in rows if value not in ("", "-")]


def asked(result: Result) -> list[tuple[str, str]]:
    """What was trained, how it ended and how pure it was."""
    run = result.run
    ended = f"{result.status}: {result.cause}" if result.cause else result.status
    return [
        ("run", run.name),
        ("status", ended),
        ("precision", run.precision),
        ("purity", purity(result)),
    ]


def purity(result: Result) -> str:
    """Such as "pure: 0 of 412 tensors wider than 16 bits"; "" where not audited."""
    audit = result.audit
    if audit is None:
        return "not audited"
    claim = "pure" if audit.pure else "not pure"
    return (
        f"{claim}: {audit.wide_tensors} of {audit.tensors} tensors wider than 16 bits"
    )


def quality(result: Result) -> list[tuple[str, str]]:
    """Accuracy, loss and metric, on the test set and on the held-out part."""
    last = result.epochs[-1] if result.epochs else None
    if result.run.loss is None:
        validated = units.percent(last.val_accuracy if last else None)
        return [
            ("test accuracy", units.percent(result.test_accuracy)),
            ("test loss", units.number(result.test_loss)),
            ("validation accuracy", validated),
        ]
    name = result.run.metric_name
    rows = [
        (f"test {name}", units.number(result.test_metric)),
        ("test loss", units.number(result.test_loss)),
        (f"validation {name}", units.number(last.val_metric if last else None)),
        ("validation loss", units.number(last.val_loss if last else None)),
    ]
    return rows


def speed(result: Result) -> list[tuple[str, str]]:
    """Seconds an epoch, of the first one and of compilation."""
    return [
        ("epochs", f"{len(result.epochs)} of {result.run.epochs}"),
        ("epoch time", units.seconds(result.median_epoch_seconds)),
        ("first epoch", units.seconds(result.first_epoch_seconds)),
        ("compile time", units.seconds(result.compile_seconds)),
    ]


def size(result: Result) -> list[tuple[str, str]]:
    """Parameters and bytes."""
    return [
        ("parameters", f"{result.parameters:,}"),
        ("weights", units.size_text(result.weight_bytes)),
        ("optimizer state", units.size_text(result.optimizer_bytes)),
        ("peak memory", units.size_text(result.peak_memory_bytes)),
    ]


def markdown_table(titles: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table in Markdown, the first column to the left and the others to the right."""
    rule = ["---", *["---:"] * (len(titles) - 1)]
    lines = [f"| {' | '.join(cells)} |" for cells in (titles, rule, *rows)]
    return "\n".join(lines) + "\n"
