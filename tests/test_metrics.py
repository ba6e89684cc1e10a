"""Metrics: exact counts and sums in float16, against float64."""

import contextlib

import keras
import numpy as np
import pytest

import keras16
from keras16 import metrics
from keras16.audit import audit
from keras16.errors import UserError
from tests.close import wide
from tests.reference import losses as reference
from tests.traced import (
    computed_in,
    constant,
    of_tensorflow,
    traced,
    wide_tensors,
    with_signature,
)

SAMPLES = 300


def random(seed=0):
    return np.random.default_rng(seed)


def probabilities():
    p = reference.softmax(2 * random(1).normal(size=(SAMPLES, 3)))
    return p.astype("float16")


IDS = random(2).integers(0, 3, SAMPLES).astype("int32")
ONE_HOT = np.eye(3)[IDS].astype("float16")
YES = random(3).integers(0, 2, (SAMPLES, 3)).astype("float16")
SCORES = np.clip(random(4).normal(0.4 + 0.2 * YES, 0.2), 0, 1).astype("float16")
REAL = tuple(random(5).normal(size=(2, SAMPLES, 3)).astype("float16"))
OTHER_IDS = random(6).integers(0, 3, SAMPLES).astype("int32")
WEIGHT = random(7).uniform(0.1, 2, SAMPLES).astype("float16")
CHOICES = (ONE_HOT, probabilities())
SPARSE = (IDS, probabilities())
BINARY = (YES, SCORES)

# name of the class, its arguments, labels and predictions
CASES = {
    "accuracy": ("Accuracy", {}, (IDS, OTHER_IDS)),
    "binary accuracy": ("BinaryAccuracy", {"threshold": 0.3}, BINARY),
    "categorical accuracy": ("CategoricalAccuracy", {}, CHOICES),
    "sparse accuracy": ("SparseCategoricalAccuracy", {}, SPARSE),
    "top k": ("TopKCategoricalAccuracy", {"k": 2}, CHOICES),
    "sparse top k": ("SparseTopKCategoricalAccuracy", {"k": 2}, SPARSE),
    "binary cross-entropy": ("BinaryCrossentropy", {}, BINARY),
    "categorical cross-entropy": ("CategoricalCrossentropy", {}, CHOICES),
    "sparse cross-entropy": ("SparseCategoricalCrossentropy", {}, SPARSE),
    "kl": ("KLDivergence", {}, (CHOICES[1][::-1].copy(), CHOICES[1])),
    "mse": ("MeanSquaredError", {}, REAL),
    "mse of 300": ("MeanSquaredError", {}, tuple(x * np.float16(150) for x in REAL)),
    "rmse of 300": (
        "RootMeanSquaredError",
        {},
        tuple(x * np.float16(150) for x in REAL),
    ),
    "mae": ("MeanAbsoluteError", {}, REAL),
    "mape": ("MeanAbsolutePercentageError", {}, REAL),
    "msle": ("MeanSquaredLogarithmicError", {}, tuple(np.abs(x) for x in REAL)),
    "log cosh": ("LogCoshError", {}, REAL),
    "poisson": ("Poisson", {}, tuple(np.abs(x) for x in REAL)),
    "cosine": ("CosineSimilarity", {}, REAL),
    "hinge": ("Hinge", {}, (YES, REAL[0])),
    "squared hinge": ("SquaredHinge", {}, (YES, REAL[0])),
    "categorical hinge": ("CategoricalHinge", {}, (ONE_HOT, REAL[0])),
    "true positives": ("TruePositives", {}, BINARY),
    "false positives": ("FalsePositives", {"thresholds": [0.7, 0.2]}, BINARY),
    "true negatives": ("TrueNegatives", {}, BINARY),
    "false negatives": ("FalseNegatives", {}, BINARY),
    "precision": ("Precision", {"thresholds": [0.1, 0.33, 0.9]}, BINARY),
    "precision of the best": ("Precision", {"top_k": 2}, BINARY),
    "recall": ("Recall", {"class_id": 1}, BINARY),
    "precision at recall": ("PrecisionAtRecall", {"recall": 0.7}, BINARY),
    "recall at precision": ("RecallAtPrecision", {"precision": 0.7}, BINARY),
    "sensitivity": ("SensitivityAtSpecificity", {"specificity": 0.7}, BINARY),
    "specificity": ("SpecificityAtSensitivity", {"sensitivity": 0.7}, BINARY),
    "auc": ("AUC", {}, BINARY),
    "auc pr": ("AUC", {"curve": "PR"}, BINARY),
    "auc minoring": ("AUC", {"summation_method": "minoring"}, BINARY),
    "auc of labels": ("AUC", {"multi_label": True, "num_labels": 3}, BINARY),
    "f1": ("F1Score", {"threshold": 0.5}, BINARY),
    "f1 micro": ("F1Score", {"average": "micro"}, BINARY),
    "f2": ("FBetaScore", {"beta": 2.0, "average": "weighted"}, BINARY),
    "mean iou": ("MeanIoU", {"num_classes": 3}, (IDS, OTHER_IDS)),
    "iou": (
        "IoU",
        {"num_classes": 3, "target_class_ids": [0, 2], "ignore_class": 1},
        (IDS, OTHER_IDS),
    ),
    "binary iou": ("BinaryIoU", {}, BINARY),
    "one-hot iou": ("OneHotIoU", {"num_classes": 3, "target_class_ids": [1]}, CHOICES),
    "one-hot mean iou": ("OneHotMeanIoU", {"num_classes": 3}, CHOICES),
}
CASE = pytest.mark.parametrize("case", CASES)
# Float16 has no place for these: the percentage of an error at a label of almost 0.
BEYOND = ("mse of 300",)


