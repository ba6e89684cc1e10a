"""Tells which layers lose their gradients or their updates to 16 bits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras16 import backend
from keras16.callbacks import _counts, _findings
from keras16.numerics import bits
from keras16.optimizers import _observed


class PrecisionMonitor(keras.callbacks.Callback):
    """Observes a step after every epoch, in each layer, and says what is wrong.

    The step is one beside the training: gradients as the training step has them,
    then the optimizer's update, operation by operation, beside what it meant before
    rounding (keras16's optimizers) or beside a float64 twin (any other). Afterwards
    every weight, slot, metric and random seed is put back, so that the training is
    bit for bit the one without it, and the training step itself is left alone.
    The weights are those at the end of the epoch, the learning rate that of its
    middle: of a schedule that ends at 0 the last one says nothing. What `fit` is given
    to weigh its examples with is not known here: give it to the monitor, too.

    Args:
        x, y: Examples that steps are taken on: the training set, or some of it.
        sample_weight: As `fit` takes it.
        class_weight: As `fit` takes it; not both.
        batch_size: That of the training, since the size of a gradient depends on
            it; None takes all of x as one batch.
        batches: How many batches are observed after each epoch, each from the same
            weights.
        verbose: 1 prints what is wrong when the training ends, 0 does not.

    Attributes:
        history: One `Observation` for each epoch: per layer the shares of zero and
            subnormal gradients, of overflows, lost updates and zero second moments,
            and the effective descent quality.

    Example:
        monitor = keras16.callbacks.PrecisionMonitor(x_train, y_train, batch_size=64)
        model.fit(x_train, y_train, batch_size=64, callbacks=[monitor])
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        batch_size: int | None = None,
        batches: int = 1,
        verbose: int = 1,
    ) -> None:
        super().__init__()
        if sample_weight is not None and class_weight is not None:
            raise ValueError("give sample_weight or class_weight, not both.")
        if batches < 1 or (batch_size is not None and batch_size < 1):
            raise ValueError(
                f"batches={batches} and batch_size={batch_size} must be 1 or more."
            )
        if class_weight is not None:
            sample_weight = _of_classes(class_weight, y)
        data = (x, y) if sample_weight is None else (x, y, sample_weight)
        self.batches = list(_batches(data, batch_size, batches))
        self.verbose = verbose
        self.history: list[_counts.Observation] = []
        self._gradients: Any = None
        self._seen = 0  # steps, when it last observed

    @property
    def findings(self) -> list[str]:
        """What is wrong and what would mend it, a line each; see `_findings`."""
        optimizer = getattr(self.model, "optimizer", None)
        return _findings.findings(self.history, getattr(optimizer, "rounding", None))

    def observe(self, epoch: int) -> _counts.Observation:
        """Takes the steps and undoes them.

        Args:
            epoch: Counted from 1.

        Returns:
            What is added to the history as well.
        """
        iterations = self.model.optimizer._iterations
        now = int(ops.convert_to_numpy(iterations))
        with undone(self.model):
            iterations.assign((self._seen + now) // 2)
            steps = [one for batch in self.batches for one in self._steps(*batch)]
        self._seen = now
        self.history.append(_counts.observation(epoch, steps))
        return self.history[-1]

    def on_train_begin(self, logs: Any = None) -> None:
        """Starts over."""
        self.history = []
        self._gradients = None
        self._seen = int(ops.convert_to_numpy(self.model.optimizer._iterations))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Observes."""
        self.observe(epoch + 1)

    def on_train_end(self, logs: Any = None) -> None:
        """Prints what is wrong."""
        if self.verbose:
            for line in self.findings:
                print(f"PrecisionMonitor: {line}")

    def _steps(self, *batch: Any) -> list[_observed.Observed]:
        if self._gradients is None:
            compiled = bool(self.model.jit_compile)
            self._gradients = backend.module().StepGradients(self.model, compiled)
        with undone(self.model):
            gradients = self._gradients(*_tensors(batch))
            pairs = zip(gradients, self._gradients.variables, strict=True)
            known = [(g, v) for g, v in pairs if g is not None]
            if not known:
                return []
            return _observed.observe(self.model.optimizer, *zip(*known, strict=True))


@contextlib.contextmanager
def undone(model: keras.Model) -> Iterator[None]:
    """A block after which every variable of a training is as it was before."""
    metrics = [v for metric in model.metrics for v in metric.variables]
    found = [*model.variables, *model.optimizer.variables, *metrics]
    before = [(v, np.array(ops.convert_to_numpy(v))) for v in found]
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)


def _of_classes(class_weight: Mapping[int, float], y: Any) -> np.ndarray:
    """The weight of each example, 1 where its class has none, as Keras has it."""
    labels = np.asarray(y)
    if labels.ndim > 1:
        one_hot = labels.shape[-1] > 1
        labels = labels.argmax(-1) if one_hot else labels[..., 0]
    flat = [class_weight.get(int(label), 1.0) for label in labels.reshape(-1)]
    return np.array(flat, "float32").reshape(labels.shape)


def _batches(
    data: tuple[Any, ...], size: int | None, count: int
) -> Iterator[tuple[Any, ...]]:
    length = len(keras.tree.flatten(data)[0])
    size = min(size or length, length)
    for start in range(0, min(count * size, length - size + 1), size):
        yield _rows(data, start, size)


def _rows(data: Any, start: int, size: int) -> Any:
    return keras.tree.map_structure(
        lambda array: np.asarray(array[start : start + size]), data
    )


def _tensors(data: Any) -> Any:
    """Arrays as `fit` hands them to a step: floats in Keras' default float."""

    def tensor(array: np.ndarray) -> Any:
        is_wide = array.dtype in ("float32", "float64")
        floatx = keras.config.floatx()
        array = bits.host_cast(array, floatx) if is_wide else array
        return ops.convert_to_tensor(array)

    return keras.tree.map_structure(tensor, data)
