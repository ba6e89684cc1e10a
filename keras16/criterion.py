"""What runs are judged by: a metric, which way it is better, and a margin."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from keras16.errors import UserError
from keras16.study import Run, Study, short_name

if TYPE_CHECKING:
    from keras16.results import Record

POINTS = 0.005  # of shares in [0, 1]: half a point
BETTER = ("higher", "lower")


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Keras' metrics, in small letters without "_": those in [0, 1], then the others.
SHARES = _names(
    "accuracy acc binaryaccuracy categoricalaccuracy sparsecategoricalaccuracy "
    "topkcategoricalaccuracy sparsetopkcategoricalaccuracy auc precision recall "
    "precisionatrecall recallatprecision sensitivityatspecificity "
    "specificityatsensitivity f1score fbetascore binaryiou iou meaniou onehotiou "
    "onehotmeaniou"
)
HIGHER = SHARES | _names(
    "cosinesimilarity r2score pearsoncorrelation concordancecorrelation truepositives "
    "truenegatives"
)
LOWER = _names(
    "mse meansquarederror rootmeansquarederror mae meanabsoluteerror mape "
    "meanabsolutepercentageerror msle meansquaredlogarithmicerror logcosh logcosherror "
    "bce binarycrossentropy categoricalcrossentropy sparsecategoricalcrossentropy "
    "kldivergence poisson hinge squaredhinge categoricalhinge falsepositives "
    "falsenegatives"
)


@dataclasses.dataclass(frozen=True)
class Metric:
    """What runs are judged by: `compare` on validation data, a study on test data.

    Attributes:
        name: Such as "accuracy", "mae" or "losses.worst".
        field: Of `results.Record` that holds it, such as "val_accuracy".
        higher_is_better: Else lower is.
        is_share: Whether it lies in [0, 1] and is told in percent.
    """

    name: str = "accuracy"
    field: str = "val_accuracy"
    higher_is_better: bool = True
    is_share: bool = True

    @property
    def sign(self) -> int:
        """What makes a difference positive where it is for the better."""
        return 1 if self.higher_is_better else -1

    @property
    def quantity(self) -> str:
        """The field of `results.Epoch` over the training examples, "accuracy" say."""
        return self.field.partition("_")[2]

    @property
    def is_accuracy(self) -> bool:
        """Whether it is that of class ids."""
        return self.quantity == "accuracy"

    @property
    def tested(self) -> Metric:
        """The same on test data."""
        return dataclasses.replace(self, field=f"test_{self.quantity}")

    def of(self, record: Record) -> float | None:
        """Its value for a run; None where it did not finish, or has no number."""
        value = getattr(record, self.field)
        known = record.status == "finished" and value is not None
        return value if known and math.isfinite(value) else None


def chosen(loss: Any, metric: Any, better: str | None = None) -> Metric:
    """The metric that runs with this loss and metric are compared by.

    Args:
        loss: As Keras' `compile` takes it, or `FILE.py:NAME`; None: cross-entropy of
            class ids.
        metric: Likewise; None: accuracy, or the loss that is given.
        better: "higher" or "lower"; None where Keras' name tells.

    Raises:
        UserError: Nobody can tell which way it is better, or `better` is not it.
    """
    if better not in (None, *BETTER):
        raise UserError(f"better is {better!r}: there are {' and '.join(BETTER)}.")
    if loss is None:
        return Metric(higher_is_better=_is_higher("accuracy", "higher", better))
    if metric is None:
        is_higher = _is_higher("loss", "lower", better)
        return Metric("loss", "val_loss", is_higher, is_share=False)
    keras_name, name = _keras_name(metric), name_of(metric)
    is_higher = _is_higher(name, _direction(keras_name), better)
    return Metric(name, "val_metric", is_higher, keras_name in SHARES)


def of_study(study: Study) -> Metric:
    """The metric that the runs of a study are judged by, on test data.

    Raises:
        UserError: They have several, or nobody can tell which way it is better.
    """
    found = list(dict.fromkeys(_judged_by(planned.run) for planned in study.once()))
    if len(found) > 1:
        names = ", ".join(metric or loss or "accuracy" for loss, metric in found)
        raise UserError(
            f"study {study.name} would be judged by {names}: give all its runs one "
            "metric."
        )
    loss, metric = found[0] if found else (None, None)
    return chosen(loss, metric, study.better).tested


def _judged_by(run: Run) -> tuple[str | None, str | None]:
    """Loss and metric; runs with one metric may differ in their losses."""
    if run.loss is None or run.metric is None:
        return run.loss, None
    return "", run.metric


def margin_of(metric: Metric, margin: float | None) -> float:
    """Values that differ by less count as equal.

    Args:
        metric: In whose units it is.
        margin: As asked for; None is half a point of a share.

    Raises:
        UserError: It is no share and there is none, or it is not above 0.
    """
    if margin is None and not metric.is_share:
        raise UserError(
            f"give a margin, in the units of {metric.name} (--margin, in Python margin="
            "): differences below it count as equal. A hundredth of the value that you "
            "expect is usual."
        )
    found = POINTS if margin is None else margin
    if not found > 0 or not math.isfinite(found):
        raise UserError(f"margin is {found}: give a number above 0.")
    return found


def name_of(part: Any) -> str:
    """What a loss or metric is called, however it is given."""
    if isinstance(part, str):
        return short_name(part) if ".py:" in part else part
    return str(getattr(_definition(part), "__name__", type(part).__name__))


def _definition(part: Any) -> Any:
    """The function or class that an identifier is, or is an object of."""
    return part if hasattr(part, "__name__") else type(part)


def _keras_name(part: Any) -> str:
    """In small letters without "_"; "" of what is not Keras' or keras16's."""
    if isinstance(part, str):
        is_keras = ".py:" not in part
    else:
        home = _definition(part).__module__.partition(".")[0]
        is_keras = home in ("keras", "keras16")
    return name_of(part).replace("_", "").lower() if is_keras else ""


def _direction(keras_name: str) -> str | None:
    if keras_name in HIGHER:
        return "higher"
    return "lower" if keras_name in LOWER else None


def _is_higher(name: str, known: str | None, better: str | None) -> bool:
    if known is None and better is None:
        raise UserError(
            f"is a higher or a lower {name} better? Keras' own metrics tell by their "
            "names; of another, say better: higher or lower."
        )
    if known and better and known != better:
        raise UserError(f"a {known} {name} is better: leave out better={better}.")
    return (known or better) == "higher"
