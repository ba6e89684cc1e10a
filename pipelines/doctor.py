"""`keras16 doctor`: what this machine is, what to expect of it, what is wrong."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from typing import TYPE_CHECKING

import click

from keras16 import hardware

from ._options import json_option
from ._quiet import import_tensorflow, results_only
from ._table import rendered

if TYPE_CHECKING:
    from keras16.doctor import Facts


@click.command(name="doctor")
@json_option
def command(as_json: bool) -> None:
    """Says what this machine is, what 16 bits bring here, and what is wrong.

    Float16 is measured against float32 on matrix products and, turn by turn, on two
    convolutions with their gradients, which takes some seconds.

    Exit codes: 0 training can start; 1 something is broken, and what.

    \b
    Example:
      keras16 doctor
    """
    from keras16 import doctor

    with results_only():
        facts = examined()
    click.echo(as_object(facts) if as_json else as_text(facts))
    raise SystemExit(1 if doctor.is_broken(facts) else 0)


def examined() -> Facts:
    """The facts, measured where something can run."""
    from keras16 import doctor

    if hardware.backend() == "tensorflow":
        with contextlib.suppress(Exception):  # `gathered` meets it again, and tells
            import_tensorflow()
    facts = doctor.gathered()
    return facts if doctor.is_broken(facts) else doctor.measured(facts)


def as_text(facts: Facts) -> str:
    """The machine, what to expect, and the findings with their remedies."""
    from keras16 import doctor

    lines = [rendered(doctor.description(facts))]
    expected = doctor.expectation(facts)
    lines += [expected] if expected else []
    found = doctor.findings(facts)
    lines += [f"\n{one.level}: {one.problem} {one.remedy}" for one in found]
    if not any(one.level != "note" for one in found):
        lines += ["\nNothing is wrong."]
    return "\n".join(lines)


def as_object(facts: Facts) -> str:
    """The object that `--json` prints."""
    from keras16 import doctor

    found = [dataclasses.asdict(one) for one in doctor.findings(facts)]
    return json.dumps(
        {
            **dataclasses.asdict(facts),
            "expectation": doctor.expectation(facts),
            "findings": found,
        }
    )
