"""What a conversion tells about itself."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator

PRINTED = 12


@dataclasses.dataclass(frozen=True)
class Replacement:
    """One layer that has another class in the twin.

    Attributes:
        layer: Its name, after those of the models and wrappers around it.
        before: Of the class, with its module: "keras.layers.Dense".
        after: Likewise.
    """

    layer: str
    before: str
    after: str


@dataclasses.dataclass(frozen=True)
class Rounded:
    """One weight some of whose values left the range of 16-bit floats' full precision.

    Attributes:
        weight: Its path.
        values: How many it has.
        vanished: How many of them were not 0 and are now.
        subnormal: How many are left with less than 11 significant bits.
    """

    weight: str
    values: int
    vanished: int
    subnormal: int


@dataclasses.dataclass
class Conversion:
    """What was replaced, and which values left float16's range.

    A value beyond the largest, 65,504, is an error and never found here.

    Attributes:
        model: Its name.
        precision: What it was converted to.
        replaced: The layers of another class.
        kept: The layers of the same class, in the new dtype.
        rounded: The weights with values below the smallest normal number, 6.1e-5.
    """

    model: str
    precision: str
    replaced: list[Replacement] = dataclasses.field(default_factory=list)
    kept: list[str] = dataclasses.field(default_factory=list)
    rounded: list[Rounded] = dataclasses.field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(
            (
                f"{self.model}: converted to precision {self.precision}",
                *self._replacements(),
                f"  kept as they are: {len(self.kept)} layers",
                *self._roundings(),
            )
        )

    def _replacements(self) -> Iterator[str]:
        yield f"  replaced: {len(self.replaced)} layers"
        groups: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
        for one in self.replaced:
            groups[one.before, one.after].append(one.layer)
        for (before, after), names in sorted(groups.items()):
            yield f"    {before} -> {after}: {_some(names)}"

    def _roundings(self) -> Iterator[str]:
        if not self.rounded:
            yield "  values that left float16's range: none"
            return
        yield f"  values that left float16's range: in {len(self.rounded)} weights"
        ranked = sorted(self.rounded, key=lambda one: -one.vanished)
        for one in ranked[:PRINTED]:
            yield (
                f"    {one.weight}: of {one.values:,} values {one.vanished:,} became "
                f"0, {one.subnormal:,} are subnormal"
            )
        if len(ranked) > PRINTED:
            yield f"    and {len(ranked) - PRINTED} more"


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:PRINTED])
    return (
        shown if len(names) <= PRINTED else f"{shown} and {len(names) - PRINTED} more"
    )
