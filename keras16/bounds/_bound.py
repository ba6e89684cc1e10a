"""Bounds on what rounding did to each answer of a 16-bit net.

Forward, each operation's step says how far rounding can have moved its outputs: bounds
that grow by |W| from layer to layer, since signs are lost. Backward, the slopes of what
is asked (by how much the top answer leads each other class) are carried through the net
with their signs; each step's own share is their magnitude times its `rest`. What bends
(a ReLU whose sign is in doubt, a maximum that may be another) is bounded by means of
the forward bounds.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import keras
import numpy as np

from keras16 import backend
from keras16.bounds import _activations, _linear, _normalization, _pooling, _structure
from keras16.bounds._record import (
    ACTIVATION,
    LINEAR,
    Call,
    Recording,
    is_softmax,
    operations,
    record,
    values,
)
from keras16.bounds._step import WIDE, Array, Step
from keras16.errors import UserError

LARGEST = 2**25
"""So many float32 slopes by the outputs of one operation are held at once."""


class ErrorBound(NamedTuple):
    """What a 16-bit net computed, and how far exact arithmetic can be from it.

    Attributes:
        outputs: [examples, classes] float64, the net's own logits.
        bound: [examples, classes] float64: exact arithmetic on the same weights gives
            a logit that is at most so far away. Infinite where nothing is proven.
        margin_bound: [examples, classes] float64: the lead of the top answer over
            that class is at most so far from its exact one; 0 for the answer itself.
    """

    outputs: Array
    bound: Array
    margin_bound: Array

    @property
    def proven(self) -> Array:
        """[examples] boolean: whether exact arithmetic gives the same class."""
        top = np.argmax(self.outputs, axis=1)[:, None]
        with np.errstate(invalid="ignore"):  # of infinities, whose bounds are infinite
            lead = np.take_along_axis(self.outputs, top, 1) - self.outputs
        others = np.arange(self.outputs.shape[1]) != top
        return np.all((lead > self.margin_bound) | ~others, axis=1)


@dataclasses.dataclass(frozen=True)
class Analysis:
    """An `ErrorBound`, and where it comes from.

    Attributes:
        found: The bounds.
        shares: Name of an operation -> what its rounding adds to the bound of the lead
            over the runner-up, in logits: the mean over the examples with a bound.
        open: Names of the operations of which nothing is known, with their classes.
    """

    found: ErrorBound
    shares: dict[str, float]
    open: tuple[str, ...]


def error_bound(model: keras.Model, x: Any, batch_size: int = 128) -> ErrorBound:
    """Bounds the difference between a float16 net's outputs and exact arithmetic's.

    Exact arithmetic is that of the real numbers on the same weights and inputs. The
    net is called as it is, operation by operation and without dropout; a softmax at
    its end is left out. The bounds are rigorous for these calls: whether a kernel adds
    in float32 or float16 is found out by asking it, and one that does neither, or an
    operation that is not known, leaves the answers open (infinite bounds).

    Args:
        model: One input, one output [n, classes]; computes in float16.
        x: [examples, ...] inputs.
        batch_size: Examples at a time.

    Returns:
        (outputs, bound, margin_bound), each [examples, classes], float64.

    Raises:
        UserError: The model does not compute in float16, or has several inputs.

    Source: Higham, Accuracy and Stability of Numerical Algorithms, chapters 2 to 4.
    """
    return analyse(model, x, batch_size).found


def analyse(model: keras.Model, x: Any, batch_size: int = 128) -> Analysis:
    """`error_bound`, and where the bounds come from.

    Args: as `error_bound`.
    """
    backend.configure()
    _check(model)
    x = np.asarray(x)
    parts = [
        _batch(model, x[first : first + batch_size])
        for first in range(0, max(len(x), 1), batch_size)
    ]
    columns = zip(*(part.found for part in parts), strict=True)
    found = ErrorBound(*(np.concatenate(column) for column in columns))
    return Analysis(found, _mean_shares(parts), parts[0].open)


class _Part(NamedTuple):
    """What is kept of a batch: its tensors take gigabytes."""

    found: ErrorBound
    shares: dict[str, Array]
    open: tuple[str, ...]


def _batch(model: keras.Model, x: Array) -> _Part:
    batch = _Batch(model, x)
    return _Part(batch.found(), batch.shares, batch.open)


def _check(model: Any) -> None:
    for layer in operations(model):
        dtype = getattr(layer, "compute_dtype", "float16")
        if dtype != "float16":
            raise UserError(
                f"Bounds are for nets that compute in float16; {layer.name} computes "
                f'in {dtype}. keras16.convert(model, "16") makes a 16-bit twin.'
            )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UserError("Bounds are for nets of one input and one output.")


def _mean_shares(parts: list[_Part]) -> dict[str, float]:
    """Of the examples that have a bound; without any, there are no shares."""
    names = list(reversed(parts[0].shares))
    if not names:
        return {}
    each = np.array(
        [np.concatenate([part.shares[name] for part in parts]) for name in names]
    )
    known = np.isfinite(each).all(axis=0)
    if not known.any():
        return {}
    return dict(zip(names, each[:, known].mean(axis=1).tolist(), strict=True))


class _Batch:
    """The steps of a net on one batch, and the bounds that follow."""

    def __init__(self, model: keras.Model, x: Array) -> None:
        with np.errstate(all="ignore"):
            dtype = keras.backend.standardize_dtype(model.inputs[0].dtype)
            narrow = keras.ops.convert_to_tensor(x.astype(dtype))
            self.recording: Recording = record(model, narrow)
            self.outputs = values(self.recording.output)
            order = np.argsort(self.outputs, axis=1)
            self.top = np.argmax(self.outputs, axis=1)
            self.runner_up = order[:, -2:][:, 0]
            self.x = np.asarray(x, "float64")
            self.known = {id(self.recording.input): self._start(narrow)}
            self.starts = {*self.known}
            self.finite = np.ones(len(x), bool)
            self.open: tuple[str, ...] = ()
            self.steps: list[tuple[Call, Step]] = []
            for call in self.recording.calls:
                self._follow(call)
            self.shares: dict[str, Any] = {}

    def found(self) -> ErrorBound:
        """The bounds; infinite where nothing is proven."""
        shape = self.outputs.shape
        if self.open or id(self.recording.output) not in self.known:
            nothing = np.full(shape, np.inf)
            return ErrorBound(self.outputs, nothing, self._margins(nothing))
        with np.errstate(all="ignore"):
            forward = self.known[id(self.recording.output)][1]
            backward = self._backward()
            of_top = np.take_along_axis(backward, self.top[:, None], axis=1)
            both = np.where(self._is_top(), of_top, of_top + backward)
            bound = np.fmin(forward, both)
        return ErrorBound(
            self.outputs, self._certain(bound), self._margins(self._certain(backward))
        )

    def _certain(self, bound: Array) -> Array:
        certain = self.finite[:, None] & np.isfinite(bound)
        return np.where(certain, bound, np.inf)

    def _margins(self, bound: Array) -> Array:
        return np.where(self._is_top(), 0.0, bound)

    def _is_top(self) -> Array:
        """[examples, classes] boolean."""
        return np.arange(self.outputs.shape[1]) == self.top[:, None]

    def _follow(self, call: Call) -> None:
        """Adds the step of a call, or notes that nothing is known of it."""
        step = self._step(call) if call.output is not None else None
        if step is None:
            kind = type(call.operation).__name__
            self.open = (*self.open, f"{call.name} ({kind})")
            return
        y = values(call.output)
        self.finite &= np.isfinite(y).reshape(len(y), -1).all(axis=1)
        self.known[id(call.output)] = (y, step.error)
        self.steps.append((call, step))

    def _step(self, call: Call) -> Step | None:
        known = all(self._is_known(one) for one in call.inputs)
        if not (call.inputs and known and _is_of_keras(call.operation)):
            return None
        given = [self.known[id(one)] for one in call.inputs]
        y = values(call.output)
        if len(given) > 1:
            return _structure.joined(
                call, [x for x, _ in given], [error for _, error in given], y
            )
        return _single(call, *given[0], y)

    def _is_known(self, tensor: Any) -> bool:
        """Whether it was computed by a call, or is the input as a layer casts it."""
        if id(tensor) in self.known:
            return True
        if tuple(tensor.shape) != self.x.shape:
            return False
        given = values(self.recording.input).astype("float16")
        if not np.array_equal(values(tensor), given, equal_nan=True):
            return False
        self.known[id(tensor)] = self._start(tensor)
        self.starts.add(id(tensor))
        return True

    def _start(self, tensor: Any) -> tuple[Array, Array]:
        return values(tensor), np.abs(self.x - values(tensor))

    def _backward(self) -> Array:
        """[examples, classes]: bounds on the leads, and on the top logit itself."""
        up, down = (np.zeros(self.outputs.shape[::-1]) for _ in range(2))
        asked = self._asked()
        largest = max((step.rest.size for _, step in self.steps), default=1)
        count = max(LARGEST // largest, 1)
        for first in range(0, len(asked), count):
            part = slice(first, first + count)
            self._carry(asked[part], part, up[part], down[part])
        total = np.maximum(up, down).T
        # What float32 takes for 0 on the way back.
        return np.where(total == 0, 0.0, total + 1e-20)

    def _carry(self, slopes: Array, part: slice, up: Array, down: Array) -> None:
        """Carries slopes back through the net, and adds what each step adds.

        Args:
            slopes: [k, examples, classes], of k of the leads.
            part: Which ones they are.
            up: [k, examples], by how much they can have been moved up.
            down: Likewise.
        """
        held = {id(self.recording.output): slopes}
        for call, step in reversed(self.steps):
            if id(call.output) not in held:
                continue
            slopes = held.pop(id(call.output))
            above = below = _weighted(np.abs(slopes), step.rest)
            if step.drop is not None:
                above = above + _weighted(np.maximum(-slopes, 0), step.drop)
                below = below + _weighted(np.maximum(slopes, 0), step.drop)
            up += above
            down += below
            self._note(call, part, (above + below) / 2)
            for one, back in zip(call.inputs, step.pull(slopes), strict=True):
                held[id(one)] = held[id(one)] + back if id(one) in held else back
        for start in self.starts & held.keys():
            for total in (up, down):
                total += _weighted(np.abs(held[start]), self.known[start][1])

    def _asked(self) -> Array:
        """[classes, examples, classes]: slopes of the leads, and of the top logit."""
        examples, classes = self.outputs.shape
        unit = np.eye(classes, dtype="float32")
        slopes = unit[self.top][None] - unit[:, None]
        slopes[self.top, np.arange(examples)] = unit[self.top]
        return slopes

    def _note(self, call: Call, part: slice, share: Array) -> None:
        """Keeps what a call adds to the bound of the lead over the runner-up."""
        inside = np.zeros((self.outputs.shape[1], len(self.outputs)))
        inside[part] = share
        of_lead = inside[self.runner_up, np.arange(len(self.outputs))]
        of_lead = np.where(self.finite, of_lead, np.nan)
        self.shares[call.name] = self.shares.get(call.name, 0.0) + of_lead


def _is_of_keras(operation: Any) -> bool:
    """Whether its class is Keras' or keras16's: another may do anything."""
    return type(operation).__module__.startswith(("keras.", "keras16."))


def _single(call: Call, x: Array, error: Array, y: Array) -> Step | None:
    """The step of an operation with one input."""
    operation = call.operation
    whole = call.part != ACTIVATION
    if call.part == LINEAR or (whole and hasattr(operation, "kernel")):
        return _linear.step(operation, x, error, y)
    if isinstance(operation, keras.layers.Embedding):
        return _structure.looked_up(x, y)
    if whole and _structure.is_move(operation):
        return _structure.moved(operation, x, error)
    if is_softmax(call):
        return _activations.softmax(x, error, y)
    function = _activations.function_of(call)
    if function is not None:
        return _activations.step(function, x, error, y)
    if hasattr(operation, "size") and type(operation).__name__.startswith("UpSampling"):
        return _structure.up_sampled(operation, x, error)
    pooled = _pooling.step(operation, x, error, y)
    return pooled or _normalization.step(operation, x, error, y)


def _weighted(slopes: Array, bound: Array) -> Array:
    """[k, n, ...] and [n, ...], none negative -> [k, n]: their product, rounded up."""
    count, examples = slopes.shape[:2]
    flat = slopes.reshape(count, examples, -1).swapaxes(0, 1)
    # Up, and no smaller than float32's smallest normal number where it is not 0.
    up = (bound * (1 + 4 * WIDE)).reshape(examples, -1, 1)
    up = np.where(up == 0, 0, np.maximum(up, 1e-37)).astype("float32")
    sums = np.matmul(flat, up)[..., 0].T.astype("float64")
    return sums * (1 + 2 * (flat.shape[-1] + 4) * WIDE)
