"""How large the rounding error of a 16-bit net is, estimated to first order.

Each rounding is off by at most half the distance between the 16-bit numbers there, so
by a standard deviation of that distance / sqrt(12). What becomes of it at a logit is
its product with the derivative of the logit. Errors that know nothing of each other add
as squares:

    estimate^2 = sum over layers and numbers k (derivative * distance)^2 / 12,

where k counts a layer's roundings at its output: 1, one more for a bias, 3 for a
normalization (difference, product, sum). A batch normalization also rounds the factor
of each channel, and errs by it the same way at every place of an image.

This is an estimate, no bound: it leaves out what is of second order, what rounds deeper
inside a layer, and that errors may be of one sign. It is of the size that errors have,
where a proof has to allow for the worst.

Source: Higham, Accuracy and Stability of Numerical Algorithms, 2.8 (a statistical
approach to rounding errors).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np

from keras16 import backend
from keras16.backend import layer as private
from keras16.convert import convert
from keras16.tolerance import comparisons, formats, nets, simulation
from keras16.tolerance.formats import Format

BATCH_SIZE = 64
FORMATS = {"16": formats.get("float16"), "bf16": formats.get("bfloat16")}
# Layers that put out numbers they were given: nothing is rounded.
EXACT = (
    "Activation(relu)",
    "Concatenate",
    "Cropping1D",
    "Cropping2D",
    "Dropout",
    "Flatten",
    "GlobalMaxPooling2D",
    "InputLayer",
    "MaxPooling2D",
    "Permute",
    "ReLU",
    "RepeatVector",
    "Reshape",
    "SpatialDropout2D",
    "UpSampling2D",
    "ZeroPadding2D",
)
NORMALIZATIONS = (
    "BatchNormalization",
    "GroupNormalization",
    "LayerNormalization",
    "RMSNormalization",
)
# The factor of a channel comes of a root, a quotient and a product; a rounding is off
# by 0.4 units of roundoff, on average over numbers of all sizes.
FACTOR_ERROR = 3**0.5 * 0.4  # units of roundoff


class Estimate(NamedTuple):
    """Standard deviations of the rounding error of a 16-bit net, to first order.

    Attributes:
        outputs: [examples, classes] float64, of the float32 net with its weights.
        error: [examples, classes] float64, of each output.
        margin: [examples] float64, of the lead of the largest output over the second.
        true: [examples, classes] float64: what the 16-bit net put out, less `outputs`.
        layers: Names of the layers that round.
        shares: [layers] float64: the mean over examples of the part of margin^2 that
            comes of each; they add up to 1.
    """

    outputs: np.ndarray
    error: np.ndarray
    margin: np.ndarray
    true: np.ndarray
    layers: tuple[str, ...]
    shares: np.ndarray

    @property
    def ratio(self) -> float:
        """The median over examples and classes of the true error over its estimate."""
        with np.errstate(invalid="ignore"):
            return float(np.nanmedian(np.abs(self.true) / self.error))


def estimate(model: keras.Model, x: np.ndarray) -> Estimate:
    """The rounding error of a net's 16-bit form on some inputs.

    Args:
        model: In any precision; one of more than 16 bits stands for its cast.
        x: [examples, ...] as the net takes them; at least one.

    Raises:
        UserError: The net can't be converted.
    """
    narrow = comparisons.pair(model)[1]
    tapped = _Tapped(convert(narrow, "32"), FORMATS[nets.precision(narrow)])
    starts = range(0, len(x), BATCH_SIZE)
    parts = [tapped.estimate(x[i : i + BATCH_SIZE]) for i in starts]
    weights = [len(part.margin) for part in parts]
    outputs = np.concatenate([part.outputs for part in parts])
    return Estimate(
        outputs,
        np.concatenate([part.error for part in parts]),
        np.concatenate([part.margin for part in parts]),
        nets.outputs(narrow, x) - outputs,
        parts[0].layers,
        np.average([part.shares for part in parts], axis=0, weights=weights),
    )


class _Tapped:
    """A copy of a float32 model that adds offsets to what its layers put out."""

    def __init__(self, model: keras.Model, rounded_to: Format) -> None:
        self.format = rounded_to
        self.model = simulation.cloned(model)
        self.names: list[str] = []
        self.layers: list[Any] = []
        self.values: list[np.ndarray] = []
        self.offsets: list[Any] | None = None
        self.used = 0
        for name, layer in _rounding(self.model):
            layer.call = simulation.after(layer.call, self._tap(name, layer))

    def estimate(self, x: np.ndarray) -> Estimate:
        """Of one batch."""
        found = self._recorded(x)
        pairs = zip(self.layers, self.values, strict=True)
        rules = [_Rule(*each, self.format) for each in pairs]
        zeros = [keras.ops.zeros(v.shape, v.dtype) for v in self.values]
        pull = backend.module().with_gradients(lambda *offsets: self._with(offsets, x))

        def variances(weights: np.ndarray) -> np.ndarray:
            """[layers, examples] of an output weighted so."""
            _, *gradients = pull(keras.ops.convert_to_tensor(weights), *zeros)
            each = zip(rules, gradients, strict=True)
            return np.stack([rule.variances(slope) for rule, slope in each])

        classes = np.eye(found.shape[1], dtype="float32")
        rows = [variances(np.tile(row, (len(x), 1))).sum(axis=0) for row in classes]
        lead = variances(_lead(found))
        whole = lead.sum(axis=0)
        shares = lead / np.maximum(whole, np.finfo(float).tiny)
        return Estimate(
            found,
            np.sqrt(np.stack(rows, axis=1)),
            np.sqrt(whole),
            np.full(found.shape, np.nan),  # `estimate` has the 16-bit net
            tuple(self.names),
            shares.mean(axis=1),
        )

    def _recorded(self, x: np.ndarray) -> np.ndarray:
        """Runs the model, noting what its layers put out."""
        self.names, self.layers, self.values, self.offsets = [], [], [], None
        found: np.ndarray = nets.outputs(self.model, x)
        return found

    def _with(self, offsets: Any, x: np.ndarray) -> Any:
        self.offsets, self.used = list(offsets), 0
        return self.model(x, training=False)

    def _tap(self, name: str, layer: Any) -> Callable[[Any], Any]:
        def tap(y: Any) -> Any:
            if "float" not in keras.backend.standardize_dtype(y.dtype):
                return y
            if self.offsets is None:
                self.names.append(name)
                self.layers.append(layer)
                self.values.append(keras.ops.convert_to_numpy(y))
                return y
            self.used += 1
            return y + self.offsets[self.used - 1]

        return tap


def _rounding(model: keras.Model) -> list[tuple[str, Any]]:
    """The layers that round; for one made of layers with weights, those inside."""
    found = []
    for layer in nets.leaves(model):
        inner = [one for one in private.inner(layer) if one.weights]
        found += [(f"{layer.name}/{one.name}", one) for one in inner]
        if not inner and _kind(layer) not in EXACT:
            found.append((layer.name, layer))
    return found


def _kind(layer: Any) -> str:
    name = type(layer).__name__
    activation = getattr(getattr(layer, "activation", None), "__name__", "")
    return f"{name}({activation})" if name == "Activation" else name


def _lead(outputs: np.ndarray) -> np.ndarray:
    """Weights of outputs that give the lead of the largest over the second."""
    order = np.argsort(outputs, axis=1)
    weights = np.zeros(outputs.shape, "float32")
    rows = np.arange(len(outputs))
    weights[rows, order[:, -1]], weights[rows, order[:, -2]] = 1, -1
    return weights


class _Rule:
    """How a layer's numbers err."""

    def __init__(self, layer: Any, values: np.ndarray, to: Format) -> None:
        kind = type(layer).__name__
        roundings = 3 if kind in NORMALIZATIONS else 1
        roundings += bool(getattr(layer, "use_bias", False))
        self.deviations = formats.spacing(values, to) * (roundings / 12) ** 0.5
        self.factor_error = FACTOR_ERROR * to.unit_roundoff
        self.axis = layer.axis if kind == "BatchNormalization" else None
        self.products = values.astype(np.float64)
        if self.axis is not None and layer.center:
            beta = keras.ops.convert_to_numpy(layer.beta).astype(np.float64)
            self.products -= _along(beta, values.ndim, layer.axis)

    def variances(self, slope: Any) -> np.ndarray:
        """[examples] float64: what the layer brings into an output of this slope."""
        count = len(self.deviations)
        if slope is None:  # nothing of this layer gets to the outputs
            return np.zeros(count)
        exact = keras.ops.convert_to_numpy(slope).astype(np.float64)
        own = np.square(exact * self.deviations).reshape(count, -1).sum(axis=1)
        if self.axis is None:
            return own
        return own + np.square(self._by_channel(exact) * self.factor_error).sum(axis=1)

    def _by_channel(self, slope: np.ndarray) -> np.ndarray:
        """[examples, channels]: the derivative by the logarithm of each factor."""
        products = np.moveaxis(slope * self.products, self.axis or -1, -1)
        found: np.ndarray = products.reshape(len(products), -1, products.shape[-1]).sum(
            axis=1
        )
        return found


def _along(channels: np.ndarray, rank: int, axis: int) -> np.ndarray:
    """[channels] as an array of a rank, to be added along an axis."""
    shape = [1] * rank
    shape[axis] = -1
    return channels.reshape(shape)