def make(case, dtype="float16"):
    name, arguments, _ = CASES[case]
    return getattr(metrics, name)(dtype=dtype, **arguments)


def stock(case, weight):
    """Keras' own metric in float64, twice updated."""
    name, arguments, pair = CASES[case]
    # in_top_k has a float32 kernel alone; it is exact on float16's numbers.
    dtype = "float32" if "TopK" in name else "float64"
    y, p = (x if x.dtype.kind == "i" else x.astype(dtype) for x in pair)
    with floatx("float64"), computed_in("float64"):
        kind = {} if "IoU" in name else {"dtype": "float64"}
        metric = getattr(keras.metrics, name)(**kind, **arguments)
        for _ in range(2):
            metric.update_state(y, p, weight)
        return wide(metric.result())


@contextlib.contextmanager
def floatx(name):
    """Keras' default dtype for as long as it takes."""
    before = keras.config.floatx()
    keras.config.set_floatx(name)
    try:
        yield
    finally:
        keras.config.set_floatx(before)


def update(metric, pair, weight=None):
    """Two eager updates, and the result."""
    for _ in range(2):
        metric.update_state(*map(constant, pair), weight)
    return wide(metric.result())


def step_of(metric):
    """An update and the result, as they stand in Keras' training step."""

    def step(y, p):
        metric.update_state(y, p)
        return metric.result()

    return step


def as_fit_does(metric, pair):
    """Two updates in a graph of any batch, and the result; its operations are pure."""
    any_batch = [([None, *x.shape[1:]], x.dtype) for x in pair]
    step = with_signature(step_of(metric), False, *any_batch)
    assert wide_tensors(step, *pair) == 0
    step(*map(constant, pair))
    return wide(step(*map(constant, pair)))


# One of each arithmetic: tracing all of them would take most of a minute.
KINDS = (
    "accuracy",
    "binary accuracy",
    "sparse accuracy",
    "top k",
    "binary cross-entropy",
    "categorical cross-entropy",
    "sparse cross-entropy",
    "rmse of 300",
    "mape",
    "log cosh",
    "squared hinge",
    "precision of the best",
    "precision at recall",
    "auc",
    "auc pr",
    "f2",
    "iou",
    "binary iou",
)


@CASE
def test_result_agrees_with_float64(case):
    assert_right(case, update)


@pytest.mark.parametrize("case", KINDS)
def test_result_in_a_graph_agrees_with_float64_and_is_pure(case):
    assert_right(case, as_fit_does)


def assert_right(case, updated):
    metric = make(case)
    found = updated(metric, CASES[case][2])
    exact = np.asarray(metrics.on_host(metric))
    # Each sample's value is rounded to 11 bits: 2**-11 at most, far less on average.
    np.testing.assert_allclose(exact, stock(case, None), rtol=2.0**-11)
    if case not in BEYOND:
        np.testing.assert_allclose(found, exact, rtol=2.0**-9)


@pytest.mark.parametrize("case", [case for case in CASES if "iou" not in case])
def test_weighted_result_agrees_with_float64(case):
    """Without IoU, whose weights Keras casts to integers."""
    metric = make(case)
    found = update(metric, CASES[case][2], WEIGHT)
    exact = np.asarray(metrics.on_host(metric))
    np.testing.assert_allclose(
        exact, stock(case, WEIGHT.astype("float64")), rtol=2.0**-11
    )
    if case not in BEYOND and "at" not in case:
        np.testing.assert_allclose(found, exact, rtol=2.0**-9)


