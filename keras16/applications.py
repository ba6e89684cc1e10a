"""The models of keras.applications, with random weights and logits as output."""

from __future__ import annotations

import difflib
import functools
import importlib.util
import inspect
import math
import pathlib
import re
from typing import TYPE_CHECKING, Any

from keras16.errors import UserError

if TYPE_CHECKING:
    import keras

PREFIX = "applications."


@functools.cache
def names() -> tuple[str, ...]:
    """The models that keras.applications has, sorted; Keras is not imported for it.

    The completion of a command line has no time for that.
    """
    spec = importlib.util.find_spec("keras")
    assert spec is not None and spec.origin is not None  # Keras is installed with us
    listing = pathlib.Path(spec.origin).parent / "applications" / "__init__.py"
    found = re.findall(r"\b(\w+) as \1\b", listing.read_text())
    return tuple(sorted(name for name in found if name[0].isupper()))


def names_with_prefix() -> list[str]:
    """As they are called on the command line."""
    return [f"{PREFIX}{name}" for name in names()]


def known(name: str) -> str:
    """The name of a model, without the prefix if it has it.

    Raises:
        UserError: keras.applications has no such model.
    """
    short = name.removeprefix(PREFIX)
    if short not in names():
        near = difflib.get_close_matches(short, names(), n=1)
        hint = f"did you mean {near[0]}? There" if near else "there"
        raise UserError(f"no model {PREFIX}{short}: {hint} are {', '.join(names())}.")
    return short


def build(name: str, input_shape: tuple[int, ...], classes: int) -> keras.Model:
    """A model for images of any size; small ones are enlarged before it.

    Args:
        name: Of keras.applications, such as "MobileNetV2".
        input_shape: (height, width, channels) of numbers of about 1.
        classes: Number of logits.

    Raises:
        UserError: There is no such model, or the inputs are no images.
    """
    import keras

    known(name)
    if len(input_shape) != 3:
        raise UserError(
            f"model {PREFIX}{name} wants images, not inputs of shape {input_shape}: "
            "use --model dnn."
        )
    height, width, channels = input_shape
    times = math.ceil(smallest(name) / min(height, width))
    if times == 1:
        return made(name, input_shape, classes, preprocessing=False)
    inner = made(
        name, (height * times, width * times, channels), classes, preprocessing=False
    )
    inputs = keras.Input(input_shape)
    enlarged = keras.layers.UpSampling2D(times, name="enlarge")(inputs)
    return keras.Model(inputs, inner(enlarged), name=f"{inner.name}_enlarged")


def made(
    name: str,
    input_shape: tuple[int, ...],
    classes: int,
    *,
    preprocessing: bool = True,
) -> keras.Model:
    """A model as keras.applications makes it, but for its last activation.

    Args:
        name: Of keras.applications.
        input_shape: (height, width, channels), none smaller than `smallest(name)`.
        classes: Number of logits.
        preprocessing: Whether it rescales pixels by itself, where it can do without.
    """
    function = _function(name)
    options: dict[str, Any] = {"weights": None, "classifier_activation": None}
    if "include_preprocessing" in inspect.signature(function).parameters:
        options["include_preprocessing"] = preprocessing
    return function(input_shape=input_shape, classes=classes, **options)


@functools.cache
def smallest(name: str) -> int:
    """The side of the smallest square image that a model accepts, in pixels.

    Keras tells it when it refuses one that is too small, before it builds anything.
    """
    try:
        _function(name)(weights=None, input_shape=(8, 8, 3), classes=2)
    except ValueError as error:
        told = re.search(r"at least (\d+)x", str(error))
        if told is None:
            raise
        return int(told[1])
    return 8


def _function(name: str) -> Any:
    import keras

    return getattr(keras.applications, name)
