"""`fit(run)` -> `Result`: trains one run, and knows nothing of MLflow."""

from __future__ import annotations

import dataclasses
import functools
import math
import pathlib
import time
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from keras16 import (
    assembly,
    augmentation,
    checkpoint,
    data,
    measure,
    objective,
    precision,
    user_code,
)
from keras16.errors import UserError
from keras16.objective import Objective, Scores
from keras16.results import Epoch
from keras16.study import Run

if TYPE_CHECKING:
    import keras

    from keras16.audit import AuditReport
    from keras16.callbacks._counts import Observation
    from keras16.data import Dataset

# A call of the compiled loop lasts about this long: often enough for a display
# and for Ctrl-C, seldom enough to cost nothing.
SECONDS_A_CALL = 0.5


@dataclasses.dataclass(frozen=True)
class Result:
    """What a run came to.

    Attributes:
        run: What was asked for, defaults filled in.
        status: "finished", "failed" (diverged) or "killed" (interrupted).
        cause: Why it failed or was killed, in one line; empty where finished.
        model: The trained Keras model, from raw inputs to logits, or to what the
            run's own loss takes.
        dataset: What it was trained on.
        epochs: One record per finished epoch.
        test_logits: [examples, classes] in the compute dtype; None unless finished,
            and of a run with a loss of its own.
        test_loss, test_accuracy: Once, after the last epoch, float64 on the host; a
            run with a loss of its own has no accuracy.
        audit: The audit of the very step that ran; None where it was not asked for.
        compile_seconds: Tracing and compiling the steps.
        median_epoch_seconds: Over the epochs from the second on.
        first_epoch_seconds: The first epoch (compilation outside).
        weight_bytes, optimizer_bytes: Variables as they lie in memory, integers
            (step counters, random seeds) included.
        peak_memory_bytes: Peak resident memory of this process (host), or of the
            device where it has a counter.
        parameters: Weights of the model, trainable or not.
        observations: What the monitor saw after each epoch; none without one.
        findings: What it found wrong and what would mend it, a line each.
        test_metric: The run's own, on the test part; None without one.
    """

    run: Run
    status: str
    cause: str
    model: keras.Model
    dataset: Dataset
    epochs: tuple[Epoch, ...]
    test_logits: np.ndarray | None
    test_loss: float | None
    test_accuracy: float | None
    audit: AuditReport | None
    compile_seconds: float
    median_epoch_seconds: float | None
    first_epoch_seconds: float | None
    weight_bytes: int
    optimizer_bytes: int
    peak_memory_bytes: int
    parameters: int
    observations: tuple[Observation, ...] = ()
    findings: tuple[str, ...] = ()
    test_metric: float | None = None


class Observer(Protocol):
    """What may be told of a run while it lasts; every method may be a no-op."""

    def started(self, run: Run, model: keras.Model, steps_per_epoch: int) -> None:
        """The model is built and its dtypes are asserted; nothing is compiled yet."""

    def stepped(self, epoch: int, step: int, loss: float) -> None:
        """`step` steps of this epoch are done; `loss` is the mean so far."""

    def epoch_ended(self, record: Epoch, model: keras.Model) -> None:
        """An epoch is trained and validated."""

    def monitored(self, observation: Observation) -> None:
        """The monitor, where there is one, has seen a step after an epoch."""


