"""A model in another precision: the same layers, weights and names."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from keras16 import backend, hardware, precision
from keras16.convert import _check, _copy, _subclassed, _translation, _weights
from keras16.convert._copy import is_graph
from keras16.convert._report import Conversion
from keras16.convert.twin import as_twin
from keras16.errors import NoSixteenBits, UserError
from keras16.precision import Precision

__all__ = ["Conversion", "adapted", "convert", "has_counterparts", "is_graph"]

KERAS_PREFACE = "Exception encountered: "  # before what a layer itself complained of
CONVERTIBLE = ("16", "32", "mixed", "bf16", "mixed_bf16")


def convert(
    model: keras.Model, to: str | int = "16", *, check: bool = True
) -> keras.Model:
    """A model's twin in another precision: the same function, weights and names.

    No global switch is touched: the twin and the model work side by side in one
    process, whatever Keras' floatx and dtype policy are. The model itself stays as
    it is. The twin is not compiled; its `compile` takes what Keras' takes and makes
    it of keras16's parts, or says what has no 16-bit form.

    Args:
        model: Built: Sequential, functional, nested, with shared layers. A
            subclassed one is converted if its `call` can be traced layer by layer,
            that is: if it is made of Keras' layers and operations alone, is the
            same in training but for its layers' own doing, has no weights of its
            own beside those of its layers, and leaves `train_step` and its like to
            Keras. Its twin is functional.
        to: "16"; "32" for Keras' own layers, which load where keras16 is not
            installed; "mixed", "bf16", "mixed_bf16".
        check: Whether to trace the twin's forward and backward pass and refuse what
            computes in more than 16 bits.

    Returns:
        The twin; `twin.conversion` tells what was replaced and rounded.

    Raises:
        UserError: What can't be made pure, copied or held in 16 bits, by name.
    """
    row = precision.get(to)
    if row.name not in CONVERTIBLE:
        raise UserError(f"no conversion to {to}: there are {', '.join(CONVERTIBLE)}.")
    if not isinstance(model, keras.Model):
        raise UserError(f"convert takes a Keras model, not {type(model).__name__}.")
    _check_built(model)
    graph = model if is_graph(model) else _subclassed.as_graph(model)
    _subclassed.check_methods(model)
    report = Conversion(model.name, row.name)
    if row.pure:
        backend.fill_registers(hardware.cpu_flags())
        backend.module().keep_fast_kernels()
        backend.module().mend_keras()
    twin = as_twin(_copied(graph, row, report), row)
    if row.pure and check:
        _check.require_pure(twin)
    twin.conversion = report
    return twin


def adapted(model: keras.Model, row: Precision, logits: bool = True) -> keras.Model:
    """A copy of a model as `keras16 train` wants it: with logits as output.

    A subclassed model can't be copied and is returned as it is.

    Args:
        model: A built model.
        row: What its layers shall be.
        logits: Whether a softmax or sigmoid at the very end is left out.

    Raises:
        UserError: The model is not built, or a layer can't be copied.
    """
    _check_built(model)
    if not is_graph(model):
        return model
    return _copied(model, row, Conversion(model.name, row.name), logits, keep=True)


def has_counterparts(model: keras.Model) -> bool:
    """Whether a layer of a flat model is Keras' own where keras16 has one of its name.

    Args:
        model: Sequential or functional.
    """
    return any(type(layer) in _translation.replacements() for layer in model.layers)


def _copied(
    model: keras.Model,
    row: Precision,
    report: Conversion,
    logits: bool = False,
    keep: bool = False,
) -> keras.Model:
    copy = _copy.Copy(model, row, report, logits, keep=keep)
    try:
        twin = copy.make()
    except UserError:
        raise
    except (TypeError, ValueError, AttributeError) as error:
        raise _not_copied(model, row, copy.at, error) from error
    _weights.transfer(copy.pairs(), report)
    return twin


def _not_copied(
    model: keras.Model, row: Precision, at: str, error: Exception
) -> UserError:
    """Why a model can't be copied; Keras tells of a layer that refuses it by its own.

    Args:
        model: The original.
        row: The precision of the copy.
        at: The name of the layer in hand, or "".
        error: Keras'.
    """
    for refused in _behind(error):
        if isinstance(refused, NoSixteenBits):
            return UserError(f"layer {at!r} can't be made pure 16-bit: {refused.told}")
    text = str(error).rpartition(KERAS_PREFACE)[2].strip()
    reason = (text.splitlines() or [type(error).__name__])[0]
    where = f" (at layer {at!r})" if at else ""
    return UserError(
        f"model {model.name!r} can't be copied to {row.policy}{where}: {reason}"
    )


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that led to it: a layer may be inside of a layer."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _check_built(model: keras.Model) -> None:
    if not model.built:
        raise UserError(
            f"model {model.name!r} is not built: give it an Input, or call it once."
        )
