"""What the runs of a study came to: plain records, read and written as CSV."""

from __future__ import annotations

import base64
import csv
import dataclasses
import math
import pathlib
import reprlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from keras16.errors import UserError
from keras16.study import Run

if TYPE_CHECKING:
    import numpy as np


@dataclasses.dataclass(frozen=True)
class Epoch:
    """What one epoch came to, as float64 computed on the host.

    Attributes:
        epoch: Counted from 1.
        loss: Mean cross-entropy over the epoch's training examples, in nats; or the
            mean of the run's own loss.
        accuracy: Share in [0, 1] of the epoch's training examples; None of a run with
            a loss of its own.
        val_loss: The same on the held-out part; None without one.
        val_accuracy: Likewise.
        epoch_seconds: Training alone: validation and compilation outside.
        learning_rate: At the last step of the epoch.
        metric: The run's own, over the epoch's training examples; None without one.
        val_metric: The same on the held-out part.
    """

    epoch: int
    loss: float
    accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    epoch_seconds: float
    learning_rate: float
    metric: float | None = None
    val_metric: float | None = None


# How a run may end; "failed" is: its numbers were no numbers any more.
STATUSES = ("finished", "failed", "crashed")
# What a system and the process that waits for a run take anyway.
UNFELT_CORES = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """One run of a study, over.

    Attributes:
        study, row, arm: Names.
        pair: The seed counted from 0; arms with the same one are a pair.
        run: What was trained, defaults filled in.
        status: "finished", "failed" (it diverged) or "crashed" (its process did not
            end as it should).
        cause: Why it did not finish, in one line.
        test_accuracy, test_loss, test_metric: After the last epoch; None unless
            finished. A run with a loss of its own has no accuracy, and a metric where
            it has one of its own.
        val_accuracy, val_loss, val_metric: Of the last epoch; None without validation
            data.
        correct: Which test examples were classified right, as `packed` gives it; ""
            unless finished, and where nothing is classified.
        median_epoch_seconds, first_epoch_seconds, compile_seconds: Of the training.
        weight_bytes, optimizer_bytes, peak_memory_bytes: As in `training.Result`.
        parameters: Of the model.
        wide_tensors, tensors: Of the audited training step.
        code: The version of keras16's own source, as a short hash.
        workers: How many runs of its study went on side by side; the most of its
            processes where it went on from a checkpoint.
        foreign_cores: How many cores all else kept busy meanwhile, on average, or
            likewise; None where that was not measured.
        began: When its process began to train, in seconds since 1970; 0 if unknown.
        wall_seconds: That it took, compilation and all; of the last process alone
            where it went on from a checkpoint.
        fingerprint: Of the machine and the software.
        epochs: Those that were finished.
    """

    study: str
    row: str
    arm: str
    pair: int
    run: Run
    status: str
    cause: str = ""
    test_accuracy: float | None = None
    test_loss: float | None = None
    val_accuracy: float | None = None
    val_loss: float | None = None
    correct: str = ""
    median_epoch_seconds: float | None = None
    first_epoch_seconds: float | None = None
    compile_seconds: float | None = None
    weight_bytes: int | None = None
    optimizer_bytes: int | None = None
    peak_memory_bytes: int | None = None
    parameters: int | None = None
    wide_tensors: int | None = None
    tensors: int | None = None
    code: str = ""
    workers: int = 1
    began: float = 0.0
    wall_seconds: float = 0.0
    fingerprint: Mapping[str, str] = dataclasses.field(default_factory=dict)
    epochs: tuple[Epoch, ...] = ()
    test_metric: float | None = None
    val_metric: float | None = None
    foreign_cores: float | None = None

    @property
    def timed_alone(self) -> bool:
        """Whether it had the machine to itself, so that its times can be trusted."""
        return self.workers == 1 and (self.foreign_cores or 0.0) <= UNFELT_CORES

    @property
    def is_correct(self) -> np.ndarray | None:
        """A bool for each test example; None where the run did not finish."""
        return unpacked(self.correct) if self.correct else None


