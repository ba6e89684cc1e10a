"""Where plain SGD in float16 ends, as table, words, numbers and files."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from keras16.report import tolerance_figures

if TYPE_CHECKING:
    from keras16.tolerance.floor import Floor

HEADER = ("rounding", "learning rate", "steps", "distance", "at least", "stalled")
TITLE = "Plain SGD in float16 on least squares"


def table(found: Sequence[Floor]) -> list[tuple[str, ...]]:
    """The rows under `HEADER`; distances are relative to the optimum's size."""
    return [_row(one) for one in found]


def verdict(found: Sequence[Floor]) -> str:
    """Whether the bound holds, and who goes below it."""
    broken = [one for one in found if one.distance < one.bound]
    if broken:
        return f"{len(broken)} of {len(found)} descents came BELOW THEIR BOUND."
    below = [name for name in ("kahan", "stochastic") if _goes_below(found, name)]
    words = "Rounding to nearest ends above its proven floor at every learning rate."
    who = ", ".join(below) or "nothing"
    return f"{words} Below the highest floor: {who}."


def plain(found: Sequence[Floor]) -> dict[str, Any]:
    """All of it as plain values."""
    return {"floor": [one._asdict() for one in found], "verdict": verdict(found)}


def metrics(found: Sequence[Floor]) -> dict[str, float | None]:
    """What is recorded by name, such as `kahan_distance_0.25`."""
    distances = {
        f"{o.rounding}_distance_{o.learning_rate:g}": o.distance for o in found
    }
    nearest = [one for one in found if one.rounding == "nearest"]
    return {**distances, **{f"floor_{o.learning_rate:g}": o.bound for o in nearest}}


def write(found: Sequence[Floor], folder: pathlib.Path) -> None:
    """Writes floor.json and floor.png."""
    (folder / "floor.json").write_text(json.dumps(plain(found), indent=1))
    tolerance_figures.by_rate(found, TITLE).savefig(folder / "floor.png")


def _row(one: Floor) -> tuple[str, ...]:
    return (
        one.rounding,
        f"{one.learning_rate:g}",
        f"{one.steps:,}",
        f"{one.distance:.2g}",
        f"{one.bound:.2g}" if one.bound else "-",
        "yes" if one.stalled else "no",
    )


def _goes_below(found: Sequence[Floor], rounding: str) -> bool:
    """Whether a rounding ends below the floor of nearest at the smallest rate."""
    smallest = min(one.learning_rate for one in found)
    at = {one.rounding: one for one in found if one.learning_rate == smallest}
    return rounding in at and at[rounding].distance < at["nearest"].bound
