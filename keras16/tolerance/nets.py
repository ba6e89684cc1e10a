"""What a net answers, as probabilities in float64, and in what precision it does."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras16.backend import layer as private
from keras16.errors import UserError
from keras16.tolerance import measured

BATCH_SIZE = 256
_DTYPES = {"float16": "16", "bfloat16": "bf16", "float32": "32", "float64": "64"}


def outputs(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """What a model puts out at inference, operation by operation.

    Compiled, a remapper may fuse layers into kernels that round elsewhere.

    Args:
        model: Of one input and one output [examples, classes].
        x: [examples, ...] as the model takes them.

    Returns:
        [examples, classes] float64.
    """
    starts = range(0, len(x), BATCH_SIZE)
    parts = [model(x[i : i + BATCH_SIZE], training=False) for i in starts]
    return np.concatenate(
        [keras.ops.convert_to_numpy(part).astype(np.float64) for part in parts]
    )


def probabilities(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """What a model answers as probabilities, [examples, classes] float64."""
    found = outputs(model, x)
    return found if gives_probabilities(model) else measured.probabilities(found)


def gives_probabilities(model: Any) -> bool:
    """Whether a softmax is the last thing that a model does."""
    last = leaves(model)[-1]
    name = getattr(getattr(last, "activation", None), "__name__", "")
    return "softmax" in (name, type(last).__name__.lower())


def leaves(model: Any) -> list[Any]:
    """The layers of a model in its order, those of models inside it for these."""
    found = []
    for layer in model.layers:
        is_model = isinstance(layer, keras.Model)
        found += leaves(layer) if is_model and layer.layers else [layer]
    return found


def precision(model: Any) -> str:
    """In which precision a model keeps its weights: "16", "bf16", "32", "mixed".

    Raises:
        UserError: It has no floating weights, or of several precisions.
    """
    dtypes = {str(v.dtype) for v in model.weights if "float" in str(v.dtype)}
    if len(dtypes) != 1:
        kinds = ", ".join(sorted(dtypes)) or "none"
        raise UserError(f"model {model.name!r} has weights of {kinds}: one is wanted.")
    name = _DTYPES.get(dtypes.pop(), "of no known dtype")
    computed = {str(one.compute_dtype) for one in _with_weights(model)}
    return "mixed" if name == "32" and computed & {"float16", "bfloat16"} else name


def _with_weights(model: Any) -> list[Any]:
    found = []
    for layer in leaves(model):
        found += [layer, *private.inner(layer)] if layer.weights else []
    return found
