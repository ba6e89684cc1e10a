"""What of a study was done, where, and by which version."""

from __future__ import annotations

import dataclasses

from keras16.analysis.cells import Grid, differs
from keras16.analysis.contrasts import machine


@dataclasses.dataclass(frozen=True)
class Progress:
    """How much of the plan was done.

    Attributes:
        planned, done: Runs.
        finished, diverged, crashed: Of those that were done.
        seeds: The least and the most of a row and arm that were run at all.
        rows, arms: (done, planned), counts.
        changed: Fields of `Run` by name that differ from the plan: (planned, done)
            as text.
        machines: How many differ in CPU, cores or GPU.
        codes: Versions of keras16's source.
        shared: Runs that did not have the machine to themselves.
        strays: Records that belong to no place of the study.
    """

    planned: int
    done: int
    finished: int
    diverged: int
    crashed: int
    seeds: tuple[int, int]
    rows: tuple[int, int]
    arms: tuple[int, int]
    changed: dict[str, tuple[str, str]]
    machines: int
    codes: tuple[str, ...]
    shared: int
    strays: int


def progress(grid: Grid) -> Progress:
    """Counts what was done."""
    study, records = grid.study, grid.records
    cells = grid.cells.values()
    seeds = [len(cell.records) for cell in cells if cell.records]
    finished = sum(len(cell.finished) for cell in cells)
    diverged = sum(cell.diverged for cell in cells)
    return Progress(
        planned=len(study.rows) * len(study.arms) * study.seeds,
        done=len(records),
        finished=finished,
        diverged=diverged,
        crashed=len(records) - finished - diverged,
        seeds=(min(seeds, default=0), max(seeds, default=0)),
        rows=(len(grid.rows), len(study.rows)),
        arms=(len(grid.arms), len(study.arms)),
        changed=changed(grid),
        machines=len({machine(record) for record in records}),
        codes=tuple(sorted({record.code for record in records})),
        shared=sum(not record.timed_alone for record in records),
        strays=grid.strays,
    )


def changed(grid: Grid) -> dict[str, tuple[str, str]]:
    """The fields of `Run` in which runs differ from the plan, but for the seed."""
    plans = {(one.row, one.arm): one.run for one in grid.study.once()}
    found: dict[str, set[tuple[str, str]]] = {}
    for record in grid.records:
        plan = plans[record.row, record.arm].fields()
        for name, value in record.run.fields().items():
            if name != "seed" and differs(name, plan[name], value):
                found.setdefault(name, set()).add((str(plan[name]), str(value)))
    return {name: _joined(values) for name, values in found.items()}


def fingerprints(grid: Grid) -> dict[str, list[str]]:
    """The distinct values of everything that the machine and software go by."""
    found: dict[str, set[str]] = {}
    for record in grid.records:
        for name, value in record.fingerprint.items():
            found.setdefault(name, set()).add(value)
    return {name: sorted(values - {""}) for name, values in found.items()}


def _joined(values: set[tuple[str, str]]) -> tuple[str, str]:
    planned, done = zip(*sorted(values), strict=True)
    return ", ".join(dict.fromkeys(planned)), ", ".join(dict.fromkeys(done))
