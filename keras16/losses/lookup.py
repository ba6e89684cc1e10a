"""From what `compile(loss=...)` takes to the loss of keras16 that does the same."""

from __future__ import annotations

import importlib
from typing import Any

import keras

from keras16 import lookup
from keras16.backend import wrapped
from keras16.errors import UserError
from keras16.losses._sixteen import Refused, SixteenBit, refusal
from keras16.losses.function import Crossentropy
from keras16.numerics import bits

# Keras' loss functions by name -> the class of the same meaning.
OF_FUNCTION = {
    "binary_crossentropy": "BinaryCrossentropy",
    "binary_focal_crossentropy": "BinaryFocalCrossentropy",
    "categorical_crossentropy": "CategoricalCrossentropy",
    "categorical_focal_crossentropy": "CategoricalFocalCrossentropy",
    "categorical_generalized_cross_entropy": "CategoricalGeneralizedCrossEntropy",
    "categorical_hinge": "CategoricalHinge",
    "circle": "Circle",
    "cosine_similarity": "CosineSimilarity",
    "ctc": "CTC",
    "dice": "Dice",
    "hinge": "Hinge",
    "huber": "Huber",
    "kl_divergence": "KLDivergence",
    "log_cosh": "LogCosh",
    "mean_absolute_error": "MeanAbsoluteError",
    "mean_absolute_percentage_error": "MeanAbsolutePercentageError",
    "mean_squared_error": "MeanSquaredError",
    "mean_squared_logarithmic_error": "MeanSquaredLogarithmicError",
    "poisson": "Poisson",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    "squared_hinge": "SquaredHinge",
    "tversky": "Tversky",
}
CROSSENTROPY = ("crossentropy", "ce")


def get(identifier: Any, dtype: Any = None) -> Any:
    """The loss of keras16 that does what Keras would do with an identifier.

    What `compile(loss=...)` nests in lists or dicts has one identifier an output:
    `keras.tree.map_structure` maps this function over them.

    Args:
        identifier: What `compile(loss=...)` takes for one output: a name ("mse";
            "crossentropy", which chooses by the shapes that it is given), a loss
            function or class or object of Keras, its config carried over, a
            function or a `keras.losses.Loss` of your own, whose losses are then
            reduced as ours are (whether its own steps are 16-bit, the audit says);
            or None. A loss of keras16 in this dtype is given back as it is.
        dtype: Of the loss, "float16" say; None is Keras' floatx.

    Returns:
        A loss object of that dtype, named as Keras would name it; None for None.

    Raises:
        UserError: The loss has no 16-bit form, or there is no such loss.
    """
    if identifier is None:
        return None
    dtype = dtype or keras.config.floatx()
    if isinstance(identifier, str) and identifier.lower() in CROSSENTROPY:
        return _ours("Crossentropy", dtype, {"name": identifier})
    try:
        found = keras.losses.get(identifier)
    except (TypeError, ValueError) as error:
        raise lookup.unknown("losses", identifier, error) from error
    if isinstance(found, keras.losses.Loss):
        return _of_object(found, dtype)
    named = isinstance(identifier, str)
    name = identifier if named else wrapped.name_of(found)
    return _of_function(found, {"name": name}, dtype)


def _of_object(loss: Any, dtype: Any) -> Any:
    name, module = type(loss).__name__, type(loss).__module__
    function = wrapped.function_of(loss)
    shared = {"name": loss.name, "reduction": loss.reduction}
    if isinstance(loss, (SixteenBit, Refused, Crossentropy)):
        return _of_ours(loss, dtype)
    if module.startswith("keras.") and name in OF_FUNCTION.values():
        config = {**loss.get_config(), **wrapped.arguments_of(loss)}
        return _ours(name, dtype, config)
    if module.startswith("keras.") and function is not None:
        return _of_function(function, {**shared, **wrapped.arguments_of(loss)}, dtype)
    if type(loss).__call__ is keras.losses.Loss.__call__:
        return _ours("OfFunction", dtype, {"fn": loss, **shared})
    if not bits.is_16_bit(_name(dtype)):
        return loss
    raise UserError(
        f"the loss {name} reduces its losses by itself: derive it from "
        "keras.losses.Loss and write `call` alone."
    )


def _of_ours(loss: Any, dtype: Any) -> Any:
    """A loss of keras16, or derived from one, in a dtype."""
    _check_not_refused(type(loss), dtype)
    if loss.dtype == _name(dtype):
        return loss
    return type(loss).from_config({**loss.get_config(), "dtype": dtype})


def _of_function(function: Any, config: dict[str, Any], dtype: Any) -> Any:
    name = getattr(function, "__name__", "")
    if getattr(keras.losses, name, None) is function and name in OF_FUNCTION:
        return _ours(OF_FUNCTION[name], dtype, config)
    return _ours("OfFunction", dtype, {"fn": function, **config})


def _ours(name: str, dtype: Any, config: dict[str, Any]) -> Any:
    cls = getattr(importlib.import_module("keras16.losses"), name)
    _check_not_refused(cls, dtype)
    return cls(**{**config, "dtype": dtype})


def _check_not_refused(cls: Any, dtype: Any) -> None:
    if issubclass(cls, Refused) and bits.is_16_bit(_name(dtype)):
        raise UserError(refusal(cls.__name__, cls.refused_because))


def _name(dtype: Any) -> str:
    return keras.dtype_policies.get(dtype).compute_dtype
