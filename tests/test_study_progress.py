"""The live table shows the names of a study as they are."""

import dataclasses

import synthetic
from rich.console import Console

from keras16.execution.ledger import Ledger
from keras16.execution.pool import Event, Task
from pipelines import _study_progress


def test_brackets_in_a_name_are_no_markup(tmp_path):
    plan = synthetic.study()
    row = dataclasses.replace(plan.rows[0], name="dnn [wide] [/wide]")
    plan = dataclasses.replace(plan, rows=(row,))
    planned = plan.runs()[0]
    task = Task(planned, Ledger(tmp_path).entry(planned.run))
    count = _study_progress.OfStudy(plan, [task], over=(), workers=1)
    shown = _study_progress.Live(count)
    shown.happened(Event("begun", task), None)
    console = Console(width=120, record=True, quiet=False)
    with console.capture() as printed:
        console.print(shown._table())
    assert "dnn [wide] [/wide]" in printed.get()