def packed(correct: np.ndarray) -> str:
    """A bool vector as a short string of printable characters."""
    import numpy as np

    bits = np.packbits(np.asarray(correct, bool)).tobytes()
    return f"{len(correct)}:{base64.b64encode(zlib.compress(bits, 9)).decode()}"


def unpacked(text: str) -> np.ndarray:
    """The bool vector that `packed` made the string of."""
    import numpy as np

    count, _, body = text.partition(":")
    bits = np.frombuffer(zlib.decompress(base64.b64decode(body)), np.uint8)
    if len(bits) != math.ceil(int(count) / 8):
        raise ValueError(f"{len(bits)} bytes of {count} examples")
    return np.unpackbits(bits, count=int(count)).astype(bool)


# What `training.Result` and `Record` both have, measured once for a run.
MEASURED = (
    "test_accuracy",
    "test_loss",
    "test_metric",
    "median_epoch_seconds",
    "first_epoch_seconds",
    "compile_seconds",
    "weight_bytes",
    "optimizer_bytes",
    "peak_memory_bytes",
    "parameters",
)
_NESTED = ("run", "fingerprint", "epochs")
_KEY = ("row", "arm", "pair")
# Fields that files of before do not have.
_LATER = {
    Run: ("loss", "metric"),
    Epoch: ("metric", "val_metric"),
    Record: ("test_metric", "val_metric", "foreign_cores"),
}
_SHARES = ("accuracy", "test_accuracy", "val_accuracy")
# A loss, or a metric of one's own, may be any number: NaN where the run diverged.
_LOSSES = ("loss", "test_loss", "val_loss", "metric", "test_metric", "val_metric")

Line = tuple[str, dict[str, str]]  # of a CSV file: its place, the cells by column


def to_dict(record: Record) -> dict[str, Any]:
    """The record as plain values, for JSON."""
    return dataclasses.asdict(record)


def from_dict(values: Mapping[str, Any]) -> Record:
    """The record of `to_dict`."""
    epochs = tuple(Epoch(**epoch) for epoch in values["epochs"])
    return Record(**{**values, "run": Run(**values["run"]), "epochs": epochs})


def epochs_file(path: pathlib.Path) -> pathlib.Path:
    """The file of the epochs that belongs to a CSV file of records."""
    return path.with_name(f"{path.stem}-epochs.csv")


def write_csv(records: Sequence[Record], path: pathlib.Path) -> list[pathlib.Path]:
    """Writes one line a run, and one line an epoch into `NAME-epochs.csv` beside it.

    Args:
        records: Of one study.
        path: Such as docs/results/mnist_dnn.csv.

    Returns:
        Both files.
    """
    _write(path, [_line(record) for record in records])
    _write(epochs_file(path), [line for r in records for line in _epoch_lines(r)])
    return [path, epochs_file(path)]


def read_csv(path: pathlib.Path) -> tuple[Record, ...]:
    """The records that `write_csv` wrote.

    Raises:
        UserError: The files are missing or not of this kind; the text names the line.
    """
    lines = _read(path, _columns())
    epochs: dict[tuple[str, ...], list[Epoch]] = {}
    for key, epoch in _made(_read_epochs(path), _epoch):
        epochs.setdefault(key, []).append(epoch)
    return tuple(_made(lines, lambda line: _record(line, epochs)))


def _names(kind: type) -> list[str]:
    """The fields that a file has had from the first on."""
    names = [field.name for field in dataclasses.fields(kind)]
    return [name for name in names if name not in _LATER[kind]]


def _columns() -> tuple[str, ...]:
    """Without one of them a record would silently be another one."""
    own = (name for name in _names(Record) if name not in _NESTED)
    return (*own, *(f"run.{name}" for name in _names(Run)))


def _read_epochs(path: pathlib.Path) -> list[Line]:
    file = epochs_file(path)
    if not file.exists():
        raise UserError(f"{file} is missing: put it beside {path}.")
    return _read(file, (*_KEY, *_names(Epoch)))


def _made(lines: Iterable[Line], make: Callable[..., Any]) -> Iterator[Any]:
    """What is made of each line; a `ValueError` is told with its place."""
    for place, line in lines:
        try:
            yield make(line)
        except ValueError as error:
            raise UserError(f"{place}: {error}.") from error


