"""Records a study in MLflow: an experiment, a parent run, a child for each run.

What a run came to lies in a file before MLflow hears of it (`execution.ledger`), and a
child is written whole or, where the store fails half-way, deleted and written again:
so nothing is lost when a process is killed or a server is away. Of several processes
that run one study, one at a time writes, and asks before what the others have written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import filelock

from keras16.analysis import cells
from keras16.errors import UserError
from keras16.report import record as plain
from keras16.results import Epoch, Record, from_dict, to_dict
from keras16.store import LOCAL, database_file, reason, where, without_password
from keras16.study import Study
from keras16.tracking import _client

STATUS = {"finished": "FINISHED", "failed": "FAILED", "crashed": "FAILED"}
KIND, RECORD, WHOLE = "keras16.kind", "keras16.record", "keras16.whole"
NOTE = "mlflow.note.content"
RECORD_FILE = "record.json"  # an artifact: a metric is no float64, and epochs are many
EVERY_RUN = f"tags.`{KIND}` = 'run'"
KEPT = "Everything is kept in mlruns/: the same `{}` again sends what is missing."
SECONDS_BETWEEN_TRIES = 30.0  # of a store that fails: a study must not wait for it
LOCK_SECONDS = 120.0  # of waiting for another process of the same study
MOST_CHILDREN = 1000  # that MLflow gives at once
METRICS = (
    "test_accuracy",
    "median_epoch_seconds",
    "weight_bytes",
    "test_loss",
    "val_accuracy",
    "val_loss",
    "test_metric",
    "val_metric",
    "optimizer_bytes",
    "peak_memory_bytes",
    "first_epoch_seconds",
    "compile_seconds",
    "wall_seconds",
    "parameters",
    "wide_tensors",
)


@contextlib.contextmanager
def study(
    study: Study, uri: str, command: str = "keras16 study run"
) -> Iterator[TrackedStudy]:
    """Opens the record of a study, and goes on with it where there is one.

    Args:
        study: Its name is the experiment's.
        uri: Of the store, as `store_uri` gives it.
        command: That sends what is missing, given once more.

    Yields:
        What is told of the study. A store that fails raises nothing.
    """
    tracked = TrackedStudy(study, uri, command)
    try:
        yield tracked
    finally:  # what was refused or stopped is over, too
        tracked.close()


class TrackedStudy:
    """A study in MLflow; no method raises for the store's sake.

    Attributes:
        uri: Of the store.
        experiment_id, parent_id: MLflow's; "" as long as the store has not answered.
        problem: What is wrong with the store, in one line; "" where all is well.
    """

    def __init__(self, study: Study, uri: str, command: str) -> None:
        """Records nothing yet."""
        self.uri, self._study, self._command = uri, study, command
        self.experiment_id = self.parent_id = self.problem = ""
        self._client: Any = None
        self._whole: set[str] = set()  # names of the records that have a child
        self._waiting: dict[str, Record] = {}
        self._failed_at = 0.0
        self._is_open = self._was_open = False

    @property
    def where(self) -> str:
        """The sentence that says how to browse the study."""
        return where(self.uri, self.parent_id, self.experiment_id)

    def ended(self, record: Record) -> None:
        """A run is over; it is recorded now, or once the store answers again."""
        self._waiting[identity(record)] = record
        again = self._failed_at + SECONDS_BETWEEN_TRIES
        if not self.problem or time.monotonic() > again:
            self._try(self._deliver)

    def sync(self, records: Sequence[Record]) -> None:
        """Records those of the runs that MLflow does not have yet."""
        self._waiting |= {identity(record): record for record in records}
        self._try(self._deliver)

    def means(self, records: Sequence[Record]) -> None:
        """A run with the means of each row and arm, beside the parent.

        The children of a parent are folded in MLflow's table and have no charts there:
        the means are what its table and charts show at once.

        Args:
            records: Of the runs that are over.
        """
        self._try(lambda: self._write_means(records))

    def report(self, told: Sequence[str], folder: pathlib.Path) -> None:
        """The report as the parent's artifact, its verdicts as its description.

        Args:
            told: The verdicts, a paragraph each.
            folder: With the report's files.
        """
        self._try(lambda: self._reported(told, folder))

    def said(self, sentence: str) -> None:
        """What the study comes to, as the parent's description."""
        self._try(lambda: self._describe((sentence,)))

    def close(self) -> None:
        """The study's process ends; what waits is tried once more."""
        if self._waiting:
            self._try(self._deliver)
        if self.parent_id:
            self._try(self._end)

    def _end(self) -> None:
        self._written(EVERY_RUN)  # a child whose creation got no answer is a half
        self._client.set_terminated(self.parent_id, "FINISHED")

    def _try(self, action: Callable[[], object]) -> None:
        impatient = bool(self.problem) or self._client is None
        environment = _client.IMPATIENT if impatient else _client.ENVIRONMENT
        try:
            with _client.manners(environment), self._lock():
                self._open()
                action()
        except Exception as error:  # whatever it is, it must not end the study
            told = _client.trouble(self.uri, error, self._missing())
            self.problem = f"{told} {KEPT.format(self._command)}"
            self._failed_at = time.monotonic()
            self._is_open = False  # what it holds of a child is found again
        else:
            self.problem = ""

    def _missing(self) -> str:
        """What the store lacks, as far as this process has seen what it holds."""
        count = len(self._waiting.keys() - self._whole)
        if not count:
            return "all runs are recorded, but not the means or the report"
        most = "" if self._was_open else "up to "
        return f"{most}{count} {'run is' if count == 1 else 'runs are'} not recorded"

    def _lock(self) -> filelock.BaseFileLock:
        """Held by the one process that writes; they share a folder of runs."""
        file = database_file(self.uri)
        folder = file.parent if file else LOCAL
        folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(f"{self.uri} {self._study.name}".encode()).hexdigest()
        return filelock.FileLock(folder / f".{name[:12]}.lock", timeout=LOCK_SECONDS)

    def _open(self) -> None:
        """Finds the experiment and the parent run, or makes them."""
        if self._is_open:
            return
        from mlflow import MlflowClient

        _client.create_database(self.uri)
        self._client = MlflowClient(self.uri, registry_uri=self.uri)
        name = self._study.name
        self.experiment_id = _client.find_experiment(self._client, self.uri, name)
        found = self._runs(f"tags.`{KIND}` = 'study'")
        if found:
            self.parent_id = found[0].info.run_id
        else:
            self.parent_id = self._new_parent()
        self._client.update_run(self.parent_id, status="RUNNING")
        self._whole = self._written(EVERY_RUN)
        self._is_open = self._was_open = True

    def _new_parent(self) -> str:
        title, question = self._study.title, self._study.question
        tags = {KIND: "study", NOTE: question}
        created = self._client.create_run(self.experiment_id, tags=tags, run_name=title)
        return created.info.run_id

    def _written(self, where: str) -> set[str]:
        """The names of the records that have a child; deletes those without an end.

        Only one process writes at a time: a half is of one that is no more.
        """
        children = self._runs(where)
        whole = [one for one in children if one.data.tags.get(WHOLE) == "yes"]
        for half in children:
            if half not in whole:
                self._delete(half.info.run_id)
        return {one.data.tags[RECORD] for one in whole}

    def _delete(self, run_id: str) -> None:
        """Ends it, too: MLflow lists what is deleted with its status."""
        self._client.set_terminated(run_id, "KILLED")
        self._client.delete_run(run_id)

    def _runs(self, where: str) -> list[Any]:
        return _all_runs(self._client, self.experiment_id, where)

    def _deliver(self) -> None:
        while self._waiting:
            name, record = next(iter(self._waiting.items()))
            if name not in self._whole:
                self._write_once(name, record)
                self._whole.add(name)
            del self._waiting[name]

    def _write_once(self, name: str, record: Record) -> None:
        # Another process may have written it since this one looked at all of them.
        known = f"{EVERY_RUN} and tags.`{RECORD}` = '{name}'"
        if not self._written(known):
            self._write(name, record)

    def _write(self, name: str, record: Record) -> None:
        """A child of its own, whole only at its very end."""
        tags = {KIND: "run", RECORD: name, "mlflow.parentRunId": self.parent_id}
        began = int(1000 * record.began)
        run = self._client.create_run(
            self.experiment_id,
            start_time=began or None,
            tags={**plain.clean(_tags(record)), **tags},
            run_name=f"{record.row}, {record.arm}, seed {record.pair}",
        )
        run_id = run.info.run_id
        _client.log_params(self._client, run_id, _params(record))
        # First: MLflow's compare view draws the metric that was recorded first.
        _client.log_metrics(self._client, run_id, _numbers(record))
        self._write_epochs(run_id, record)
        self._client.log_dict(run_id, to_dict(record), RECORD_FILE)
        ended = int(1000 * (record.began + record.wall_seconds))
        self._client.set_terminated(run_id, STATUS[record.status], ended or None)
        self._client.set_tag(run_id, WHOLE, "yes")

    def _write_epochs(self, run_id: str, record: Record) -> None:
        names = [field.name for field in dataclasses.fields(Epoch)]
        for epoch in record.epochs:
            values = {name: getattr(epoch, name) for name in names if name != "epoch"}
            _client.log_metrics(self._client, run_id, values, epoch.epoch)

    def _write_means(self, records: Sequence[Record]) -> None:
        """Of each row and arm; a run of before gets the new numbers and tags."""
        known = self._known_means()
        for cell in cells.grid(self._study, records).cells.values():
            if cell.records:
                name = f"{cell.row}, {cell.arm}"
                run = known.get(name) and self._of_its_fields(known[name], cell)
                self._write_cell(run or self._new_means(name), cell)

    def _known_means(self) -> dict[str, Any]:
        """The run of each name; deletes a second one, whose creation got no answer."""
        known: dict[str, Any] = {}
        for run in self._runs(f"tags.`{KIND}` = 'means'"):
            if known.setdefault(run.data.tags[RECORD], run) is not run:
                self._delete(run.info.run_id)
        return known

    def _of_its_fields(self, run: Any, cell: cells.Cell) -> Any:
        """The run, or None: MLflow takes parameters once, and these are of others."""
        fields = _shared_params(cell).items()
        if run.data.params in ({}, {name: str(value) for name, value in fields}):
            return run
        self._delete(run.info.run_id)
        return None

    def _new_means(self, name: str) -> Any:
        tags = {KIND: "means", RECORD: name}
        return self._client.create_run(self.experiment_id, tags=tags, run_name=name)

    def _write_cell(self, run: Any, cell: cells.Cell) -> None:
        run_id = run.info.run_id
        if not run.data.params:  # MLflow takes each only once
            _client.log_params(self._client, run_id, _shared_params(cell))
        tags = _shared_tags(cell)
        _client.log_tags(self._client, run_id, tags)
        for name in tags:
            if not tags[name] and name in run.data.tags:  # it was so before
                self._client.delete_tag(run_id, name)
        _client.log_metrics(self._client, run_id, _means(cell))
        self._client.set_terminated(run_id, "FINISHED")

    def _reported(self, told: Sequence[str], folder: pathlib.Path) -> None:
        self._client.log_artifacts(self.parent_id, str(folder), "report")
        note = self._describe(told)
        self._client.set_experiment_tag(
            self.experiment_id, NOTE, note[: plain.TAG_LENGTH]
        )

    def _describe(self, told: Sequence[str]) -> str:
        """Gives the parent its description, and returns it."""
        note = "\n\n".join((self._study.question, *told))
        _client.log_tags(self._client, self.parent_id, {NOTE: note})
        return note


