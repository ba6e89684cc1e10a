"""Counts of right and wrong answers at thresholds, precision and recall."""

from __future__ import annotations

from typing import Any

import keras

from keras16.metrics._confusion import Confusion, Counts, starts_in_16_bits


class _AtThresholds(Confusion):
    """Those that have `thresholds`, and one result for each."""

    default_threshold = 0.5

    def __init__(
        self, thresholds: Any = None, name: Any = None, dtype: Any = None
    ) -> None:
        if not starts_in_16_bits(dtype):
            super().__init__(thresholds=thresholds, name=name, dtype=dtype)  # type: ignore[call-arg]
            return
        self._set_thresholds(thresholds, self.default_threshold)
        self._start(name=name, dtype=dtype)

    def _set_thresholds(self, thresholds: Any, default: float) -> None:
        """As Keras' own checks them."""
        self.init_thresholds = thresholds
        chosen = default if thresholds is None else thresholds
        cuts = chosen if isinstance(chosen, (list, tuple)) else [chosen]
        invalid = [c for c in cuts if c is None or not 0 <= c <= 1]
        if thresholds is not None and invalid:
            raise ValueError(f"Threshold values must be in [0, 1]. Received: {invalid}")
        self.thresholds = list(cuts)

    def _one_or_all(self, values: Any) -> Any:
        return values[0] if len(self.thresholds) == 1 else values


@keras.saving.register_keras_serializable(package="keras16.metrics")
class TruePositives(_AtThresholds, keras.metrics.TruePositives):
    """Keras' metric of that name, exact over any number of samples."""

    def _formula(self, counts: Counts, arithmetic: Any) -> Any:
        return self._one_or_all(counts.true_positives)


@keras.saving.register_keras_serializable(package="keras16.metrics")
class FalsePositives(_AtThresholds, keras.metrics.FalsePositives):
    """Keras' metric of that name, exact over any number of samples."""

    def _formula(self, counts: Counts, arithmetic: Any) -> Any:
        return self._one_or_all(counts.false_positives)


@keras.saving.register_keras_serializable(package="keras16.metrics")
class TrueNegatives(_AtThresholds, keras.metrics.TrueNegatives):
    """Keras' metric of that name, exact over any number of samples."""

    def _formula(self, counts: Counts, arithmetic: Any) -> Any:
        return self._one_or_all(counts.true_negatives)


@keras.saving.register_keras_serializable(package="keras16.metrics")
class FalseNegatives(_AtThresholds, keras.metrics.FalseNegatives):
    """Keras' metric of that name, exact over any number of samples."""

    def _formula(self, counts: Counts, arithmetic: Any) -> Any:
        return self._one_or_all(counts.false_negatives)


class _OfClasses(_AtThresholds):
    """Precision and recall: of the best k classes or of one class, if asked."""

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: Any = None,
        dtype: Any = None,
    ) -> None:
        if not starts_in_16_bits(dtype):
            super(Confusion, self).__init__(  # type: ignore[call-arg]
                thresholds=thresholds,
                top_k=top_k,
                class_id=class_id,
                name=name,
                dtype=dtype,
            )
            return
        # What isn't among the best k is minus infinity, and above no threshold.
        lowest = 0.5 if top_k is None else -float("inf")
        self._set_thresholds(thresholds, lowest)
        self._start(name=name, dtype=dtype)
        self.top_k, self.class_id = top_k, class_id
        self._direction = "up"


@keras.saving.register_keras_serializable(package="keras16.metrics")
class Precision(_OfClasses, keras.metrics.Precision):
    """Keras' metric of that name, from exact counts."""

    def _formula(self, counts: Counts, arithmetic: Any) -> Any:
        return self._one_or_all(precision(counts, arithmetic))


@keras.saving.register_keras_serializable(package="keras16.metrics")
class Recall(_OfClasses, keras.metrics.Recall):
    """Keras' metric of that name, from exact counts."""

    def _formula(self, counts: Counts, arithmetic: Any) -> Any:
        return self._one_or_all(recall(counts, arithmetic))