def _key(line: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(line[name] for name in _KEY)


def _epoch(line: Mapping[str, str]) -> tuple[tuple[str, ...], Epoch]:
    return _key(line), Epoch(**_typed(Epoch, line))


def _record(
    line: Mapping[str, str], epochs: Mapping[tuple[str, ...], list[Epoch]]
) -> Record:
    machine = "fingerprint."
    return Record(
        **_typed(Record, {k: v for k, v in line.items() if k not in _NESTED}),
        run=Run(**_typed(Run, line, "run.")),
        fingerprint={
            k.removeprefix(machine): v for k, v in line.items() if k.startswith(machine)
        },
        epochs=tuple(epochs.get(_key(line), ())),
    )


def _line(record: Record) -> dict[str, Any]:
    values = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    own = {name: value for name, value in values.items() if name not in _NESTED}
    run = {f"run.{name}": value for name, value in record.run.fields().items()}
    machine = {f"fingerprint.{k}": text for k, text in record.fingerprint.items()}
    return {**own, **run, **machine}


def _epoch_lines(record: Record) -> Iterable[dict[str, Any]]:
    key = {name: getattr(record, name) for name in _KEY}
    return ({**key, **dataclasses.asdict(epoch)} for epoch in record.epochs)


def _typed(kind: type, line: Mapping[str, str], prefix: str = "") -> dict[str, Any]:
    """The values of a line that are fields of a dataclass, in their types."""
    return {
        name: _value(f"{prefix}{name}", hint, line[f"{prefix}{name}"])
        for name, hint in get_type_hints(kind).items()
        if f"{prefix}{name}" in line
    }


def _value(column: str, hint: Any, text: str) -> Any:
    kind, *or_none = get_args(hint) or (hint,)
    if text == "" and (or_none or column == "loss"):  # NaN is written as nothing
        return None
    read, wanted = _CELLS.get(column) or _CELLS[kind]
    try:
        return read(text)
    except (KeyError, ValueError, OverflowError, zlib.error) as error:
        told = reprlib.repr(text)
        raise ValueError(f"{column} is {told}: it must be {wanted}") from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise ValueError(text)
    return number


def _correct(text: str) -> str:
    if text:
        unpacked(text)
    return text


# How a cell is read and what it must be: by the column, or else by the type.
_CELLS: dict[Any, tuple[Callable[[str], Any], str]] = {
    str: (str, "text"),
    bool: ({"True": True, "False": False}.__getitem__, "True or False"),
    int: (int, "a whole number"),
    float: (_finite, "a finite number"),
    "status": ({one: one for one in STATUSES}.__getitem__, " or ".join(STATUSES)),
    "correct": (_correct, "as `keras16 study report` wrote it"),
    **dict.fromkeys(_SHARES, (_share, "a share in [0, 1]")),
    **dict.fromkeys(_LOSSES, (float, "a number")),
}


def _write(path: pathlib.Path, lines: Sequence[Mapping[str, Any]]) -> None:
    names = list(dict.fromkeys(name for line in lines for name in line))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: _plain(v) for k, v in line.items()} for line in lines)


def _plain(value: Any) -> Any:
    """Floats as the shortest text that gives them back; no NaN among them."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _read(path: pathlib.Path, columns: Sequence[str]) -> list[Line]:
    """The lines of a file that has these columns; a file of no lines may have none."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            there = reader.fieldnames
            lines = [(f"{path}, line {reader.line_num}", line) for line in reader]
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise _of_another_kind(path, "it is no CSV file in UTF-8") from error
    except csv.Error as error:
        raise _of_another_kind(path, str(error)) from error
    if there is None:
        raise _of_another_kind(path, "it is empty")
    missing = [name for name in columns if name not in there] if lines else []
    if missing:
        raise _of_another_kind(path, f"it has no column {missing[0]!r}")
    for place, line in lines:
        if None in line or None in line.values():
            more = "more" if None in line else "fewer"
            raise UserError(f"{place}: it has {more} cells than the header.")
    return lines


def _of_another_kind(path: pathlib.Path, why: str) -> UserError:
    return UserError(
        f"{path} is no file of a study's runs ({why}): give one that `keras16 study "
        "report` wrote."
    )
