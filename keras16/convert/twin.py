"""What a conversion to 16 bits gives: Keras' models, compiled of keras16's parts."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable
from typing import Any

import keras

from keras16 import backend, losses, metrics, optimizers
from keras16.backend import own_floats, wrapped
from keras16.compilation import compiles
from keras16.convert import _check, _class_ids
from keras16.convert._callbacks import outside
from keras16.convert._report import Conversion
from keras16.losses.function import OfFunction
from keras16.precision import Precision


class SixteenBit:
    """A mixin before a Keras model whose layers are 16-bit.

    Its `compile` makes keras16's parts of whatever Keras' takes. While its methods
    run, Keras' floatx is the model's; the callbacks of a `fit` see that of the
    program.

    Attributes:
        conversion: What was converted; None of a model that was loaded.
    """

    conversion: Conversion | None = None

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Keras' `compile`, with keras16's optimizer, losses and metrics.

        Args: as `keras.Model.compile`. Names, functions and objects of Keras' become
            keras16's of the same settings. `jit_compile="auto"` compiles where that
            is faster in 16 bits; `auto_scale_loss` has nothing to scale.

        A loss or metric of your own that computes in wider floats is warned of.

        Raises:
            UserError: An optimizer, loss or metric has no 16-bit equal.
        """
        with self.own_floats():
            loss = _mapped(loss, self._loss)
            if jit_compile == "auto":
                jit_compile = not run_eagerly and compiles(self, _floatx(self), loss)
            super().compile(  # type: ignore[misc]
                optimizer=None if optimizer is None else optimizers.get(optimizer),
                loss=loss,
                loss_weights=loss_weights,
                metrics=_mapped(metrics, self._metric),
                weighted_metrics=_mapped(weighted_metrics, self._metric),
                run_eagerly=run_eagerly,
                steps_per_execution=steps_per_execution,
                jit_compile=bool(jit_compile),
                auto_scale_loss=False,
            )

    def call(
        self, inputs: Any, training: Any = None, mask: Any = None, **kwargs: Any
    ) -> Any:
        """Keras' own."""
        with self.own_floats():
            return super().call(inputs, training=training, mask=mask, **kwargs)  # type: ignore[misc]

    def make_train_function(self, force: bool = False) -> Any:
        """Keras' own; on CPUs each update is compiled once for all of its shape."""
        step = getattr(self.train_step, "__func__", None)  # type: ignore[attr-defined]
        if step is not SixteenBit.train_step:  # type: ignore[attr-defined]
            return super().make_train_function(force)  # type: ignore[misc]
        with backend.module().in_parts(self):
            return super().make_train_function(force)  # type: ignore[misc]

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a loaded model as it was saved."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:  # type: ignore[attr-defined]
            self.optimizer.build(self.trainable_variables)  # type: ignore[attr-defined]

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The model of a config; what its layers make for themselves is 16-bit too."""
        with own_floats.used(_floatx_of(config)):
            return super().from_config(config, custom_objects)  # type: ignore[misc]

    def own_floats(self) -> contextlib.AbstractContextManager[None]:
        """A block in which Keras' floatx and dtype policy are the model's."""
        return own_floats.used(_floatx(self), mean=metrics.Mean)

    def _loss(self, identifier: Any) -> Any:
        loss = losses.get(identifier, dtype=_floatx(self))
        if isinstance(loss, OfFunction):
            _check.warn_of_wide(self, loss.name, loss.call)
        return loss

    def _metric(self, identifier: Any) -> Any:
        metric = metrics.get(identifier, dtype=_floatx(self))
        if type(metric) is metrics.MeanMetricWrapper:
            function = functools.partial(
                wrapped.function_of(metric), **wrapped.arguments_of(metric)
            )
            _check.warn_of_wide(self, metric.name, function)
        return metric


def _in_own_floats(name: str) -> Callable[..., Any]:
    """A method of Keras' model of that name, run in the model's floats."""
    keras_method = getattr(keras.Model, name)
    has_callbacks = "callbacks" in inspect.signature(keras_method).parameters

    @functools.wraps(keras_method)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = getattr(super(SixteenBit, self), name)
        bound = inspect.signature(found).bind(*args, **kwargs)
        _class_ids.as_integers(self, bound)
        if has_callbacks:
            bound.arguments["callbacks"] = outside(bound.arguments.get("callbacks"))
        args, kwargs = bound.args, bound.kwargs
        if name.endswith("_on_batch"):
            args, kwargs = _narrow((args, kwargs), _floatx(self))
        with self.own_floats():
            return found(*args, **kwargs)

    return method


for _name in (
    "compute_loss",
    "compute_metrics",
    "evaluate",
    "export",
    "fit",
    "predict",
    "predict_on_batch",
    "predict_step",
    "test_on_batch",
    "test_step",
    "train_on_batch",
    "train_step",
):
    setattr(SixteenBit, _name, _in_own_floats(_name))


@keras.saving.register_keras_serializable(package="keras16")
class Twin(SixteenBit, keras.Model):
    """A functional model in 16 bits."""


@keras.saving.register_keras_serializable(package="keras16")
class TwinSequential(SixteenBit, keras.Sequential):
    """A Sequential model in 16 bits."""


def as_twin(model: Any, row: Precision) -> Any:
    """A copied model as one of the classes above, or as Keras' own.

    Args:
        model: All of its layers in the precision.
        row: The precision.
    """
    if isinstance(model, keras.Sequential):
        # Made anew, each layer would be called a second time.
        model.__class__ = TwinSequential if row.pure else keras.Sequential
        return model
    cls = Twin if row.pure else keras.Model
    return cls(model.input, model.output, name=model.name, trainable=model.trainable)


def _floatx(model: Any) -> str:
    """The 16-bit dtype of a model's layers."""
    kinds = (layer.compute_dtype for layer in model.layers)
    return next((kind for kind in kinds if kind == "bfloat16"), "float16")


def _floatx_of(config: Any) -> str:
    """The same of a model's config."""
    return "bfloat16" if "'bfloat16'" in repr(config) else "float16"


def _mapped(structure: Any, get: Callable[[Any], Any]) -> Any:
    """What `compile` takes for all outputs, each leaf looked up."""
    if isinstance(structure, dict) and "class_name" not in structure:
        return {key: _mapped(part, get) for key, part in structure.items()}
    if isinstance(structure, list | tuple):
        return type(structure)([_mapped(part, get) for part in structure])
    return None if structure is None else get(structure)


def _narrow(structure: Any, dtype: str) -> Any:
    """The arrays of a structure, wider floats among them cast."""

    def cast(leaf: Any) -> Any:
        kind = getattr(leaf, "dtype", None)
        if kind is None or not getattr(leaf, "shape", ()):
            return leaf
        name = keras.backend.standardize_dtype(kind)
        return keras.ops.cast(leaf, dtype) if name in ("float32", "float64") else leaf

    return keras.tree.map_structure(cast, structure)