def test_stock_metrics_are_not_pure():
    theirs = keras.metrics.CategoricalAccuracy(dtype="float16")
    with pytest.raises(AssertionError):
        as_fit_does(theirs, CHOICES)


def test_compiled_results_are_the_same():
    """One compilation of the different kinds: it is what takes time."""
    cases = ("sparse accuracy", "mse", "sparse cross-entropy", "auc", "f1", "mean iou")
    made = {case: make(case) for case in cases}
    pairs = {case: CASES[case][2] for case in cases}

    def all_of_them(pairs):
        return {case: step_of(made[case])(*pairs[case]) for case in cases}

    step = traced(all_of_them, True)
    step(pairs)
    for case, found in step(pairs).items():
        truth = update(make(case), pairs[case])
        np.testing.assert_allclose(wide(found), truth, rtol=2.0**-10)


def test_counts_are_exact_where_stock_overflows():
    ones = np.ones((70_000, 1), "float16")
    with floatx("float16"):
        theirs = keras.metrics.TruePositives()
        for chunk in np.split(ones, 70):
            theirs.update_state(chunk, chunk)
        assert not np.isfinite(float(theirs.result()))
    ours, accuracy = (
        metrics.TruePositives(dtype="float16"),
        metrics.Accuracy(dtype="float16"),
    )
    for metric in (ours, accuracy):
        metric.update_state(ones, ones)
        metric.update_state(ones, ones)
    assert metrics.on_host(ours) == 140_000
    assert metrics.on_host(accuracy) == 1.0
    assert float(accuracy.result()) == 1.0


def test_stock_mse_metric_is_infinite_and_ours_is_right():
    y = np.zeros((10, 1), "float16")
    p = np.full((10, 1), 300, "float16")
    p[1:] = 1
    with floatx("float16"):
        theirs = keras.metrics.MeanSquaredError()
        theirs.update_state(y, p)
        assert not np.isfinite(float(theirs.result()))
    ours = metrics.MeanSquaredError(dtype="float16")
    ours.update_state(y, p)
    assert abs(metrics.on_host(ours) / 9000.9 - 1) < 2.0**-12
    assert float(ours.result()) == 9000.0


@of_tensorflow("its kernel takes no float16")
def test_stock_top_k_fails_and_ours_does_not():
    with floatx("float16"), pytest.raises(Exception, match="float"):
        keras.metrics.SparseTopKCategoricalAccuracy(k=1).update_state(*SPARSE)
    ours = metrics.SparseTopKCategoricalAccuracy(k=1, dtype="float16")
    ours.update_state(*SPARSE)
    truth = np.mean(SPARSE[1].argmax(-1) == IDS)
    assert metrics.on_host(ours) == truth


def test_sum_and_mean_of_a_function():
    total = metrics.Sum(dtype="float16")
    values = np.full(200_000, 0.5, "float16")
    total.update_state(values)
    assert metrics.on_host(total) == 100_000.0
    assert np.isinf(float(total.result()))
    total.reset_state()
    total.update_state(values[:10], np.full(10, 2, "float16"))
    assert float(total.result()) == 10.0

    def gap(y_true, y_pred):
        return keras.ops.abs(y_true - y_pred)

    mean = metrics.MeanMetricWrapper(gap, dtype="float16")
    mean.update_state(np.zeros((4, 3), "float16"), np.ones((4, 3), "float16"))
    assert metrics.on_host(mean) == 1.0


@CASE
def test_empty_and_reset(case):
    metric = make(case)
    y, p = CASES[case][2]
    metric.update_state(y[:0], p[:0])
    assert np.all(np.asarray(metrics.on_host(metric)) == 0)
    metric.update_state(y, p)
    before = np.asarray(metrics.on_host(metric))
    assert np.all(before != 0)
    metric.reset_state()
    metric.update_state(y, p)
    np.testing.assert_array_equal(np.asarray(metrics.on_host(metric)), before)


@pytest.mark.parametrize(
    "case", ["mse", "sparse cross-entropy", "binary cross-entropy"]
)
def test_nan_stays(case):
    y, p = CASES[case][2]
    p = p.copy()
    p[5] = np.nan
    metric = make(case)
    assert np.all(np.isnan(update(metric, (y, p))))
    assert np.isnan(metrics.on_host(metric))


@CASE
def test_float32_is_keras_own(case):
    name, arguments, (y, p) = CASES[case]
    y, p = (x if x.dtype.kind == "i" else x.astype("float32") for x in (y, p))
    ours = make(case, "float32")
    theirs = getattr(keras.metrics, name)(**arguments)
    for metric in (ours, theirs):
        with computed_in("float64"):  # Keras casts class ids to int64
            metric.update_state(y, p)
    np.testing.assert_allclose(ours.result(), theirs.result(), rtol=1e-6)