class _Silent:
    """An observer that is told and says nothing."""

    def started(self, run: Run, model: keras.Model, steps_per_epoch: int) -> None:
        """Says nothing."""

    def stepped(self, epoch: int, step: int, loss: float) -> None:
        """Says nothing."""

    def epoch_ended(self, record: Epoch, model: keras.Model) -> None:
        """Says nothing."""

    def monitored(self, observation: Observation) -> None:
        """Says nothing."""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A run that is ready to start.

    Attributes:
        run: Defaults filled in, names in their canonical form.
        objective: The loss, and what judges its outputs.
        dataset: The data, x cast to the dtype of the step where it is floats.
        examples: Its x_train as the backend's loop takes it (see `resident`).
        net: The compiled model, its metrics and its learning rate.
        training_rows, validation_rows: Numbers of training examples.
        batch_size: As asked, or all the examples there are.
    """

    run: Run
    objective: Objective
    dataset: Dataset
    examples: Any
    net: assembly.Net
    training_rows: np.ndarray
    validation_rows: np.ndarray
    batch_size: int

    @property
    def model(self) -> keras.Model:
        """Compiled, its optimizer built, its dtypes asserted."""
        return self.net.model

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches: the examples left over change from epoch to epoch."""
        return len(self.training_rows) // self.batch_size

    @property
    def batch(self) -> tuple[np.ndarray, np.ndarray]:
        """The first batch of training examples, for an audit."""
        rows = self.training_rows[: self.batch_size]
        return self.dataset.x_train[rows], self.targets[rows]

    @functools.cached_property
    def targets(self) -> np.ndarray:
        """What the step is trained on, in its dtype."""
        return _in_dtype(self.dataset.y_train, precision.get(self.run.precision).floatx)

    def resident(self) -> Prepared:
        """The same run with its examples where a loop wants them.

        On a CPU they lie in memory once then, if this one is let go of.
        """
        from keras16 import backend

        examples, x_train = backend.module().on_device(self.dataset.x_train)
        dataset = dataclasses.replace(self.dataset, x_train=x_train)
        return dataclasses.replace(self, dataset=dataset, examples=examples)

    def warm_up(self, loop: Any) -> None:
        """Compiles a step and a prediction, and judges the latter.

        Args:
            loop: As `loop` gives it; the model's variables move.

        Raises:
            UserError: The model, the loss or the metric fails.
        """
        try:
            loop.train(*self.order(1, steps=1))
            outputs = loop.predict(self.dataset.x_train[:1], self.batch_size)
            self.objective.scores(outputs, self.dataset.y_train[:1])
        except UserError:
            raise
        except Exception as error:  # of any kind: a model is anyone's code
            raise UserError(
                f"a training step of {self.run.model} with {self.batch_size} "
                f"examples can't be run: {user_code.reason(error)}"
            ) from error

    def loop(self) -> Any:
        """The backend's loop that runs the steps of the compiled model."""
        from keras16 import backend
        from keras16.metrics import mean

        return backend.module().Loop(
            self.model,
            self.examples,
            self.targets,
            batch_size=self.batch_size,
            change=lambda x, draws: augmentation.apply(self.run.augmentation, x, draws),
            stop=lambda: mean.not_finite(self.net.loss),
            compiled=bool(self.model.jit_compile),
        )

    def order(
        self, epoch: int, steps: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The examples of each step and their augmentation: the same everywhere.

        Args:
            epoch: Counted from 1.
            steps: How many; None for the whole epoch.

        Returns:
            int32 [steps, batch] and int32 [steps, batch, draws].
        """
        seed = self.run.seed * 100_003 + epoch
        steps = self.steps_per_epoch if steps is None else steps
        rows = self.training_rows
        order = rows[np.argsort(data.shuffle_keys(len(rows), seed))]
        order = order[: steps * self.batch_size]
        draws = augmentation.draw(self.run.augmentation, len(order), seed)
        shape = (steps, self.batch_size)
        return order.reshape(shape).astype("int32"), draws.reshape(*shape, -1)


def prepare(run: Run) -> Prepared:
    """Loads the data and builds the model of a run, and trains nothing.

    Raises:
        UserError: The run can't be started as it was asked for.
    """
    run = dataclasses.replace(run, precision=precision.canonical(run.precision))
    _check_counts(run)
    run = assembly.filled(run)
    aim = objective.of(run)
    row = precision.use(run.precision)
    dataset = _in_step_dtype(aim.load(run.dataset), row.floatx)
    augmentation.check(run.augmentation, dataset.input_shape)
    training_rows, validation_rows = data.hold_out(dataset, run.validation, run.seed)
    batch_size = min(run.batch_size, len(training_rows))
    steps = run.epochs * (len(training_rows) // batch_size)
    net = assembly.assemble(run, aim, dataset, training_rows, steps)
    return Prepared(
        run=run,
        objective=aim,
        dataset=dataset,
        examples=dataset.x_train,
        net=net,
        training_rows=training_rows,
        validation_rows=validation_rows,
        batch_size=batch_size,
    )


def fit(
    run: Run,
    *,
    observer: Observer | None = None,
    stop: Any = None,
    audit: bool = True,
    monitor: bool = False,
    checkpoint: pathlib.Path | None = None,
) -> Result:
    """Trains one run.

    Args:
        run: What to train.
        observer: Told of the progress.
        stop: A `threading.Event`; once set, training ends after the steps in hand
            and the result has status "killed".
        audit: Whether to audit the training step (adds a trace of it).
        monitor: Whether a `callbacks.PrecisionMonitor` observes a step on the first
            batch after each epoch, outside of the training and of its clock.
        checkpoint: A file written after every epoch. Where it exists already, the
            run goes on after its last epoch, to the same weights (on a CPU to the
            bit) as if it had never stopped.

    Returns:
        The result; its status says whether the run finished, failed or was killed.

    Raises:
        UserError: The run can't be started as it was asked for, or the checkpoint
            is of another run.
    """
    watched = observer or _Silent()
    return _Fit(prepare(run).resident(), watched, stop, monitor, checkpoint).result(
        audit
    )


class _Fit:
    """One training run in progress."""

    def __init__(
        self,
        prepared: Prepared,
        observer: Observer,
        stop: Any,
        monitor: bool = False,
        checkpoint_file: pathlib.Path | None = None,
    ) -> None:
        from keras16.callbacks import PrecisionMonitor
        from keras16.metrics import mean

        self.prepared, self.observer, self.stop = prepared, observer, stop
        self.run, self.model = prepared.run, prepared.net.model
        self.dataset = prepared.dataset
        self.net, self.objective = prepared.net, prepared.objective
        self.mean_of = mean.on_host
        self.loop = prepared.loop()
        self.monitor = PrecisionMonitor(*prepared.batch) if monitor else None
        if self.monitor is not None:
            self.monitor.set_model(self.model)
        self.checkpoint = checkpoint_file
        self.epochs: list[Epoch] = []
        self.step_seconds = 0.0

    def result(self, audit: bool) -> Result:
        """Trains to the end, wherever that is, and tests once."""
        report = self._audited() if audit else None
        self.observer.started(self.run, self.model, self.prepared.steps_per_epoch)
        compile_seconds = self._warm_up()
        self._resume()
        status, cause = self._train()
        outputs = self._predict(self.dataset.x_test) if status == "finished" else None
        tested = None
        if outputs is not None:
            tested = self.objective.scores(outputs, self.dataset.y_test)
        if tested is not None and not math.isfinite(tested.loss):
            # The last update is not followed by a step that would have told.
            outputs, tested, status = None, None, "failed"
            cause = self._cause(self.run.epochs, self.prepared.steps_per_epoch)
        logits = outputs if self.objective.logits else None
        return self._summed_up(status, cause, report, compile_seconds, logits, tested)

    def _audited(self) -> AuditReport:
        from keras16.audit import audit

        return dataclasses.replace(
            audit(self.model, *self.prepared.batch), precision=self.run.precision
        )

    def _warm_up(self) -> float:
        """Compiles a step and a prediction; every variable is as before.

        Returns:
            Seconds that took.
        """
        began = time.perf_counter()
        before = [(v, v.numpy()) for v in _variables(self.model)]
        self.prepared.warm_up(self.loop)
        seconds = time.perf_counter() - began
        again = time.perf_counter()
        self.loop.train(*self.prepared.order(1, steps=1))
        self.step_seconds = time.perf_counter() - again
        for variable, value in before:
            variable.assign(value)
        return seconds

    def _train(self) -> tuple[str, str]:
        for epoch in range(len(self.epochs) + 1, self.run.epochs + 1):
            self.model.reset_metrics()
            done, seconds = self._train_epoch(epoch)
            if self._diverged():
                return "failed", self._cause(epoch, done)
            if done < self.prepared.steps_per_epoch:
                return "killed", f"interrupted after step {done} of epoch {epoch}"
            record = self._record(epoch, seconds)
            self.epochs.append(record)
            self.observer.epoch_ended(record, self.model)
            if self.monitor is not None:
                self.observer.monitored(self.monitor.observe(epoch))
            if record.val_loss is not None and not math.isfinite(record.val_loss):
                return "failed", self._cause(epoch, done)
            self._keep()
            if self._asked_to_stop() and epoch < self.run.epochs:
                return "killed", f"interrupted after epoch {epoch}"
        return "finished", ""

    def _resume(self) -> None:
        """Goes back to the end of the last epoch that the checkpoint holds."""
        if self.checkpoint is None:
            return
        told = checkpoint.restore(self.checkpoint, _variables(self.model))
        if told and told["run"] != self.run.fields():
            raise UserError(f"{self.checkpoint} is of another run: delete it.")
        for values in told.get("epochs", ()):
            self.epochs.append(Epoch(**values))
            self.observer.epoch_ended(self.epochs[-1], self.model)

    def _keep(self) -> None:
        if self.checkpoint is None:
            return
        epochs = [dataclasses.asdict(record) for record in self.epochs]
        told = {"run": self.run.fields(), "epochs": epochs}
        checkpoint.save(self.checkpoint, _variables(self.model), told)

    def _train_epoch(self, epoch: int) -> tuple[int, float]:
        """Trains one epoch, a few steps to a call.

        Returns:
            (steps done, seconds spent on them).
        """
        order, draws = self.prepared.order(epoch)
        clock = measure.EpochClock()
        clock.start()
        done = 0
        while done < len(order) and not self._asked_to_stop():
            until = done + self._steps_a_call()
            began = time.perf_counter()
            steps = self.loop.train(order[done:until], draws[done:until])
            self.step_seconds = (time.perf_counter() - began) / max(steps, 1)
            done += steps
            with clock.paused():
                loss = self.mean_of(self.net.loss)
                self.observer.stepped(epoch, done, loss)
            if not math.isfinite(loss):
                break
        return done, clock.stop()

    def _steps_a_call(self) -> int:
        return max(1, int(SECONDS_A_CALL / max(self.step_seconds, 1e-4)))

    def _record(self, epoch: int, seconds: float) -> Epoch:
        # Before the validation: a metric of the user's may be used for that, too.
        own = {
            name: None if metric is None else float(self.mean_of(metric))
            for name, metric in (
                ("accuracy", self.net.accuracy),
                ("metric", self.net.metric),
            )
        }
        loss, validated = self.mean_of(self.net.loss), self._validated()
        return Epoch(
            epoch=epoch,
            loss=loss,
            val_loss=validated and validated.loss,
            val_accuracy=validated and validated.accuracy,
            val_metric=validated and validated.metric,
            epoch_seconds=seconds,
            learning_rate=self._rate(epoch * self.prepared.steps_per_epoch - 1),
            **own,
        )

    def _validated(self) -> Scores | None:
        rows = self.prepared.validation_rows
        if not len(rows):
            return None
        outputs = self._predict(self.dataset.x_train[rows])
        return self.objective.scores(outputs, self.dataset.y_train[rows])

    def _predict(self, x: np.ndarray) -> np.ndarray:
        return self.loop.predict(x, self.prepared.batch_size)

    def _rate(self, step: int) -> float:
        """The learning rate at a step of the run, in float64."""
        return self.prepared.net.rate_at(step)

    def _asked_to_stop(self) -> bool:
        return self.stop is not None and self.stop.is_set()

    def _diverged(self) -> bool:
        return not math.isfinite(self.mean_of(self.net.loss))

    def _cause(self, epoch: int, step: int) -> str:
        from keras16 import diagnosis

        x, _ = self.prepared.batch
        return diagnosis.cause(self.model, x, self.run, epoch, step)

    def _summed_up(
        self,
        status: str,
        cause: str,
        report: AuditReport | None,
        compile_seconds: float,
        logits: np.ndarray | None,
        tested: Scores | None,
    ) -> Result:
        seconds = [record.epoch_seconds for record in self.epochs]
        return Result(
            run=self.run,
            status=status,
            cause=cause,
            model=self.model,
            dataset=self.dataset,
            epochs=tuple(self.epochs),
            test_logits=logits,
            test_loss=tested and tested.loss,
            test_accuracy=tested and tested.accuracy,
            test_metric=tested and tested.metric,
            audit=report,
            compile_seconds=compile_seconds,
            median_epoch_seconds=measure.median_epoch_seconds(seconds),
            first_epoch_seconds=seconds[0] if seconds else None,
            weight_bytes=measure.weight_bytes(self.model),
            optimizer_bytes=measure.optimizer_bytes(self.model.optimizer),
            peak_memory_bytes=measure.peak_memory_bytes(),
            parameters=measure.parameters(self.model),
            observations=tuple(self.monitor.history) if self.monitor else (),
            findings=tuple(self.monitor.findings) if self.monitor else (),
        )


def _check_counts(run: Run) -> None:
    for name in ("epochs", "batch_size"):
        if getattr(run, name) < 1:
            raise UserError(f"{name} is {getattr(run, name)}: it must be 1 or more.")


def _in_step_dtype(dataset: Dataset, dtype: str) -> Dataset:
    """Pixels stay uint8; floats are cast once, here, and not in every step."""
    return dataclasses.replace(
        dataset,
        x_train=_in_dtype(dataset.x_train, dtype),
        x_test=_in_dtype(dataset.x_test, dtype),
    )


def _in_dtype(array: np.ndarray, dtype: str) -> np.ndarray:
    """Floats in another dtype, "bfloat16" perhaps; integers as they are."""
    if array.dtype.kind in "biu":
        return array
    import ml_dtypes

    return array.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


def _variables(model: keras.Model) -> list[Any]:
    """Every variable that a training step may change, each once.

    The last one is the state of Keras' own generator, which a layer draws from that
    names no seed.
    """
    from keras16 import backend

    metrics = [v for metric in model.metrics for v in metric.variables]
    found = [*model.variables, *model.optimizer.variables, *metrics]
    found.append(backend.unseeded_state())
    return list({id(v): v for v in found}.values())
