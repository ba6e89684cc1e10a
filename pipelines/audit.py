"""`keras16 audit`: lists what is wider than 16 bits in a training step."""

from __future__ import annotations

from typing import Any

import click

from keras16.study import Run

from ._options import STEP_FIELDS, json_option, run_options
from ._quiet import import_tensorflow, results_only


@click.command(name="audit")
@run_options("precision", *STEP_FIELDS)
@json_option
def command(as_json: bool, **fields: Any) -> None:
    """Lists what is wider than 16 bits in a training step.

    The step (forward, loss, gradients, update, metrics) is traced on one batch, not
    run; what a kernel accumulates inside one operation is not seen. With
    KERAS_BACKEND=jax it is compiled, too: what the compiler widens by itself is told
    beside it and not counted.

    Exit codes: 0 pure; 1 not pure, as precision 32 never is; 2 input that cannot be
    used.

    \b
    Example:
      keras16 audit --model cnn --optimizer adam --precision 16
    """
    run = Run(**fields)
    with results_only():
        report = audited(run)
    click.echo(report.to_json() if as_json else str(report))
    raise SystemExit(0 if report.pure else 1)


def audited(run: Run) -> Any:
    """The report on the step that `keras16 train` would run."""
    import_tensorflow()
    from keras16 import training
    from keras16.audit import audit

    ready = training.prepare(run)
    return audit(ready.model, *ready.batch, precision=run.precision, compiled=True)
