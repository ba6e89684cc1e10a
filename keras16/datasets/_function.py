"""`FILE.py:function`: the user's own code returns arrays or two tf.data pipelines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from keras16 import user_code
from keras16.data import Dataset
from keras16.errors import UserError
from keras16.study import short_name

KEYS = ("x_train", "y_train", "x_test", "y_test")
INFINITE, READ_BATCH = -1, 1024
LARGEST_BYTES = 8 << 30  # of a pipeline that doesn't know its own length


def read(spec: str) -> Dataset:
    """Calls the function, without arguments, and reads what it returns.

    It may return ((x_train, y_train), (x_test, y_test)), a dict of these four
    names (and `class_names` if it likes), or a train and a test
    `tf.data.Dataset` of (x, y) pairs, batched or not.

    Raises:
        UserError: The function can't be loaded, raises, or returns something else.
    """
    function = user_code.load_function(spec)
    # Pipelines run the user's code while they are read: inside `call` as well.
    return user_code.call(lambda: _dataset(function(), spec), spec=spec)


def _dataset(returned: Any, spec: str) -> Dataset:
    name = short_name(spec)
    if isinstance(returned, dict):
        return Dataset(name, spec, **_from_dict(returned, spec))
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        raise UserError(_expected(spec, returned))
    (x_train, y_train), (x_test, y_test) = (
        _part(part, which, spec)
        for part, which in zip(returned, ("train", "test"), strict=True)
    )
    return Dataset(name, spec, x_train, y_train, x_test, y_test)


def _from_dict(returned: dict[str, Any], spec: str) -> dict[str, Any]:
    missing = [key for key in KEYS if key not in returned]
    if missing:
        raise UserError(
            f"the dict that {spec} returns lacks {', '.join(missing)}: it must hold "
            f"{', '.join(KEYS)}."
        )
    names = tuple(map(str, returned.get("class_names", ())))
    return {key: returned[key] for key in KEYS} | {"class_names": names}


def _part(part: Any, which: str, spec: str) -> tuple[Any, Any]:
    if _is_pipeline(part):
        return _from_pipeline(part, which, spec)
    if isinstance(part, tuple | list) and len(part) == 2:
        return part[0], part[1]
    raise UserError(_expected(spec, part))


def _expected(spec: str, returned: Any) -> str:
    return (
        f"{spec} returns a {type(returned).__name__} where ((x_train, y_train), "
        "(x_test, y_test)), a dict of these names or two tf.data.Datasets of (x, y) "
        "are expected."
    )


def _is_pipeline(value: Any) -> bool:
    """Asked by its methods, so that arrays need no TensorFlow."""
    return hasattr(value, "element_spec") and hasattr(value, "cardinality")


def _from_pipeline(
    pipeline: Any, which: str, spec: str
) -> tuple[np.ndarray, np.ndarray]:
    """The whole pipeline in memory, as two arrays."""
    if int(pipeline.cardinality()) == INFINITE:
        raise UserError(
            f"the {which} pipeline of {spec} never ends: leave out .repeat(), or add "
            ".take(N)."
        )
    if not isinstance(pipeline.element_spec, tuple) or len(pipeline.element_spec) != 2:
        raise UserError(
            f"the {which} pipeline of {spec} must give (x, y) pairs: map its elements "
            "to them (as_supervised=True in TensorFlow Datasets)."
        )
    pairs = list(_batches(pipeline, which, spec))
    if not pairs:
        raise UserError(f"the {which} pipeline of {spec} gives no example.")
    return np.concatenate([x for x, _ in pairs]), np.concatenate([y for _, y in pairs])


def _batches(
    pipeline: Any, which: str, spec: str
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    if not _is_batched(pipeline):
        pipeline = pipeline.batch(READ_BATCH)
    size = 0
    for x, y in pipeline.as_numpy_iterator():
        size += x.nbytes + y.nbytes
        if size > LARGEST_BYTES:
            raise UserError(
                f"the {which} pipeline of {spec} gave {LARGEST_BYTES >> 30} GiB and "
                "goes on: end it with .take(N); keras16 trains from memory."
            )
        yield x, y


def _is_batched(pipeline: Any) -> bool:
    """Judged by the first element: static shapes are often unknown."""
    for x, y in pipeline.take(1).as_numpy_iterator():
        if np.ndim(y) == 0:
            return False
        return np.ndim(y) > 1 or (np.ndim(x) > 0 and len(x) == len(y))
    return True  # empty: nothing to batch
