"""From a run and its data to a compiled model: the one place that joins the parts."""

from __future__ import annotations

import dataclasses
import inspect
import pathlib
import warnings
import zipfile
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras16 import backend, catalog, user_code
from keras16.errors import UserError
from keras16.study import Run

if TYPE_CHECKING:
    import keras

    from keras16.data import Dataset
    from keras16.objective import Objective


class Net(NamedTuple):
    """A compiled model, and what it was compiled with.

    Attributes:
        model: From raw inputs to logits, or to what its own loss takes; its optimizer
            built.
        loss: A Keras metric: the mean over the epoch.
        rate: The learning rate, or its schedule.
        accuracy: A Keras metric; None of a loss of one's own.
        metric: One's own; None without one.
    """

    model: keras.Model
    loss: Any
    rate: Any
    accuracy: Any = None
    metric: Any = None

    def rate_at(self, step: int) -> float:
        """The learning rate at a step, counted from 0, in float64."""
        return self.rate if isinstance(self.rate, float) else self.rate.rate(step)


def assemble(
    run: Run,
    objective: Objective,
    dataset: Dataset,
    training_rows: np.ndarray,
    steps: int,
) -> Net:
    """Builds and compiles the model of a run, from raw inputs to what its loss takes.

    Args:
        run: Names the model, the optimizer and the schedule.
        objective: Gives the loss and the metrics.
        dataset: Gives shapes, classes and the pixels' statistics.
        training_rows: The examples that the pixels' statistics are taken over.
        steps: Of the whole run, for the schedule.

    Returns:
        The compiled model, its optimizer built, and what it was compiled with.

    Raises:
        UserError: A part doesn't exist, or doesn't fit the others.
    """
    import keras

    from keras16 import parts, precision
    from keras16.compilation import compiles

    row = precision.use(run.precision)
    rate, optimizer = _optimizer(run, steps)
    loss, metrics = objective.compiled()
    keras.utils.set_random_seed(run.seed)
    inner = core(run.model, dataset, run.batch_norm, logits=objective.logits)
    model = _from_raw_inputs(inner, dataset, training_rows)
    with warnings.catch_warnings():
        # Some layers can't be compiled; Keras then says so and does without.
        warnings.filterwarnings("ignore", "Model doesn't support `jit_compile")
        model.compile(
            optimizer=optimizer,
            loss=loss,
            metrics=list(metrics.values()),
            jit_compile=compiles(model, row.policy, loss),
        )
    model.optimizer.build(model.trainable_variables)
    _build_metrics(model, dataset, run)
    besides = parts.wide_on_purpose(model) if run.batch_norm == "stock" else ()
    precision.assert_dtypes(model, row, besides)
    return Net(model, **{"loss": _loss_tracker(model), **metrics}, rate=rate)


def _loss_tracker(model: keras.Model) -> Any:
    """Keras' own mean of a compiled model's loss."""
    return next(metric for metric in model.metrics if metric.name == "loss")


def _build_metrics(model: keras.Model, dataset: Dataset, run: Run) -> None:
    """Gives Keras its compiled metrics now; else an audit has to trace twice."""
    import keras

    label = dataset.y_train[:1]
    outputs = np.zeros((1, *(size or 1 for size in model.output_shape[1:])), "float32")
    try:
        outputs = keras.ops.cast(outputs, model.compute_dtype)
        found = backend.module().rehearsed(
            lambda y, y_pred: model.compute_metrics(None, y, y_pred), label, outputs
        )
    except UserError:
        raise
    except Exception as error:  # of any kind: a metric is anyone's code
        raise UserError(
            f"metric {run.metric} can't judge outputs of shape "
            f"{model.output_shape[1:]} by targets of shape {label.shape[1:]}: "
            f"{user_code.reason(error)}"
        ) from error
    model.reset_metrics()
    if any(len(value.shape) for value in found.values()):
        raise UserError(
            f"metric {run.metric} gives several numbers: give one that gives a single "
            'one (average="macro", say).'
        )


def core(
    name: str, dataset: Dataset, batch_norm: str | None = None, logits: bool = True
) -> keras.Model:
    """The network alone, in the precision in use: numbers in, logits out.

    Args:
        name: A catalogue name, `applications.NAME`, `FILE.py:function` or
            `FILE.keras`.
        dataset: The inputs' shape and the number of classes that it must fit.
        batch_norm: As in `Run`.
        logits: Whether a softmax at its end is taken off, and there must be a logit
            for each class; else the net stays as it is.

    Raises:
        UserError: There is no such model, or it doesn't fit the data.
    """
    from keras16 import applications, parts, precision
    from keras16.convert import adapted, has_counterparts

    row = precision.in_use()
    assert row is not None, "assemble() switches the precision first"
    path = name.partition(":")[0]
    layers = batch_norm or row.parts
    if name.startswith(applications.PREFIX):
        short = name.removeprefix(applications.PREFIX)
        model = applications.build(short, dataset.input_shape, dataset.classes)
        return parts.with_layers(adapted(model, row, logits), layers)
    if path.endswith(".py"):
        model = _called(name, dataset)
    elif path.endswith(".keras"):
        model = loaded(path)
    else:
        model = catalog.load("models", name)(dataset.input_shape, dataset.classes)
        if has_counterparts(model):
            model = adapted(model, row, logits)
        return parts.with_layers(model, layers)
    model = _as_graph(model, name, dataset)
    _check_fit(model, name, dataset, logits)
    _check_saves(model, name)
    precision.use(row.name)  # should the user's code have set a policy of its own
    return parts.with_layers(adapted(model, row, logits), layers)


