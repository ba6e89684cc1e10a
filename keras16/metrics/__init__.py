"""Metrics that are right in 16 bits: exact sums, divided at the end.

Each takes the arguments of Keras' class of the same name, and is that class where
its dtype is not 16 bits wide. `result()` is 16-bit; `on_host` of a metric gives its
result in float64. `get` finds the metric that does what Keras would do with a name,
a function or an object of its own. They are registered as "keras16.metrics>NAME",
since losses have many of the same names.
"""

from keras16.metrics.accuracy import (
    Accuracy,
    AnyAccuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from keras16.metrics.auc import AUC
from keras16.metrics.confusion import (
    FalseNegatives,
    FalsePositives,
    Precision,
    PrecisionAtRecall,
    Recall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    TrueNegatives,
    TruePositives,
)
from keras16.metrics.cross_entropy import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    KLDivergence,
    SparseCategoricalCrossentropy,
)
from keras16.metrics.f_score import F1Score, FBetaScore
from keras16.metrics.hinge import CategoricalHinge, Hinge, SquaredHinge
from keras16.metrics.iou import BinaryIoU, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU
from keras16.metrics.lookup import get
from keras16.metrics.mean import Mean, on_host
from keras16.metrics.refused import (
    ConcordanceCorrelation,
    PearsonCorrelation,
    R2Score,
)
from keras16.metrics.regression import (
    CosineSimilarity,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    RootMeanSquaredError,
)
from keras16.metrics.total import MeanMetricWrapper, Sum

__all__ = [
    "AUC",
    "Accuracy",
    "AnyAccuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "BinaryIoU",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "ConcordanceCorrelation",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "IoU",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanIoU",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "OneHotIoU",
    "OneHotMeanIoU",
    "PearsonCorrelation",
    "Poisson",
    "Precision",
    "PrecisionAtRecall",
    "R2Score",
    "Recall",
    "RecallAtPrecision",
    "RootMeanSquaredError",
    "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "get",
    "on_host",
]
