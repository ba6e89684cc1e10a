"""Steps of the optimizers, and how far a loss falls."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras16 import backend, optimizers
from keras16.exactness._row import Found, Row, found_worst, last_place, wide, worst

NAMES = (
    "SGD",
    "RMSprop",
    "Adam",
    "AdamW",
    "Nadam",
    "Adamax",
    "Adagrad",
    "Adadelta",
    "Lion",
)
SIZES = {1e-6: 0.05, 1e-2: 0.005, 3e3: 0.005}  # of gradients, with the bound
WEIGHTS = np.linspace(-1, 1, 48).astype("float16")
STEPS, LONG = 50, 1000
ONE_STEP = 3 * 2.0**-10  # 1 by chance, the others by products, roots and quotients
SEEN = 2.0**-26  # of a weight of 1, by Kahan's 27 bits
# Logistic regression: examples, features and classes.
EXAMPLES, FEATURES, CLASSES = 256, 40, 4


def rate_of(name: str, size: float) -> float:
    """A learning rate that moves a weight by about a thousandth."""
    return {"SGD": 1e-3 / size, "Adadelta": 1.0, "Adagrad": 0.1}.get(name, 1e-3)


def gradients(size: float, steps: int) -> np.ndarray:
    """[steps, weights] float16, more above 0 than below; for one step all of a size."""
    if steps == 1:
        return (np.sign(WEIGHTS) * size).astype("float16")[None]
    random = np.random.default_rng(0)
    drawn = random.normal(size / 2, size, (steps, len(WEIGHTS)))
    return drawn.astype("float16")


class Training:
    """One optimizer and its traced step, started anew for each stream of gradients.

    Args:
        optimizer: Of one variable.
        dtype: Of the weights.
        start: The weights at first.
        compiled: Whether XLA compiles the step.
    """

    def __init__(
        self, optimizer: Any, dtype: str, start: np.ndarray, compiled: bool
    ) -> None:
        self.optimizer, self.start = optimizer, start
        self.weights = keras.Variable(start, dtype=dtype)
        optimizer.build([self.weights])
        self._first = [variable.numpy() for variable in optimizer.variables]
        self.function = backend.module().Function(self._step, compiled)

    def begin(self, rate: float) -> None:
        """Takes everything back to the start."""
        self.weights.assign(self.start)
        for variable, value in zip(self.optimizer.variables, self._first, strict=True):
            variable.assign(value)
        self.optimizer.learning_rate = rate

    def step(self, gradient: np.ndarray) -> None:
        """One step."""
        dtype = keras.backend.standardize_dtype(self.weights.dtype)
        self.function(gradient.astype(dtype))

    def found(self) -> np.ndarray:
        """The weights, and what Kahan holds for them."""
        weights = wide(self.weights.numpy())
        held = getattr(self.optimizer, "compensations", None)
        if held is None:
            return weights
        return weights + held[0].numpy() * last_place(weights) * 2.0**-16

    def _step(self, gradient: Any) -> Any:
        self.optimizer.apply([gradient], [self.weights])
        return gradient


@contextlib.contextmanager
def floatx(dtype: str) -> Iterator[None]:
    """What Keras' own optimizers keep the learning rate in."""
    before = keras.config.floatx()
    keras.config.set_floatx(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(before)


def made(name: str, library: Any, dtype: str, compiled: bool) -> Training:
    """A training of the 48 weights; ours with Kahan's sum, so that all is seen."""
    more = {"rounding": "kahan"} if library is optimizers else {}
    with floatx(dtype):
        optimizer = getattr(library, name)(1.0, **more)
        return Training(optimizer, dtype, WEIGHTS.astype(dtype), compiled)


@functools.cache
def exact(name: str, size: float, steps: int) -> np.ndarray:
    """The weights that Keras arrives at in float64."""
    training = made(name, keras.optimizers, "float64", False)
    return after(training, name, size, steps)


def after(training: Training, name: str, size: float, steps: int) -> np.ndarray:
    """The weights after some steps."""
    training.begin(rate_of(name, size))
    for gradient in gradients(size, steps):
        training.step(gradient)
    return training.found()


@functools.cache
def kept(name: str, ours: bool, compiled: bool) -> Training:
    """The same training for all rows: compiling it is what takes time."""
    library = optimizers if ours else keras.optimizers
    return made(name, library, "float16", compiled)


def steps_error(name: str, steps: int, size: float, ours: bool, compiled: bool) -> Any:
    """Of one step the largest error, of many the mean one, as a share of the way."""
    training = kept(name, ours, compiled)
    found, wanted = after(training, name, size, steps), exact(name, size, steps)
    off, way = np.abs(found - wanted), np.abs(wanted - wide(WEIGHTS))
    seen = np.maximum(off - SEEN, 0)
    error = worst(seen / way) if steps == 1 else worst([off.mean() / way.mean()])
    return Found(error, training.function.wide)


def all_steps(name: str, ours: bool, compiled: bool) -> Found:
    """The worst of one step, over the sizes of gradients."""
    found = [steps_error(name, 1, size, ours, compiled) for size in SIZES]
    return found_worst(
        (each.error for each in found), kept(name, ours, compiled).function
    )


# Trajectories


@functools.cache
def data() -> tuple[np.ndarray, np.ndarray]:
    """Inputs, and the classes that a linear model would mostly find."""
    random = np.random.default_rng(0)
    x = random.normal(0, 1, (EXAMPLES, FEATURES))
    logits = x @ random.normal(0, 1, (FEATURES, CLASSES))
    return x, (logits + random.normal(0, 0.5, logits.shape)).argmax(axis=1)


def first_weights() -> np.ndarray:
    """[features, classes] float16."""
    return (
        np.random.default_rng(1).normal(0, 0.8, (FEATURES, CLASSES)).astype("float16")
    )


def loss_and_gradient(weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Of the logistic regression, in float64."""
    x, labels = data()
    logits = x @ weights
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = powers / powers.sum(axis=1, keepdims=True)
    loss = -np.log(shares[np.arange(EXAMPLES), labels]).mean()
    return loss, x.T @ (shares - np.eye(CLASSES)[labels]) / EXAMPLES


def fall(optimizer: Any, dtype: str, compiled: bool) -> tuple[float, int]:
    """How far the loss falls in 1,000 steps from 1e-4 to 0 by a cosine."""
    training = Training(optimizer, dtype, first_weights().astype(dtype), compiled)
    training.begin(1e-4)
    for step in range(LONG):
        rate = 1e-4 * (1 + np.cos(np.pi * step / LONG)) / 2
        training.optimizer.learning_rate = rate
        training.step(loss_and_gradient(wide(training.weights.numpy()))[1])
    start = loss_and_gradient(wide(first_weights()))[0]
    end = loss_and_gradient(wide(training.weights.numpy()))[0]
    return start - end, training.function.wide


@functools.cache
def exact_fall() -> float:
    """The same by Keras' Adam in float64."""
    with floatx("float64"):
        return fall(keras.optimizers.Adam(), "float64", False)[0]


def fall_error(rounding: str | None, compiled: bool) -> Found:
    """The share of float64's fall that is missed; None is Keras' own Adam."""
    with floatx("float16"):
        optimizer = (
            optimizers.Adam(rounding=rounding) if rounding else keras.optimizers.Adam()
        )
        found, wide_found = fall(optimizer, "float16", compiled)
    return Found(worst([max(0.0, 1 - found / exact_fall())]), wide_found)


# The stall to nearest is shown and not bounded: nothing can be missed twice.
FALLS = (
    ("kahan", "kahan", 0.01),
    ("stochastic", "stochastic", 0.01),
    ("nearest", "nearest (stalls)", 1.0),
)
ROWS = (
    *(
        Row(
            f"{name}, 1 step",
            "gradients of 1e-6, 1e-2, 3e3",
            "share of the step, the worst weight",
            ONE_STEP,
            functools.partial(all_steps, name, True),
            functools.partial(all_steps, name, False),
            "test_optimizers_16.py",
        )
        for name in NAMES
    ),
    *(
        Row(
            f"{name}, 50 steps at {size:g}",
            f"gradients of {size:g}",
            "share of the way, mean",
            bound,
            functools.partial(steps_error, name, STEPS, size, True),
            functools.partial(steps_error, name, STEPS, size, False),
            "test_optimizers_16.py",
        )
        for name in NAMES
        for size, bound in SIZES.items()
    ),
    *(
        Row(
            f"loss after 1,000 steps, {name}",
            "Adam, logistic regression, rate 1e-4 to 0 by a cosine",
            "share of float64's fall that is missed",
            bound,
            functools.partial(fall_error, rounding),
            functools.partial(fall_error, None),
            "test_optimizer_rounding.py",
        )
        for rounding, name, bound in FALLS
    ),
)