def _called(spec: str, dataset: Dataset) -> keras.Model:
    """Calls a user's `function(input_shape, classes)`, or `function()`."""
    import keras

    function = user_code.load_function(spec)
    given = (dataset.input_shape, dataset.classes)[: _positional(function)]
    model = user_code.call(function, *given, spec=spec)
    if not isinstance(model, keras.Model):
        raise UserError(
            f"{spec} returned {type(model).__name__}: it must return a keras.Model."
        )
    return model


def _positional(function: Any) -> int:
    """How many arguments a function takes by position, 2 where it doesn't say."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return 2
    kinds = [parameter.kind for parameter in parameters]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return 2
    return sum(
        kind
        in (
            inspect.Parameter.POSITIONAL_ONLY,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
        )
        for kind in kinds
    )


def _as_graph(model: keras.Model, name: str, dataset: Dataset) -> keras.Model:
    """The model with known inputs and outputs, whatever way it was written.

    A Sequential without an Input is built; a subclassed model is called once and
    stays one layer, whose inner layers are as its author made them.
    """
    import keras

    from keras16.convert import is_graph

    if is_graph(model) and model.built:
        return model
    inputs = keras.Input(dataset.input_shape)
    call = (
        (lambda: keras.Model(inputs, model(inputs), name=model.name))
        if not is_graph(model)
        else (lambda: model.build((None, *dataset.input_shape)) or model)
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what follows from the error we tell
            return user_code.call(call, spec=name) if ".py" in name else call()
    except UserError:
        raise
    except Exception as error:  # of any kind: a model is anyone's code
        raise UserError(
            f"{name} can't take inputs of shape {dataset.input_shape}: "
            f"{user_code.reason(error)}"
        ) from error


def loaded(path: str) -> keras.Model:
    """A saved model, without the optimizer and loss that it may have been saved with.

    Raises:
        UserError: There is no such file, or it is no model.
    """
    if not pathlib.Path(path).is_file():
        raise UserError(f"no file {path}: give the path of a saved .keras model.")
    if not zipfile.is_zipfile(path):  # Keras would say that there is no such file
        raise UserError(
            f"{path} is damaged or no .keras file: save it again with model.save, or "
            "give FILE.py:function."
        )
    import keras

    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # whatever is wrong inside the file
        raise UserError(
            f"{path} can't be loaded ({user_code.reason(error)}): save it again with "
            "model.save, or give FILE.py:function."
        ) from error


def _check_fit(model: keras.Model, name: str, dataset: Dataset, logits: bool) -> None:
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UserError(
            f"{name} has {len(model.inputs)} inputs and {len(model.outputs)} outputs: "
            "keras16 trains nets of one input and one output."
        )
    wanted, output = (tuple(t.shape[1:]) for t in (model.inputs[0], model.outputs[0]))
    fits = len(wanted) == len(dataset.input_shape) and all(
        a in (None, b) for a, b in zip(wanted, dataset.input_shape, strict=True)
    )
    if not fits:
        raise UserError(
            f"{name} takes inputs of shape {wanted}, but {dataset.name} has "
            f"{dataset.input_shape}: change one of them."
        )
    if not logits:
        return  # what the loss takes, the first step will tell
    if len(output) != 1 or output[0] is None or output[0] < dataset.classes:
        raise UserError(
            f"{name} returns shape {output}, but {dataset.name} has {dataset.classes} "
            "classes: its last layer must give one logit a class."
        )


def _check_saves(model: keras.Model, name: str) -> None:
    """Refuses before the training what could not be saved after it."""
    import keras

    try:
        keras.saving.serialize_keras_object(model)
    except NotImplementedError as error:
        raise UserError(
            f"{name} can't be saved: give every class of its own a get_config() with "
            "the arguments of its __init__."
        ) from error
    except Exception as error:  # of any kind: a layer is anyone's code
        raise UserError(f"{name} can't be saved: {user_code.reason(error)}.") from error


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
    from keras16.optimizers import _settings

    defaults = _optimizer_part(run).DEFAULTS
    settings = _settings.filled(defaults, run.fields())
    decay = _settings.weight_decay(defaults, run.fields()) or 0.0
    return dataclasses.replace(run, **{**settings, "weight_decay": decay})


def _optimizer(run: Run, steps: int) -> tuple[Any, Any]:
    """The learning rate or its schedule, and the optimizer that uses it."""
    schedule = catalog.load("schedules", run.schedule)
    rates: list[Any] = []

    def scheduled(initial: float) -> Any:
        _check_rate(initial, run.precision)
        rates.append(schedule(initial, steps))
        return rates[0]

    optimizer = _optimizer_part(run).build(
        scheduled,
        learning_rate=run.learning_rate,
        momentum=run.momentum,
        nesterov=run.nesterov,
        epsilon=run.epsilon,
        weight_decay=run.weight_decay,
        rounding=run.rounding,
        seed=run.seed,
    )
    return rates[0], optimizer


def _optimizer_part(run: Run) -> Any:
    """What has the `DEFAULTS` and the `build` of a run's optimizer."""
    from keras16 import parts, precision

    return parts.optimizer(run.optimizer, precision.get(run.precision).parts)


def _check_rate(rate: float, name: str) -> None:
    """Refuses a learning rate that the dtype of the step turns into 0 or infinity."""
    from keras16 import precision
    from keras16.numerics import bits

    row = precision.get(name)
    if row.parts == "keras16" and row.pure:
        return  # those optimizers carry the rate in an integer
    floatx = row.floatx
    with np.errstate(over="ignore"):
        rounded = float(bits.host_cast(rate, floatx))
    if rate and (rounded == 0 or not np.isfinite(rounded)):
        raise UserError(
            f"learning rate {rate:g} is {rounded:g} in {floatx}: choose another, or "
            "--precision bf16."
        )
