"""Metrics that are right in 16 bits: exact sums, divided at the end.

Each takes the arguments of Keras' class of the same name, and is that class where
its dtype is not 16 bits wide. `result()` is 16-bit; `on_host` of a metric gives its
result in float64. `get` finds the metric that does what Keras would do with a name,
a function or an object of its own.
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
from keras16.metrics.cross_entropy import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    KLDivergence,
    SparseCategoricalCrossentropy,
)
from keras16.metrics.hinge import CategoricalHinge, Hinge, SquaredHinge
from keras16.metrics.mean import Mean, on_host
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
