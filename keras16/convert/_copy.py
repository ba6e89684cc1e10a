"""A Sequential or functional model copied layer by layer."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import keras

from keras16.backend import layer as private
from keras16.backend import own_floats
from keras16.convert import _translation
from keras16.convert._report import Conversion, Replacement
from keras16.errors import UserError
from keras16.layers import _refused
from keras16.precision import Precision

PROBABILITIES = ("softmax", "sigmoid")


def is_graph(model: Any) -> bool:
    """Whether a model is Sequential or functional: its layers are known."""
    return isinstance(model, keras.Sequential) or hasattr(model, "operations")


class Copy:
    """One copy in the making.

    A layer that is used several times, in whichever of the nested models, is
    copied once.

    Args:
        model: What to copy; its weights are left to `pairs`.
        row: The precision of the copy.
        report: Is told of each layer.
        logits: Whether a softmax or sigmoid at the end is left out.
        keep: Whether subclassed models inside stay as they are, for an audit to tell
            of; else they are refused.

    Attributes:
        at: The name of the layer in hand, for an error's text.
    """

    def __init__(
        self,
        model: Any,
        row: Precision,
        report: Conversion,
        logits: bool = False,
        keep: bool = False,
    ) -> None:
        self.model, self.row, self.report = model, row, report
        self.logits, self.keep = logits, keep
        self.last = _last(model) if logits else None
        self.at = ""
        self._copies: dict[int, tuple[Any, Any]] = {}

    def make(self) -> Any:
        """The copy, with initial weights."""
        # Layers that a user's own layer makes take the dtype policy in use.
        with own_floats.used(self.row.policy, floatx=self.row.floatx):
            twin = self._model(self.model, "")
        _keep_trainable(self.model, twin)
        return twin

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        """(layer, its copy) of every layer with variables."""
        for old, new in self._copies.values():
            if old is not new and not is_graph(old) and _has_variables(old):
                yield old, new

    def _model(self, model: Any, path: str) -> Any:
        def copy(layer: Any) -> Any:
            if id(layer) not in self._copies:
                self._copies[id(layer)] = layer, self._operation(layer, path)
            return self._copies[id(layer)][1]

        if self.logits:
            model = _without_probabilities(model, self.last)
        inputs = keras.tree.map_structure(self._input, private.inputs(model))
        graph = not isinstance(model, keras.Sequential)
        with _uncompiled(model):
            return keras.models.clone_model(
                model,
                input_tensors=inputs,
                clone_function=copy,
                call_function=_called if graph else None,
            )

    def _input(self, tensor: Any) -> Any:
        floating = "float" in tensor.dtype
        layer = private.input_layer(tensor)
        return keras.Input(
            batch_shape=tensor.shape,
            dtype=self.row.floatx if floating else tensor.dtype,
            sparse=tensor.sparse,
            name=layer.name,
            optional=getattr(layer, "optional", False),
        )

    def _operation(self, operation: Any, path: str) -> Any:
        self.at = f"{path}{operation.name}"
        if is_graph(operation):
            return self._model(operation, f"{self.at}/")
        if isinstance(operation, keras.Model):
            return self._subclassed(operation)
        cls = _translation.counterpart(type(operation), self.row)
        if self.row.pure:
            _refuse(operation, self.at)
        if isinstance(operation, keras.layers.Layer):
            self._tell(operation, cls)
        return self._made(operation, cls)

    def _made(self, operation: Any, cls: Any) -> Any:
        config = operation.get_config()
        if operation is self.last and config.get("activation") in PROBABILITIES:
            config["activation"] = "linear"
        config = _translation.translated(config, self.row)
        if not isinstance(operation, keras.layers.Lambda):
            return cls.from_config(config)
        # Its function is here already: none is loaded from anywhere.
        made = cls.from_config(config, safe_mode=False)
        made.function = operation.function
        return made

    def _subclassed(self, model: Any) -> Any:
        if self.keep or not self.row.pure:
            return model
        raise UserError(
            f"model {model.name!r} inside {self.model.name!r} is subclassed: convert "
            "it by itself and call the twin in its place."
        )

    def _tell(self, layer: Any, cls: type) -> None:
        self._tell_one(self.at, type(layer), cls)
        for inner in private.inner(layer):
            new = _translation.counterpart(type(inner), self.row)
            if new is not type(inner):
                self._tell_one(f"{self.at}/{inner.name}", type(inner), new)

    def _tell_one(self, name: str, before: type, after: type) -> None:
        if before is after:
            self.report.kept.append(name)
            return
        one = Replacement(name, _public_name(before), _public_name(after))
        self.report.replaced.append(one)


def _called(operation: Any, *args: Any, **kwargs: Any) -> Any:
    """Calls a layer, without empty arguments that its own class doesn't have.

    Some of keras16's layers take a mask where Keras' take none.
    """
    known = inspect.signature(operation.call).parameters
    given = {k: v for k, v in kwargs.items() if v is not None or k in known}
    return operation(*args, **given)


def _refuse(operation: Any, name: str) -> None:
    cls = type(operation)
    reason = _refused.REFUSED.get(cls.__name__)
    if reason is None or getattr(keras.layers, cls.__name__, None) is not cls:
        return
    if cls is keras.layers.InputLayer or _gives_integers(operation):
        return
    raise UserError(
        f"layer {name!r} ({cls.__name__}) can't be made pure 16-bit: {reason}."
    )


def _gives_integers(layer: Any) -> bool:
    return layer.get_config().get("output_mode") == "int"


def _public_name(cls: type) -> str:
    folder = cls.__module__.split(".")
    if cls.__module__.startswith("keras."):
        return f"keras.layers.{cls.__name__}"
    return f"{'.'.join(folder[:2])}.{cls.__name__}"


@contextlib.contextmanager
def _uncompiled(model: Any) -> Iterator[None]:
    """Keeps Keras from compiling the copy with the parts of the original."""
    compiled, model.compiled = model.compiled, False
    try:
        yield
    finally:
        model.compiled = compiled


def _keep_trainable(model: Any, twin: Any) -> None:
    """From the top down: a model hands its own flag on to its layers."""
    if twin is model:
        return
    if twin.trainable != model.trainable:
        twin.trainable = model.trainable
    inside = zip(_layers(model), _layers(twin), strict=False)
    for old, new in inside:
        if is_graph(old):
            _keep_trainable(old, new)
        elif new.trainable != old.trainable:
            new.trainable = old.trainable


def _layers(model: Any) -> list[Any]:
    return [one for one in model.layers if type(one) is not keras.layers.InputLayer]


def _has_variables(operation: Any) -> bool:
    is_layer = isinstance(operation, keras.layers.Layer)
    has_table = hasattr(operation, "get_vocabulary")
    return is_layer and (bool(operation.variables) or has_table)


def _without_probabilities(model: Any, last: Any) -> Any:
    """The model up to its softmax, where that is a layer or an operation at its end."""
    is_end = _operations(model)[-1] is last
    if not is_end or type(last).__name__.lower() not in PROBABILITIES:
        return model
    return keras.Model(private.inputs(model), last.input, name=model.name)


def _operations(model: Any) -> list[Any]:
    graph = isinstance(model, keras.Sequential)
    found: list[Any] = model.layers if graph else model.operations
    return found


def _last(model: Any) -> Any:
    """The operation that gives a model's output, inside nested models too."""
    last = _operations(model)[-1]
    return _last(last) if isinstance(last, keras.Model) and is_graph(last) else last