def _numbers(record: Record) -> dict[str, float | None]:
    """What a run came to; the first ones as those of the means are called."""
    return {
        "accuracy_percent": _times(record.test_accuracy, 100),
        "model_megabytes": _times(record.weight_bytes, 1e-6),
        **{name: getattr(record, name) for name in METRICS},
    }


def _means(cell: cells.Cell) -> dict[str, float | None]:
    """What a row and an arm came to over the seeds, as a chart shows two decimals."""
    mean, deviation = cell.spread("test_accuracy")
    weights, slots = cell.middle("weight_bytes"), cell.middle("optimizer_bytes")
    return {
        "accuracy_percent": _times(mean, 100),
        "accuracy_deviation_points": _times(deviation, 100),
        "test_loss": cell.spread("test_loss")[0],
        "test_metric": cell.spread("test_metric")[0],
        "val_metric": cell.spread("val_metric")[0],
        "epoch_seconds": cell.middle("median_epoch_seconds"),
        "model_megabytes": _times(weights, 1e-6),
        "optimizer_megabytes": _times(slots, 1e-6),
        "peak_memory_megabytes": _times(cell.middle("peak_memory_bytes"), 1e-6),
        "wide_tensors": cell.wide_tensors,
        "seeds": float(len(cell.records)),
        "failures": float(cell.failures),
    }


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def records(name: str, uri: str) -> tuple[Record, ...]:
    """What MLflow holds of a study's runs, of however many machines.

    Args:
        name: Of the study.
        uri: Of the store, as `store_uri` gives it.

    Raises:
        UserError: The store fails, or holds no such study.
    """
    from mlflow import MlflowClient

    file = database_file(uri)
    if file is not None and not file.is_file():
        raise UserError(f"there is no MLflow store {without_password(uri)}.")
    try:
        with _client.manners(_client.IMPATIENT):
            client = MlflowClient(uri, registry_uri=uri)
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise UserError(
                    f"{without_password(uri)} holds no study {name}: run it first with "
                    "`keras16 study run`."
                )
            whole = f"{EVERY_RUN} and tags.`{WHOLE}` = 'yes'"
            found = _all_runs(client, experiment.experiment_id, whole)
            return tuple(_downloaded(client, child.info.run_id) for child in found)
    except UserError:
        raise
    except Exception as error:  # whatever the store has to complain of
        shown = without_password(uri)
        raise UserError(
            f"MLflow store {shown} can't be read ({reason(error)})."
        ) from error


