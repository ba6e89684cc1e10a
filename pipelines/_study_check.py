"""Tells what is wrong with a study of the user's own before anything is trained."""

from __future__ import annotations

import collections
import re
from collections.abc import Collection, Iterable, Iterator

from keras16 import criterion, precision
from keras16.analysis import claims
from keras16.errors import UserError
from keras16.study import Study


def check(study: Study) -> None:
    """Refuses a study that could not be run, judged or reported.

    Raises:
        UserError: The first thing that is wrong, in one line.
    """
    fault = next(_faults(study), None)
    if fault:
        raise UserError(f"study {study.name}: {fault}.")
    from keras16 import objective

    for planned in study.once():
        precision.get(planned.run.precision)
        objective.of(planned.run)
    criterion.margin_of(criterion.of_study(study), study.margin)


def _faults(study: Study) -> Iterator[str]:
    rows, arms = ([one.name for one in each] for each in (study.rows, study.arms))
    if not re.fullmatch(r"[\w.-]*\w", str(study.name)):
        yield "its name is that of files: use letters, digits, '_' and '-'"
    if not rows or not arms or study.seeds < 1:
        yield "it has no run: give it rows, arms and seeds"
    for kind, named in (("rows", rows), ("arms", arms)):
        yield from (f"two {kind} are called {name!r}" for name in _twice(named))
    yield from _unknown("baseline", [study.baseline], arms, "arm")
    yield from _unknown("control", filter(None, [study.control]), arms, "arm")
    for claim in study.claims:
        told = f"the claim {claim.text!r}"
        yield from _unknown(f"{told} is", [claim.kind], claims.KINDS, "kind")
        yield from _unknown(f"{told} is of", [claim.arm, claim.against], arms, "arm")
        yield from _unknown(f"{told} is of", claim.rows, rows, "row")
    try:
        study.once()
    except TypeError as error:  # a field that Run does not have
        yield f"a row or arm sets what keras16.Run does not have ({error})"


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, n in collections.Counter(names).items() if n > 1]


def _unknown(
    where: str, names: Iterable[str], known: Collection[str], noun: str
) -> Iterator[str]:
    there = ", ".join(known)
    for name in names:
        if name not in known:
            yield f"{where} {name!r}, and there is no such {noun}: there are {there}"
