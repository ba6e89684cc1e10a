"""From a run and its data to a compiled model: the one place that joins the parts."""

from __future__ import annotations

import dataclasses
import inspect
import pathlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras16 import catalog, user_code
from keras16.errors import UserError
from keras16.study import Run

if TYPE_CHECKING:
    import keras

    from keras16.data import Dataset


class Net(NamedTuple):
    """A compiled model, and what it was compiled with.

    Attributes:
        model: From raw inputs to logits, its optimizer built.
        metrics: Its accuracy and its mean cross-entropy over the epoch.
        rate: The learning rate, or its schedule.
    """

    model: keras.Model
    metrics: tuple[Any, Any]
    rate: Any

    def rate_at(self, step: int) -> float:
        """The learning rate at a step, counted from 0, in float64."""
        return self.rate if isinstance(self.rate, float) else self.rate.rate(step)


def assemble(
    run: Run, dataset: Dataset, training_rows: np.ndarray, steps: int, compiled: bool
) -> Net:
    """Builds and compiles the model of a run, from raw inputs to logits.

    Args:
        run: Names the model, the optimizer and the schedule.
        dataset: Gives shapes, classes and the pixels' statistics.
        training_rows: The examples that the pixels' statistics are taken over.
        steps: Of the whole run, for the schedule.
        compiled: Whether XLA compiles the step.

    Returns:
        The compiled model, its optimizer built, and what it was compiled with.

    Raises:
        UserError: A part doesn't exist, or doesn't fit the others.
    """
    import keras

    from keras16 import metrics, precision
    from keras16.losses import SparseCategoricalCrossentropy

    row = precision.use(run.precision)
    rate, optimizer = _optimizer(run, steps)
    accuracy = metrics.SparseCategoricalAccuracy(name="accuracy")
    cross_entropy = metrics.SparseCategoricalCrossentropy(
        name="cross_entropy", from_logits=True
    )
    keras.utils.set_random_seed(run.seed)
    model = _from_raw_inputs(core(run.model, dataset), dataset, training_rows)
    model.compile(
        optimizer=optimizer,
        loss=SparseCategoricalCrossentropy(from_logits=True),
        metrics=[accuracy, cross_entropy],
        jit_compile=compiled,
    )
    model.optimizer.build(model.trainable_variables)
    precision.assert_dtypes(model, row)
    return Net(model, (accuracy, cross_entropy), rate)


def core(name: str, dataset: Dataset) -> keras.Model:
    """The network alone, in the precision in use: numbers in, logits out.

    Args:
        name: A catalogue name, `FILE.py:function` or `FILE.keras`.
        dataset: The inputs' shape and the number of classes that it must fit.

    Raises:
        UserError: There is no such model, or it doesn't fit the data.
    """
    from keras16 import convert, precision

    path = name.partition(":")[0]
    if path.endswith(".py"):
        model = _called(name, dataset)
    elif path.endswith(".keras"):
        model = _loaded(path)
    else:
        build = catalog.load("models", name)
        return build(dataset.input_shape, dataset.classes)
    row = precision.in_use()
    assert row is not None, "assemble() switches the precision first"
    model = convert.adapted(model, row)
    _check_fit(model, name, dataset)
    return model


def _called(spec: str, dataset: Dataset) -> keras.Model:
    """Calls a user's `function(input_shape, classes)`, or `function()`."""
    import keras

    function = user_code.load_function(spec)
    wanted = len(inspect.signature(function).parameters)
    given = (dataset.input_shape, dataset.classes)[: min(wanted, 2)]
    model = user_code.call(function, *given, spec=spec)
    if not isinstance(model, keras.Model):
        raise UserError(
            f"{spec} returned {type(model).__name__}: it must return a keras.Model."
        )
    if not model.built:
        model.build((None, *dataset.input_shape))
    return model


def _loaded(path: str) -> keras.Model:
    import keras

    if not pathlib.Path(path).is_file():
        raise UserError(f"no file {path}: give the path of a saved .keras model.")
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # whatever is wrong inside the file
        raise UserError(
            f"{path} can't be loaded ({user_code.reason(error)}): save it again with "
            "model.save, or give FILE.py:function."
        ) from error


def _check_fit(model: keras.Model, name: str, dataset: Dataset) -> None:
    wanted, output = tuple(model.input_shape[1:]), tuple(model.output_shape[1:])
    fits = len(wanted) == len(dataset.input_shape) and all(
        a in (None, b) for a, b in zip(wanted, dataset.input_shape, strict=True)
    )
    if not fits:
        raise UserError(
            f"{name} takes inputs of shape {wanted}, but {dataset.name} has "
            f"{dataset.input_shape}: change one of them."
        )
    if len(output) != 1 or output[0] is None or output[0] < dataset.classes:
        raise UserError(
            f"{name} returns shape {output}, but {dataset.name} has {dataset.classes} "
            "classes: its last layer must give one logit a class."
        )


def _from_raw_inputs(
    model: keras.Model, dataset: Dataset, training_rows: np.ndarray
) -> keras.Model:
    """Puts the standardization of pixels before a model that wants numbers.

    Pixels travel as uint8. A model whose own input is an integer gets them raw.
    """
    import keras

    from keras16.data import standardization
    from keras16.layers.rescaling import Rescaling

    declared = keras.backend.standardize_dtype(model.inputs[0].dtype)
    if not dataset.is_pixels or "int" in declared:
        return model
    mean, deviation = standardization(dataset, training_rows)
    inputs = keras.Input(dataset.input_shape, dtype="uint8", name="pixels")
    standardize = Rescaling(
        scale=[float(1 / d) for d in deviation],
        offset=[float(-m / d) for m, d in zip(mean, deviation, strict=True)],
        name="standardize",
    )
    outputs = model(standardize(inputs))
    return keras.Model(inputs, outputs, name=f"{model.name}_from_pixels")


def filled(run: Run) -> Run:
    """The run with the optimizer's defaults in place of None."""
    defaults = catalog.part("optimizers", run.optimizer).DEFAULTS
    missing = {
        name: value for name, value in defaults.items() if getattr(run, name) is None
    }
    return dataclasses.replace(run, **missing)


def _optimizer(run: Run, steps: int) -> tuple[Any, Any]:
    """The learning rate or its schedule, and the optimizer that uses it."""
    schedule = catalog.load("schedules", run.schedule)
    rates: list[Any] = []

    def scheduled(initial: float) -> Any:
        rates.append(schedule(initial, steps))
        return rates[0]

    optimizer = catalog.load("optimizers", run.optimizer)(
        scheduled,
        learning_rate=run.learning_rate,
        momentum=run.momentum,
        nesterov=run.nesterov,
        epsilon=run.epsilon,
        weight_decay=run.weight_decay,
    )
    return rates[0], optimizer
