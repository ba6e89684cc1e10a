"""Models of ours as MLflow models that load where nothing but mlflow is imported.

`save` writes one; MLflow calls `_load_pyfunc` to load it. Importing this module
imports keras16, which is what lets Keras find the classes of this package (see
`registration`).
"""

from __future__ import annotations

import importlib.util
import pathlib
import shutil
import tempfile
import types
from typing import TYPE_CHECKING, Any

from keras16 import hardware

if TYPE_CHECKING:
    import keras
    import numpy as np

    from keras16.study import Run
    from keras16.training import Result

MODEL_FILE = "model.keras"
PARTS_FILE = "parts.py"
BATCH_SIZE = 256


class ServedModel:
    """A Keras model as MLflow's `python_function` flavour calls it."""

    def __init__(self, model: keras.Model) -> None:
        """Wraps a loaded Keras model, from raw inputs to logits."""
        self.model = model

    def predict(self, model_input: Any, params: Any = None) -> np.ndarray:
        """The logits of a batch of any size.

        Runs operation by operation: compiled, TensorFlow's remapper may fuse a
        float16 layer into a kernel that is slow and rounds elsewhere.

        Args:
            model_input: [examples, ...] as the signature says: an array or a
                DataFrame with a row per example.
            params: Unused; MLflow passes it.

        Returns:
            [examples, classes] float32, which holds a 16-bit logit exactly.
        """
        import keras
        import numpy as np

        batch = np.asarray(model_input)
        starts = range(0, max(1, len(batch)), BATCH_SIZE)
        chunks = [
            self.model(batch[start : start + BATCH_SIZE], training=False)
            for start in starts
        ]
        return np.concatenate(
            [keras.ops.convert_to_numpy(chunk).astype(np.float32) for chunk in chunks]
        )


def save(
    result: Result, path: pathlib.Path, target: pathlib.Path, logged: Any, run_id: str
) -> None:
    """Writes an MLflow model that loads where nothing but mlflow is imported.

    Our own loader stands in for MLflow's, whose Keras knows none of our classes; a
    copy of this package goes with the model, so that it loads where keras16 is not
    installed.

    Args:
        result: Whose model it is.
        path: The saved .keras file.
        target: The folder to write.
        logged: MLflow's record of the model.
        run_id: Of the run that made it.
    """
    import mlflow.pyfunc
    from mlflow.models import Model

    described = Model(
        artifact_path=logged.artifact_location,
        run_id=run_id,
        model_uuid=logged.model_id,
        model_id=logged.model_id,
    )
    with tempfile.TemporaryDirectory() as folder:
        data = write(pathlib.Path(folder) / "keras", path, result.run)
        described.add_flavor(
            "keras", data=f"data/{data.name}", keras_version=hardware.version("keras")
        )
        mlflow.pyfunc.save_model(
            str(target),
            loader_module=__name__,
            data_path=str(data),
            code_paths=[str(pathlib.Path(__file__).parent)],
            signature=signature(result),
            pip_requirements=requirements(),
            mlflow_model=described,
        )


def signature(result: Result) -> Any:
    """One batch of raw test examples in, the model's outputs in float32 out."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    examples = result.dataset.x_test
    taken = TensorSpec(np.dtype(examples.dtype), (-1, *examples.shape[1:]))
    shape = (size or -1 for size in result.model.output_shape)
    given = TensorSpec(np.dtype(np.float32), tuple(shape))
    return ModelSignature(inputs=Schema([taken]), outputs=Schema([given]))


def write(folder: pathlib.Path, model_path: pathlib.Path, run: Run) -> pathlib.Path:
    """Puts what `_load_pyfunc` reads into a new folder.

    Args:
        folder: Created.
        model_path: The saved .keras file.
        run: Where its model is `FILE.py:function`, that file goes along.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True)
    shutil.copyfile(model_path, folder / MODEL_FILE)
    parts = pathlib.Path(run.model.rpartition(":")[0]).expanduser()
    if parts.suffix == ".py" and parts.is_file():
        shutil.copyfile(parts, folder / PARTS_FILE)
    return folder


def requirements() -> list[str]:
    """What a process needs to load the model, at the versions that made it."""
    names = ("keras", hardware.backend(), "numpy")
    versions = {name: hardware.version(name) for name in names}
    return [f"{name}=={version}" for name, version in versions.items() if version]


def _load_pyfunc(path: str) -> ServedModel:
    """Loads what `tracking` logged.

    Args:
        path: A folder with model.keras and, for a model out of the user's own
            Python file, that file as parts.py.
    """
    return ServedModel(load(pathlib.Path(path)))


def load(folder: pathlib.Path) -> keras.Model:
    """The Keras model in a folder; the user's own classes are taken from parts.py.

    That file runs only where Keras doesn't know a class of the model: it may import
    what is not there.
    """
    import keras

    try:
        return keras.saving.load_model(folder / MODEL_FILE, compile=False)
    except TypeError:  # Keras' answer to a class that it can't find
        if not (folder / PARTS_FILE).exists():
            raise
    parts = _run(folder / PARTS_FILE)
    own = {name: value for name, value in vars(parts).items() if callable(value)}
    return keras.saving.load_model(
        folder / MODEL_FILE, custom_objects=own, compile=False
    )


def _run(path: pathlib.Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("keras16_user_parts", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