class _Best(Confusion):
    """The best of one rate where another is at least so high."""

    def _build(self, argument: str, value: float, options: dict[str, Any]) -> None:
        if not starts_in_16_bits(options["dtype"]):
            super().__init__(**{argument: value}, **options)
            return
        if not 0 <= value <= 1:
            raise ValueError(
                f"Argument `{argument}` must be in the range [0, 1]. "
                f"Received: {argument}={value}"
            )
        count = options["num_thresholds"]
        if count <= 0:
            raise ValueError(
                "Argument `num_thresholds` must be an integer > 0. "
                f"Received: num_thresholds={count}"
            )
        self.thresholds = (
            [0.5] if count == 1 else [i / (count - 1) for i in range(count)]
        )
        self._start(name=options["name"], dtype=options["dtype"])
        self.value, self.num_thresholds = value, count
        self.class_id, self._direction = options["class_id"], "up"
        setattr(self, argument, value)

    def _formula(self, counts: Counts, arithmetic: Any) -> Any:
        bounded, wanted = self._rates(counts, arithmetic)
        short = arithmetic.constant(self.value) - bounded
        zero = arithmetic.constant(0.0)
        chosen = arithmetic.where(arithmetic.positive(short), zero, wanted)
        return arithmetic.highest(chosen)

    def _rates(self, counts: Counts, arithmetic: Any) -> tuple[Any, Any]:
        """(the rate that has a bound, the one that is wanted)."""
        raise NotImplementedError


def _options(num_thresholds: int, class_id: Any, name: Any, dtype: Any) -> dict:
    return {
        "num_thresholds": num_thresholds,
        "class_id": class_id,
        "name": name,
        "dtype": dtype,
    }


@keras.saving.register_keras_serializable(package="keras16.metrics")
class SensitivityAtSpecificity(_Best, keras.metrics.SensitivityAtSpecificity):
    """Keras' metric of that name, from exact counts."""

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: Any = None,
        dtype: Any = None,
    ) -> None:
        options = _options(num_thresholds, class_id, name, dtype)
        self._build("specificity", specificity, options)

    def _rates(self, counts: Counts, arithmetic: Any) -> tuple[Any, Any]:
        return specificity(counts, arithmetic), recall(counts, arithmetic)


@keras.saving.register_keras_serializable(package="keras16.metrics")
class SpecificityAtSensitivity(_Best, keras.metrics.SpecificityAtSensitivity):
    """Keras' metric of that name, from exact counts."""

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: Any = None,
        dtype: Any = None,
    ) -> None:
        options = _options(num_thresholds, class_id, name, dtype)
        self._build("sensitivity", sensitivity, options)

    def _rates(self, counts: Counts, arithmetic: Any) -> tuple[Any, Any]:
        return recall(counts, arithmetic), specificity(counts, arithmetic)


@keras.saving.register_keras_serializable(package="keras16.metrics")
class PrecisionAtRecall(_Best, keras.metrics.PrecisionAtRecall):
    """Keras' metric of that name, from exact counts."""

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: Any = None,
        dtype: Any = None,
    ) -> None:
        options = _options(num_thresholds, class_id, name, dtype)
        self._build("recall", recall, options)

    def _rates(self, counts: Counts, arithmetic: Any) -> tuple[Any, Any]:
        return recall(counts, arithmetic), precision(counts, arithmetic)


@keras.saving.register_keras_serializable(package="keras16.metrics")
class RecallAtPrecision(_Best, keras.metrics.RecallAtPrecision):
    """Keras' metric of that name, from exact counts."""

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: Any = None,
        dtype: Any = None,
    ) -> None:
        options = _options(num_thresholds, class_id, name, dtype)
        self._build("precision", precision, options)

    def _rates(self, counts: Counts, arithmetic: Any) -> tuple[Any, Any]:
        return precision(counts, arithmetic), recall(counts, arithmetic)


def precision(counts: Counts, arithmetic: Any) -> Any:
    """Of the positives, the share that is right."""
    positives = counts.true_positives + counts.false_positives
    return arithmetic.ratio(counts.true_positives, positives)


def recall(counts: Counts, arithmetic: Any) -> Any:
    """Of the labels of yes, the share that is found."""
    labelled = counts.true_positives + counts.false_negatives
    return arithmetic.ratio(counts.true_positives, labelled)


def specificity(counts: Counts, arithmetic: Any) -> Any:
    """Of the labels of no, the share that is found."""
    labelled = counts.true_negatives + counts.false_positives
    return arithmetic.ratio(counts.true_negatives, labelled)