def _all_runs(client: Any, experiment_id: str, where: str) -> list[Any]:
    found: list[Any] = []
    token = None
    while True:
        page = client.search_runs(
            [experiment_id], where, max_results=MOST_CHILDREN, page_token=token
        )
        found += page
        token = page.token
        if not token:
            return found


def _downloaded(client: Any, run_id: str) -> Record:
    with tempfile.TemporaryDirectory() as folder:
        path = client.download_artifacts(run_id, RECORD_FILE, folder)
        return from_dict(json.loads(pathlib.Path(path).read_text()))


def identity(record: Record) -> str:
    """By what MLflow's copy of a record is known again."""
    parts = (record.study, record.row, record.arm, record.pair, record.code)
    text = repr((*parts, record.began, record.status))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _params(record: Record) -> dict[str, Any]:
    names = {"row": record.row, "arm": record.arm, "pair": record.pair}
    return {**names, **record.run.fields()}


def _shared_params(cell: cells.Cell) -> dict[str, Any]:
    """Those of a run, but for what is of one seed."""
    fields = {"row": cell.row, **_params(cell.records[0])}
    return {name: fields[name] for name in fields if name not in ("pair", "seed")}


def _shared_tags(cell: cells.Cell) -> dict[str, str]:
    """Those of the first run, and why the first that failed did so."""
    causes = (one.cause for one in cell.records)
    return {**_tags(cell.records[0]), "cause": next(filter(None, causes), "")}


def _tags(record: Record) -> dict[str, str]:
    return {
        **record.fingerprint,
        "precision": record.run.precision,
        "model": record.run.model,
        "optimizer": record.run.optimizer,
        "arm": record.arm,
        "cause": record.cause,
        "code": record.code,
        "mlflow.source.name": "keras16",
        "mlflow.source.type": "LOCAL",
    }
