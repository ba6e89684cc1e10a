"""What becomes of a model of keras.applications in 16 bits: one row of a table."""

from __future__ import annotations

import dataclasses
import pathlib
import tempfile
import time
import warnings
from typing import Any

import keras
import numpy as np

from keras16 import applications, backend
from keras16.audit import audit
from keras16.convert import convert
from keras16.tolerance import formats, nets, simulation

CLASSES = 10
MOST_EXAMPLES = 2048
FEW = 256  # images that are passed operation by operation
# Single values of attributes with which a training pass has no chance in it.
NO_CHANCE = ("rate", "drop_path_rate")


@dataclasses.dataclass(frozen=True)
class Row:
    """What was found of one model.

    Attributes:
        name: Of keras.applications.
        side: Of the square input images, in pixels.
        parameters: How many weights the float32 original has.
        error: Mean absolute difference of the logits, as a share of their spread
            over inputs (the mean over classes of the standard deviation). The
            original's batch-norm statistics are set by one pass, then it is converted.
        weights_error: The same of a float32 model with the twin's weights: what
            rounding them alone does to this net, whoever computes with them.
        layers_error: The same where, besides, what each layer gives is rounded once
            to 16 bits: what no net that keeps 16 bits can avoid. Measured only where
            the error is above the bound.
        own_error: The same where the twin's statistics come of such a pass of its own.
        tensors: Floating tensors in the compiled training step.
        wide: Those of them wider than 16 bits.
        reloads: Whether the saved twin gave the same predictions.
        examples: Images that these errors were measured with.
        seconds: That it all took.
        problem: Why it could not be done, or "".
    """

    name: str
    side: int = 0
    parameters: int = 0
    error: float = float("nan")
    weights_error: float = float("nan")
    layers_error: float = float("nan")
    own_error: float = float("nan")
    examples: int = 0
    tensors: int = 0
    wide: int = 0
    reloads: bool = False
    seconds: float = 0.0
    problem: str = ""

    def passes(self, bound: float) -> bool:
        """Whether it is all as it should be, the error within a bound."""
        right = self.reloads and not self.wide and not self.problem
        return right and self.error <= bound


def row(
    name: str,
    *,
    examples: int = 128,
    most: int = MOST_EXAMPLES,
    bound: float = 0.1,
    audited: bool = True,
    reloaded: bool = True,
) -> Row:
    """Converts a model, compares it, audits its step, saves and loads it.

    Deep random nets hang on their batch-norm statistics so much that those of a few
    images are not enough to compare by: where the error is above the bound, it is
    measured anew with four times as many.

    Args:
        name: Of keras.applications.
        examples: In the pass that sets the batch-norm statistics, and again in the
            comparison.
        most: At most so many.
        bound: Of the error.
        audited: Whether to trace the training step.
        reloaded: Whether to save and load the twin.
    """
    start = time.perf_counter()
    keras.utils.set_random_seed(0)
    side = applications.smallest(name)
    model = applications.made(name, (side, side, 3), CLASSES)
    found: dict[str, Any] = {"side": side, "parameters": model.count_params()}
    while True:
        draws = np.random.default_rng(0)
        first, second = (_images(draws, examples, side, model) for _ in range(2))
        _set_statistics(model, first)
        # The audit below sees the forward and backward pass as well.
        twin = convert(model, "16", check=False)
        exact, ours = nets.outputs(model, second), nets.outputs(twin, second)
        error = _relative(exact, ours)
        if error <= bound or examples * 4 > most:
            break
        examples *= 4
    found |= {"error": error, "examples": examples}
    rounded = convert(twin, "32")
    found["weights_error"] = _relative(exact, nets.outputs(rounded, second))
    if error > bound:
        narrow = simulation.simulated(rounded, formats.get("float16"))
        found["layers_error"] = _relative(exact, nets.outputs(narrow, second))
    if reloaded:
        found["reloads"] = bool(np.array_equal(_reloaded(twin, second), ours))
    _set_statistics(twin, first)
    found["own_error"] = _relative(exact, nets.outputs(twin, second))
    if audited:
        report = _audited(twin, first)
        found |= {"tensors": report.tensors, "wide": report.wide_tensors}
    return Row(name, **found, seconds=time.perf_counter() - start)


def _set_statistics(model: keras.Model, images: np.ndarray) -> None:
    """One pass without dropout, after which the statistics are those of the images."""
    kept = []
    for layer in model.layers:
        for attribute in (*NO_CHANCE, "momentum"):
            if hasattr(layer, attribute):
                kept.append((layer, attribute, getattr(layer, attribute)))
                setattr(layer, attribute, 0.0)
    _pass(model, images)
    for layer, attribute, value in kept:
        setattr(layer, attribute, value)


def _pass(model: keras.Model, images: np.ndarray) -> None:
    """A training pass; many images as a graph, which lets go of what it has used.

    What the layers of a ResNet152 put out for 2,048 images holds more than 20 GB. For
    few of them tracing would take longer than it all.
    """

    def run() -> None:
        model(images, training=True)

    many = len(images) > FEW
    (backend.module().traced_once(run) if many else run)()


def _images(
    draws: np.random.Generator, examples: int, side: int, model: keras.Model
) -> np.ndarray:
    """Random images, as pixels where the model rescales them.

    As in photographs, most of what tells one from another is its colour, then what
    is coarse, then what is fine. With noise alone, random nets tell them apart by
    next to nothing: rounding the weights of a float32 ResNet152 to 16 bits, and
    computing in float32, moves its logits by 9 % of their spread.
    """
    colour = draws.normal(size=(examples, 1, 1, 3))
    coarse = draws.normal(size=(examples, 4, 4, 3))
    places = np.arange(side) * 4 // side
    x = 2 * colour + 0.5 * coarse[:, places][:, :, places]
    x = x + 0.3 * draws.normal(size=(examples, side, side, 3))
    if any(isinstance(one, keras.layers.Rescaling) for one in model.layers[:3]):
        x = np.clip(128 + 30 * x, 0, 255)
    return x.astype("float16").astype("float32")


def _relative(exact: np.ndarray, ours: np.ndarray) -> float:
    spread = float(np.mean(np.std(exact, axis=0)))
    return float(np.mean(np.abs(ours - exact))) / spread


def _audited(twin: keras.Model, x: np.ndarray) -> Any:
    with warnings.catch_warnings():
        # Some layers can't be compiled; Keras then says so and does without.
        warnings.filterwarnings("ignore", "Model doesn't support `jit_compile")
        twin.compile(
            "adam",
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
    # A model that lacks its slots or metrics would be traced twice.
    twin.optimizer.build(twin.trainable_variables)
    labels = np.arange(len(x)) % CLASSES
    twin.compute_metrics(None, labels[:1], twin(x[:1], training=False))
    return audit(twin, x, labels)


def _reloaded(twin: keras.Model, x: np.ndarray) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "twin.keras"
        twin.save(path)
        return nets.outputs(keras.models.load_model(path), x)
