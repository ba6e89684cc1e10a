"""How much disk a study needs, before it starts.

`python -m keras16.execution.sizes` reads the fields of runs from standard input and
tells their numbers of parameters: building a net wants a process that trains none.
"""

from __future__ import annotations

import functools
import pathlib
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from keras16.errors import UserError
from keras16.execution import child, identity, json_file
from keras16.study import Run

if TYPE_CHECKING:
    from keras16.objective import Objective

RECORD_BYTES = 40_000  # a record with a hundred epochs, and its log
# Weights and, at most, two slots and a compensation, each of 4 bytes.
CHECKPOINT_BYTES = 16
MODEL_BYTES = 16


def needed_bytes(
    parameters: Sequence[int], runs: int, workers: int, *, keep_models: bool
) -> int:
    """At most so many bytes, while the study runs.

    Args:
        parameters: Of each net.
        runs: That are still to be trained.
        workers: Checkpoints that there are at a time; one more is being written.
        keep_models: Whether models are kept.
    """
    most = max(parameters, default=0)
    kept = runs * most * MODEL_BYTES if keep_models else 0
    return runs * RECORD_BYTES + 2 * workers * most * CHECKPOINT_BYTES + kept


def parameters(
    runs: Sequence[Run], folder: pathlib.Path, stop: threading.Event | None = None
) -> list[int]:
    """The number of parameters of each net among the runs, each once.

    Args:
        runs: Of a study.
        folder: Where the numbers are remembered.
        stop: Once set, nobody wants to know any more.

    Raises:
        UserError: A net can't be built.
        child.Stopped: `stop` was set.
    """
    distinct = {(run.model, run.dataset, run.loss): run for run in runs}
    plain = [
        Run(model=model, dataset=data, loss=loss, precision="32")
        for model, data, loss in distinct
    ]
    keys = [f"{identity.key(run)} {identity.code()}" for run in plain]
    file = folder / "parameters.json"
    known = _read(file)
    unknown = [run for run, key in zip(plain, keys, strict=True) if key not in known]
    if unknown:
        missing = [key for key in keys if key not in known]
        known |= dict(zip(missing, _counted(unknown, stop), strict=True))
        json_file.write(file, known)
    return [known[key] for key in keys]


def _counted(runs: Sequence[Run], stop: threading.Event | None) -> list[int]:
    told = child.ask(__name__, [run.fields() for run in runs], stop)
    if "problem" in told:
        raise UserError(f"a net can't be built: {told['problem']}")
    return told["counts"]


def _read(file: pathlib.Path) -> dict[str, int]:
    numbers = json_file.read(file).items()
    return {key: count for key, count in numbers if isinstance(count, int)}


def _count(run: Run, load: Callable) -> int:
    from keras16 import assembly, measure, precision

    precision.use(run.precision)
    dataset, logits = load(run.dataset, run.loss), _objective(run.loss).logits
    return measure.parameters(assembly.core(run.model, dataset, logits=logits))


def counts(fields: Sequence[dict[str, Any]]) -> dict[str, list[int]]:
    """The number of parameters of each run, built in this process."""
    load = functools.cache(lambda data, loss: _objective(loss).load(data))
    return {"counts": [_count(Run(**each), load) for each in fields]}


def _objective(loss: str | None) -> Objective:
    from keras16 import objective

    return objective.of(Run(loss=loss))


if __name__ == "__main__":
    child.answer(counts)
