"""What a run minimises and is judged by: class ids, or a loss of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from keras16 import data, scores, user_code
from keras16.errors import UserError
from keras16.study import Run

if TYPE_CHECKING:
    import keras

    from keras16.data import Dataset

ROWS = 1024  # that are judged at a time
# Losses whose whole numbers in y are class ids; any other's are numbers.
OF_IDS = (
    "SparseCategoricalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "Crossentropy",
    "OfFunction",  # of the user's: only he knows
)


class Scores(NamedTuple):
    """How good some outputs are, as numbers on the host.

    Attributes:
        loss: Mean over the examples; NaN or infinite where an output is.
        accuracy: Share in [0, 1]; None of a loss of one's own.
        metric: One's own; None without one.
    """

    loss: float
    accuracy: float | None = None
    metric: float | None = None


class Compiled(NamedTuple):
    """What a model is compiled with.

    Attributes:
        loss: Of keras16, in the precision in use.
        metrics: Likewise, by the names of `Scores`; "loss" only where it is not the
            loss that Keras tracks by itself.
    """

    loss: Any
    metrics: dict[str, Any]


class Objective(Protocol):
    """A loss, what it takes, and how its outputs are judged.

    Attributes:
        logits: Whether the net is to end in a logit for each class.
    """

    logits: bool

    def load(self, name: str) -> Dataset:
        """The data set of that name, its y as the loss takes it."""

    def compiled(self) -> Compiled:
        """The loss and the metrics, in the precision in use."""

    def scores(self, outputs: np.ndarray, y: np.ndarray) -> Scores:
        """Judges outputs on the host, where nothing has to be 16-bit.

        Args:
            outputs: [examples, ...] of the net, in its dtype.
            y: As `load` gives it.
        """


class OfClasses:
    """Softmax cross-entropy of class ids, and accuracy."""

    logits = True

    def __init__(self, label_smoothing: float) -> None:
        self.label_smoothing = label_smoothing

    def load(self, name: str) -> Dataset:
        """A data set with class ids."""
        return data.load(name)

    def compiled(self) -> Compiled:
        """The loss; accuracy, and the mean cross-entropy as it is without smoothing."""
        from keras16 import metrics

        cross_entropy = metrics.SparseCategoricalCrossentropy(
            name="cross_entropy", from_logits=True
        )
        accuracy = metrics.SparseCategoricalAccuracy(name="accuracy")
        return Compiled(self._loss(), {"accuracy": accuracy, "loss": cross_entropy})

    def scores(self, outputs: np.ndarray, y: np.ndarray) -> Scores:
        """Cross-entropy and accuracy, in float64."""
        return Scores(scores.cross_entropy(outputs, y), scores.accuracy(outputs, y))

    def _loss(self) -> keras.losses.Loss:
        from keras16 import losses

        if not self.label_smoothing:
            return losses.SparseCategoricalCrossentropy(from_logits=True)
        return losses.SmoothedCrossentropy(
            from_logits=True, label_smoothing=self.label_smoothing
        )


class OfOwn:
    """A loss and a metric as Keras' `compile` takes them."""

    logits = False

    def __init__(self, loss: str, metric: str | None) -> None:
        self.loss, self.metric = loss, metric

    def load(self, name: str) -> Dataset:
        """A data set with the targets that the loss takes."""
        from keras16 import losses

        found = losses.get(named(self.loss))
        return data.load_targets(name, ids=type(found).__name__ in OF_IDS)

    def compiled(self) -> Compiled:
        """keras16's equals of both."""
        return Compiled(*self._made(None))

    def scores(self, outputs: np.ndarray, y: np.ndarray) -> Scores:
        """Both in float32, the mean of the loss over the batches in float64."""
        loss, metrics = self._made("float32")
        for metric in metrics.values():
            metric.reset_state()  # one of the user's may be used in training, too
        total = 0.0
        for start in range(0, len(y), ROWS):
            rows = slice(start, start + ROWS)
            mean = _judged(loss, metrics, outputs[rows].astype("float32"), y[rows])
            total += mean * len(y[rows])
        return Scores(total / len(y), **{k: _number(m) for k, m in metrics.items()})

    def _made(self, dtype: str | None) -> tuple[Any, dict[str, Any]]:
        from keras16 import losses, metrics

        loss = losses.get(named(self.loss), dtype)
        if self.metric is None:
            return loss, {}
        return loss, {"metric": metrics.get(named(self.metric), dtype)}


def of(run: Run) -> Objective:
    """The objective of a run.

    Raises:
        UserError: Fields that don't go together.
    """
    if run.loss is None and run.metric is not None:
        raise UserError(
            f"metric {run.metric} needs a loss: give the one that your net is made for "
            "(sparse_categorical_crossentropy takes class ids and a softmax)."
        )
    if run.loss is None:
        return OfClasses(run.label_smoothing)
    if run.label_smoothing:
        raise UserError(
            "label_smoothing is of the cross-entropy of class ids: give a loss that "
            "has it of its own."
        )
    return OfOwn(run.loss, run.metric)


def named(part: str) -> Any:
    """What `compile` takes: a name as it is, of `FILE.py:NAME` what it names.

    Raises:
        UserError: There is no such file or name.
    """
    return user_code.load_function(part) if ".py:" in part else part


def _judged(
    loss: Any, metrics: dict[str, Any], outputs: np.ndarray, y: np.ndarray
) -> float:
    """The mean loss of a batch, which the metrics are told of."""
    import keras

    for metric in metrics.values():
        metric.update_state(y, outputs)
    return float(np.mean(keras.ops.convert_to_numpy(loss(y, outputs))))


def _number(metric: Any) -> float:
    from keras16.metrics import on_host

    return float(np.asarray(on_host(metric)).reshape(()))
