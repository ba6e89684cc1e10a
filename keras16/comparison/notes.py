"""What a comparison remembers: its epochs, what was probed, and which runs it counted.

FOLDER/compare/KEY.json (see `identity.key`) has one for each net and data of the same
content under the same fields.
"""

from __future__ import annotations

import dataclasses
import glob
import json
import pathlib
from collections.abc import Collection
from typing import Any

from keras16 import hardware
from keras16.comparison.probe import Probe
from keras16.execution import identity, json_file
from keras16.execution.ledger import Entry
from keras16.study import Run


class Notes:
    """Those of one comparison, written whenever something is added."""

    def __init__(self, folder: pathlib.Path, run: Run) -> None:
        """Reads what there is.

        Args:
            folder: Of the notes.
            run: What its runs have in common.
        """
        self._file = folder / f"{identity.key(run)}.json"
        self._others = f"{glob.escape(identity.short_name(run))}-*.json"
        # As JSON gives them back.
        self._fields = json.loads(json.dumps(run.fields()))
        self._kept = json_file.read(self._file)

    @property
    def epochs(self) -> int | None:
        """Of every run; None where nobody has chosen yet."""
        found = self._kept.get("epochs")
        return found if isinstance(found, int) else None

    @epochs.setter
    def epochs(self, chosen: int) -> None:
        self._keep({"epochs": chosen})

    def probe(self, precision: str) -> Probe | None:
        """What was measured before, by this code and on a machine like this one."""
        kept = self._kept.get("probes", {}).get(precision)
        if not kept or kept["by"] != _by():
            return None
        try:
            return Probe(**kept["probe"])
        except TypeError:  # of a version that measured something else
            return None

    def probed(self, probe: Probe) -> None:
        """Keeps what was measured; a problem may be over the next time."""
        if not probe.problem:
            kept = {"by": _by(), "probe": dataclasses.asdict(probe)}
            probes = self._kept.get("probes", {})
            self._keep({"probes": {**probes, probe.precision: kept}})

    def counted(self, entries: Collection[Entry]) -> None:
        """Keeps the places of runs that are over."""
        known = set(self._kept.get("runs", ()))
        if more := {_place(entry) for entry in entries} - known:
            self._keep({"runs": sorted(known | more)})

    def of_other_code(self, runs: pathlib.Path) -> int:
        """How many runs were counted under these fields that other code has trained.

        Args:
            runs: The ledger's folder.
        """
        places: set[str] = set()
        for file in self._file.parent.glob(self._others):
            kept = json_file.read(file)
            if kept.get("fields") == self._fields:
                places |= {
                    place
                    for place in kept.get("runs", ())
                    if file != self._file or not place.endswith(identity.code())
                }
        return sum(Entry(runs / place).record_file.exists() for place in places)

    def _keep(self, more: dict[str, Any]) -> None:
        self._kept = {**self._kept, "fields": self._fields, **more}
        json_file.write(self._file, self._kept)


def _by() -> list[str]:
    """The code and the machine: what other ones have measured does not hold."""
    machine = hardware.cpu_model(), str(hardware.usable_cores())
    return [identity.code(), *machine, *hardware.gpus()]


def _place(entry: Entry) -> str:
    return f"{entry.folder.parent.name}/{entry.folder.name}"
