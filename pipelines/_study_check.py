"""Tells what is wrong with a study of the user's own before anything is trained."""

from __future__ import annotations

import collections
import dataclasses
import re
import reprlib
import sys
import types
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import click

from keras16 import criterion
from keras16.analysis import claims
from keras16.errors import UserError
from keras16.study import Claim, Run, Study

from ._options import FIELDS

BOUNDED = ("faster", "smaller")  # kinds of claims
RUN = typing.get_type_hints(Run)
# What a value of an annotated type may be, and how it is asked for.
KINDS: dict[Any, tuple[tuple[type, ...], str]] = {
    str: ((str,), "text in quotes"),
    bool: ((bool,), "True or False"),
    int: ((int,), "a whole number"),
    float: ((float, int), "a finite number"),
    tuple: ((tuple, list), "a tuple"),
    Mapping: ((Mapping,), "a dict"),
}


def check(study: Study, path: str) -> None:
    """Refuses a study that could not be run, judged or reported.

    Args:
        study: Of the user's own.
        path: Of its file.

    Raises:
        UserError: The first thing that is wrong, in one line.
    """
    fault = next(_faults(study), None)
    if fault:
        raise UserError(f"{path}: {fault.rstrip('.')}.")
    from keras16 import objective

    try:
        for planned in study.once():
            objective.of(planned.run)
        criterion.margin_of(criterion.of_study(study), study.margin)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    if fault := next(_unreachable(study), None):
        raise UserError(f"{path}: {fault}.")


def _faults(study: Study) -> Iterator[str]:
    """In an order in which each may rely on there being none of those before."""
    yield from _mistyped("STUDY", study, Study)
    yield from _refused_by_train(study)
    rows, arms = ([one.name for one in each] for each in (study.rows, study.arms))
    if not re.fullmatch(r"[\w.-]{,49}\w", study.name):
        yield (
            f"STUDY.name is {reprlib.repr(study.name)}, and files are called so: use "
            "at most 50 letters, digits, '_' and '-'"
        )
    if not rows or not arms or study.seeds < 1:
        yield "STUDY has no run: give it rows, arms and seeds"
    for kind, named in (("rows", rows), ("arms", arms)):
        yield from (f"two {kind} are called {name!r}" for name in _twice(named))
    yield from _unknown("baseline", [study.baseline], arms, "arm")
    yield from _unknown("control", filter(None, [study.control]), arms, "arm")
    for claim in study.claims:
        told = f"the claim {claim.text!r}"
        yield from _unknown(f"{told} is", [claim.kind], claims.KINDS, "kind")
        yield from _unknown(f"{told} is of", [claim.arm, claim.against], arms, "arm")
        yield from _unknown(f"{told} is of", claim.rows, rows, "row")
        yield from _idle_bound(told, claim)


def _idle_bound(told: str, claim: Claim) -> Iterator[str]:
    """A bound that nothing is held against, or that nothing can reach."""
    if claim.bound is None:
        return
    if claim.kind not in BOUNDED:
        yield (
            f"{told} has a bound, and one that is {claim.kind!r} has none: leave it "
            f"out, or make it {' or '.join(map(repr, BOUNDED))}"
        )
    elif claim.bound <= 0:
        yield f"{told} has the bound {claim.bound}: give a number above 0"


def _unreachable(study: Study) -> Iterator[str]:
    """A claim from a metric on that no run can have."""
    if not criterion.of_study(study).is_share:
        return
    for claim in study.claims:
        if claim.least is not None and not 0 <= claim.least <= 1:
            yield (
                f"the claim {claim.text!r} has least={claim.least}: give a share in "
                "[0, 1], 0.9 for 90 %"
            )


def _mistyped(place: str, value: Any, hint: Any) -> Iterator[str]:
    """What is of another type than it is annotated with, however deep.

    Args:
        place: Of the value, such as "STUDY.rows[0].name".
        value: Anything.
        hint: Its annotation in keras16.study, such as `tuple[Row, ...]`.
    """
    kind, inner = typing.get_origin(hint) or hint, typing.get_args(hint)
    if kind is types.UnionType:  # with None
        yield from () if value is None else _mistyped(place, value, inner[0])
    elif kind is tuple and isinstance(value, inner[0]):
        name = place.rpartition(".")[2]
        yield f"{place}: a comma is missing: write {name}=({_shown(value)},)"
    elif kind is not Any:
        fitting, wanted = KINDS.get(kind) or ((kind,), f"one of {_called(kind)}")
        if not isinstance(value, fitting) or _is_odd(value, kind):
            of = f" of {_called(inner[0])}" if kind is tuple else ""
            yield f"{place} is {reprlib.repr(value)}: give {wanted}{of}"
        for part_place, part, part_hint in _parts(place, value, kind, inner):
            yield from _mistyped(part_place, part, part_hint)


def _is_odd(value: Any, kind: Any) -> bool:
    """Whether a number is a bool, which Python takes for one, NaN or too large."""
    if kind not in (int, float):
        return False
    return isinstance(value, bool) or not abs(value) <= sys.float_info.max


def _parts(
    place: str, value: Any, kind: Any, inner: tuple[Any, ...]
) -> Iterator[tuple[str, Any, Any]]:
    """The place, value and annotation of each part of a value that has some."""
    if kind is tuple:
        yield from ((f"{place}[{n}]", one, inner[0]) for n, one in enumerate(value))
    elif kind is Mapping:
        yield from ((f"{place}[{k!r}]", one, inner[1]) for k, one in value.items())
    elif dataclasses.is_dataclass(kind):
        for name, hint in typing.get_type_hints(kind).items():
            yield f"{place}.{name}", getattr(value, name), hint


def _called(kind: type) -> str:
    return "text" if kind is str else f"{kind.__module__}.{kind.__name__}"


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return reprlib.repr(value)
    return f"{type(value).__name__}(...)"


def _refused_by_train(study: Study) -> Iterator[str]:
    """Fields of `Run` that the options of `keras16 train` would not take."""
    parts = [("STUDY.run", study.run.fields())]
    for kind in ("rows", "arms"):
        for n, one in enumerate(getattr(study, kind)):
            parts.append((f"STUDY.{kind}[{n}].fields", one.fields))
    for place, fields in parts:
        yield from _unknown(f"{place} sets", fields, RUN, "field of keras16.Run")
        if place != "STUDY.run" and "seed" in fields:
            yield (
                f"{place} sets seed, and a study counts them itself: leave it out "
                "(an arm with other seeds has a seed_offset)"
            )
        for name, value in fields.items():
            yield from _mistyped(f"{place}.{name}", value, RUN[name])
            yield from _refused(f"{place}.{name}", value, name)
    for arm in study.arms:
        for seed in (arm.seed_offset, arm.seed_offset + max(study.seeds, 1) - 1):
            yield from _refused(f"the seeds of arm {arm.name!r}", seed, "seed")


def _refused(place: str, value: Any, name: str) -> Iterator[str]:
    option, _ = FIELDS[name]
    if option is None or value is None:
        return
    try:
        option.convert(value, None, None)
    except click.UsageError as error:
        yield f"{place}: {error.message}"
    except UserError as error:
        yield f"{place}: {error}"


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, n in collections.Counter(names).items() if n > 1]


def _unknown(
    where: str, names: Iterable[str], known: Collection[str], noun: str
) -> Iterator[str]:
    there = ", ".join(known)
    for name in names:
        if name not in known:
            yield f"{where} {name!r}, and there is no such {noun}: there are {there}"
