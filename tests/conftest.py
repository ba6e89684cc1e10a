"""What every test starts from: quiet libraries, no store of the user's, one process."""

import os
import sys

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["MPLBACKEND"] = "Agg"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture(autouse=True)
def fresh_precision():
    """Lets each test choose a precision, as if it had a process of its own."""
    yield
    precision = sys.modules.get("keras16.precision")
    if precision is None or precision.in_use() is None:
        return
    import keras

    from keras16.backend import hooks

    precision._in_use = None
    hooks.remove()
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
