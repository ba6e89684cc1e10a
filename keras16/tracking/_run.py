"""Records one run in MLflow.

Nothing here can end a training: what goes wrong with the store is kept as one line
in `Tracked.problem`, and what could not be recorded is tried again at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from keras16 import served_model
from keras16.report import artifacts, record
from keras16.report.record import Subject
from keras16.store import store_uri, where
from keras16.study import Run
from keras16.tracking._client import (
    ENVIRONMENT,
    IMPATIENT,
    create_database,
    find_experiment,
    log_metrics,
    log_params,
    log_tags,
    manners,
    trouble,
)

if TYPE_CHECKING:
    import keras

    from keras16.callbacks._counts import Observation
    from keras16.data import Dataset
    from keras16.training import Epoch, Result
    from keras16.tuning import Trial

STATUS = {"finished": "FINISHED", "failed": "FAILED", "killed": "KILLED"}


@contextlib.contextmanager
def track(
    run: Run | Subject,
    uri: str | None = None,
    experiment: str = "keras16",
    run_name: str | None = None,
    parent: str = "",
) -> Iterator[Tracked]:
    """Opens a run in MLflow, and closes it with the status that it ended with.

    An exception inside ends it as FAILED, an interrupt as KILLED; both go on.

    Args:
        run: What it is about: its fields become the parameters.
        uri: Of the store; None: MLFLOW_TRACKING_URI, else mlruns/ right here.
        experiment: Created where there is none of that name.
        run_name: None takes the run's own name.
        parent: The id of the run that this one is a part of, if any.

    Yields:
        What is told of the run while it lasts.

    Raises:
        UserError: The URI is none of a store. A store that fails raises nothing.
    """
    name = run_name or run.name
    tracked = Tracked(run, store_uri(uri), experiment, name, parent)
    tracked.open()
    try:
        yield tracked
    except Exception:
        tracked.close("FAILED")
        raise
    except BaseException:  # Ctrl-C, or SIGTERM as SystemExit
        tracked.close("KILLED")
        raise
    tracked.close(tracked.status)


class Tracked:
    """One run in MLflow, told of what happens; no method raises for the store's sake.

    Attributes:
        uri: Of the store.
        run_id: MLflow's; "" as long as nothing could be recorded.
        experiment_id: MLflow's, likewise.
        problem: What went wrong with the store, in one line; "" where all is well.
        status: What the run will be closed with: "FINISHED" until told otherwise.
    """

    def __init__(
        self,
        run: Run | Subject,
        uri: str,
        experiment: str,
        run_name: str,
        parent: str = "",
    ) -> None:
        """Holds what is needed; nothing is recorded before `open`."""
        self.uri = uri
        self.run_id = ""
        self.experiment_id = ""
        self.problem = ""
        self.status = "FINISHED"
        self._run = run
        self._experiment = experiment
        self._run_name = run_name
        self._parent = {"mlflow.parentRunId": parent} if parent else {}
        self._has_dataset = False
        self._recorded: set[str] = set()  # names of parameters
        self._pending: list[Callable[[], None]] = []
        self._client: Any = None

    @property
    def where(self) -> str:
        """The sentence that says how to browse this run."""
        return where(self.uri, self.run_id, self.experiment_id)

    def open(self) -> None:
        """Creates the run with its parameters and the fingerprint as tags."""
        self._record(self._create_run)
        # A field without a value may get one until the run ends, and MLflow takes a
        # parameter only once.
        fields = self._run.fields().items()
        known = {name: value for name, value in fields if value is not None}
        self._record(lambda: self._params(known))

    def started(
        self,
        model: keras.Model,
        dataset: Dataset | None = None,
        fingerprint: Mapping[str, str] | None = None,
    ) -> None:
        """Training is about to begin.

        Args:
            model: Built; the number of its parameters is recorded at once.
            dataset: Recorded as the run's input; None leaves that to `finished`.
            fingerprint: More tags than `hardware.fingerprint()` gave.
        """
        from keras16 import measure

        count = measure.parameters(model)
        self._record(lambda: self._metrics({"parameters": count}))
        if fingerprint:
            tags = dict(fingerprint)
            self._record(lambda: self._tags(tags))
        if dataset is not None:
            self._record(lambda: self._input(dataset))

    def epoch(self, ended: Epoch) -> None:
        """An epoch is trained and validated."""
        values = record.epoch_metrics(ended)
        self._record(lambda: self._metrics(values, step=ended.epoch))

    def monitored(self, observation: Observation) -> None:
        """The monitor has seen a step after an epoch."""
        values = observation.metrics()
        self._record(lambda: self._metrics(values, step=observation.epoch))

    def told(
        self,
        metrics: Mapping[str, float | None],
        tags: Mapping[str, str] | None = None,
        step: int = 0,
    ) -> None:
        """Numbers and words of any kind.

        Args:
            metrics: By name; those that are None are left out.
            tags: By name.
            step: Of the metrics.
        """
        self._record(lambda: self._metrics(metrics, step=step))
        if tags:
            self._record(lambda: self._tags(tags))

    def files(self, write: Callable[[pathlib.Path], None]) -> None:
        """Files of any kind.

        Args:
            write: Writes them into the empty folder that it is given.
        """

        def logged() -> None:
            with tempfile.TemporaryDirectory() as folder:
                write(pathlib.Path(folder))
                self._client.log_artifacts(self.run_id, folder)

        self._record(logged)

    def finished(self, result: Result, model_path: str | os.PathLike | None) -> None:
        """The run has ended, one way or another; what failed before is tried again.

        Args:
            result: What it came to.
            model_path: The saved .keras file; None records no model.
        """
        path = pathlib.Path(model_path) if model_path is not None else None
        self.status = STATUS[result.status]
        self._pending += [
            lambda: self._params(result.run.fields()),
            lambda: self._input(result.dataset),
            lambda: self._metrics(record.run_metrics(result, path)),
            lambda: self._tags(record.result_tags(result)),
            lambda: self._artifacts(result),
        ]
        if path is not None:
            self._pending.append(lambda: self._model(result, path))
        self._deliver()

    def close(self, status: str) -> None:
        """Ends the run in the store.

        Args:
            status: "FINISHED", "FAILED" or "KILLED".
        """
        if not self.run_id:
            return
        try:
            with manners(ENVIRONMENT if not self.problem else IMPATIENT):
                self._client.set_terminated(self.run_id, status)
        except Exception as error:
            self.problem = self.problem or self._told(error)

    def _record(self, action: Callable[[], None]) -> None:
        """Does it now, or at the end where the store is already known to fail."""
        self._pending.append(action)
        if not self.problem:
            self._deliver()

    def _deliver(self) -> None:
        answers = bool(self.run_id) and not self.problem
        self.problem = ""
        try:
            with manners(ENVIRONMENT if answers else IMPATIENT):
                while self._pending:
                    self._pending[0]()
                    self._pending.pop(0)
        except Exception as error:  # whatever it is, it must not end the training
            self.problem = self._told(error)

    def _told(self, error: BaseException) -> str:
        lost = "not all of this run" if self.run_id else "nothing of this run"
        return trouble(self.uri, error, f"{lost} is recorded")

    def _create_run(self) -> None:
        from mlflow import MlflowClient

        create_database(self.uri)
        self._client = MlflowClient(self.uri, registry_uri=self.uri)
        self.experiment_id = find_experiment(self._client, self.uri, self._experiment)
        tags = {**record.run_tags(self._run), **self._parent}
        created = self._client.create_run(
            self.experiment_id, tags=tags, run_name=self._run_name
        )
        self.run_id = created.info.run_id

    def _params(self, fields: Mapping[str, Any]) -> None:
        new = {name: fields[name] for name in fields if name not in self._recorded}
        log_params(self._client, self.run_id, new)
        self._recorded.update(new)

    def _metrics(
        self, values: Mapping[str, Any], step: int = 0, model_id: str | None = None
    ) -> None:
        log_metrics(self._client, self.run_id, values, step, model_id=model_id)

    def _tags(self, tags: Mapping[str, str]) -> None:
        log_tags(self._client, self.run_id, tags)

    def _input(self, dataset: Dataset) -> None:
        from mlflow.entities import Dataset as Input
        from mlflow.entities import DatasetInput, InputTag

        if self._has_dataset:
            return
        context = InputTag("mlflow.data.context", "training")
        source = json.dumps({"uri": dataset.source})
        sizes = {"num_rows": len(dataset.x_train), "num_test_rows": len(dataset.x_test)}
        one = Input(
            dataset.name,
            dataset.digest,
            "local",
            source,
            profile=json.dumps(sizes),
        )
        self._client.log_inputs(self.run_id, datasets=[DatasetInput(one, [context])])
        self._has_dataset = True

    def _artifacts(self, result: Result) -> None:
        with tempfile.TemporaryDirectory() as folder:
            artifacts.write(result, self._run_name, pathlib.Path(folder))
            self._client.log_artifacts(self.run_id, folder)

    def _model(self, result: Result, path: pathlib.Path) -> None:
        """Records the model as MLflow's flavours "keras" and "python_function"."""
        from mlflow.entities import LoggedModelOutput

        model = self._client.create_logged_model(
            self.experiment_id,
            name="model",
            source_run_id=self.run_id,
            params={name: str(value) for name, value in result.run.fields().items()},
        )
        output = LoggedModelOutput(model.model_id, step=0)
        self._client.log_outputs(self.run_id, [output])
        try:
            with tempfile.TemporaryDirectory() as folder:
                target = pathlib.Path(folder) / "model"
                served_model.save(result, path, target, model, self.run_id)
                self._client.log_model_artifacts(model.model_id, str(target))
        except BaseException:
            self._client.finalize_logged_model(model.model_id, "FAILED")
            raise
        self._client.finalize_logged_model(model.model_id, "READY")
        self._metrics(record.run_metrics(result, path), model_id=model.model_id)


def record_trial(tracked: Tracked, trial: Trial) -> None:
    """Records one training of a sweep, epoch by epoch, and how it ended."""
    for epoch, (loss, accuracy) in enumerate(trial.epochs, 1):
        tracked.told({"val_loss": loss, "val_accuracy": accuracy}, step=epoch)
    tracked.told({"median_epoch_seconds": trial.seconds}, {"cause": trial.cause})
    tracked.status = STATUS[trial.status]