@CASE
def test_config_round_trip(case):
    metric = make(case)
    config = keras.saving.serialize_keras_object(metric)
    twin = keras.saving.deserialize_keras_object(config)
    assert type(twin) is type(metric) and twin.get_config() == metric.get_config()
    assert twin.dtype == "float16"


# get


@pytest.mark.parametrize("name", sorted(keras.src.metrics.ALL_OBJECTS_DICT))
def test_get_finds_every_name_of_keras(name):
    cls = keras.src.metrics.ALL_OBJECTS_DICT[name]
    needs = {"IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU", "MeanMetricWrapper"}
    needs |= {"PrecisionAtRecall", "RecallAtPrecision", "Metric"}
    needs |= {"SensitivityAtSpecificity", "SpecificityAtSensitivity"}
    if cls.__name__ in needs or name.lower() == "accuracy":  # chosen by shape
        return
    if cls.__name__ in ("R2Score", "PearsonCorrelation", "ConcordanceCorrelation"):
        with pytest.raises(UserError, match="no 16-bit form"):
            metrics.get(name, "float16")
        return
    found = metrics.get(name, "float16")
    assert type(found).__name__ == cls.__name__
    assert type(found).__module__.startswith("keras16.metrics")
    assert found.dtype == "float16" and found.name == name


def test_get_carries_arguments_over():
    stock = keras.metrics.Precision(thresholds=[0.2, 0.4], class_id=1, name="mine")
    ours = metrics.get(stock, "float16")
    assert ours.thresholds == [0.2, 0.4] and ours.class_id == 1 and ours.name == "mine"
    stock = keras.metrics.CosineSimilarity(axis=1)
    assert metrics.get(stock, "float16").axis == 1
    found = metrics.get(keras.metrics.mean_squared_error, "float16")
    assert type(found) is metrics.MeanSquaredError
    with pytest.raises(UserError, match="no metric 'nothing'"):
        metrics.get("nothing", "float16")


class OfTheirOwn(keras.metrics.Metric):
    def __init__(self, name="mine", dtype=None):
        super().__init__(name=name, dtype=dtype)


class Derived(metrics.MeanSquaredError):
    """Of a user's own, derived from ours."""


def test_get_of_what_is_not_of_keras():
    with pytest.raises(UserError, match="OfTheirOwn is not of Keras"):
        metrics.get(OfTheirOwn(), "float16")
    theirs = OfTheirOwn()
    assert metrics.get(theirs, "float32") is theirs

    def AbsoluteGap(y_true, y_pred):  # noqa: N802  # Keras names it in snake case
        return keras.ops.abs(y_true - y_pred)

    found = metrics.get(AbsoluteGap, "float16")
    assert found.name == "absolute_gap" and found.dtype == "float16"


@pytest.mark.parametrize("cls", [metrics.AUC, Derived, metrics.AnyAccuracy])
def test_get_gives_ours_back_as_it_is_or_in_another_dtype(cls):
    ours = cls(dtype="float16")
    assert metrics.get(ours, "float16") is ours
    other = metrics.get(ours, "bfloat16")
    assert type(other) is cls and other.dtype == "bfloat16"


@pytest.mark.parametrize("name", ["accuracy", "acc"])
@pytest.mark.parametrize(
    "case", ["binary accuracy", "categorical accuracy", "sparse accuracy"]
)
def test_accuracy_is_chosen_by_shape(name, case):
    y, p = CASES[case][2]
    if case == "binary accuracy":
        y, p = y[:, :1], p[:, :1]
    found = metrics.get(name, "float16")
    found.update_state(y, p)
    hits = (p > 0.5) == y if case == "binary accuracy" else p.argmax(-1) == IDS
    assert found.name == name
    np.testing.assert_allclose(metrics.on_host(found), hits.mean(), atol=2.0**-24)


# In a model


def small(loss, wanted, outputs=3):
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(outputs)])
    model.compile(
        keras16.optimizers.SGD(), loss, metrics=list(wanted), jit_compile=False
    )
    return model


def test_step_is_pure():
    keras16.use("16")
    x = random(8).normal(size=(SAMPLES, 5)).astype("float16")
    loss = keras16.losses.CategoricalCrossentropy(from_logits=True)
    report = audit(small(loss, [metrics.get("accuracy"), make("f1")]), x, ONE_HOT)
    assert report.pure, str(report)
