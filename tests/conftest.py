"""What every test starts from: quiet libraries, no store of the user's, one process."""

import collections
import os
import sys

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["MPLBACKEND"] = "Agg"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.pop("MLFLOW_TRACKING_URI", None)


def pytest_addoption(parser):
    help = "of each parametrized test run at most so many cases, spread over all"
    parser.addoption("--cases", type=int, default=0, metavar="N", help=help)


def pytest_collection_modifyitems(config, items):
    """Leaves `--cases` of each test: compiling all of them takes JAX many minutes."""
    wanted = config.getoption("--cases")
    if not wanted:
        return
    cases = collections.defaultdict(list)
    for item in items:
        cases[item.nodeid.partition("[")[0]].append(item)
    steps = {test: -(-len(of_test) // wanted) for test, of_test in cases.items()}
    kept = {item for test in cases for item in cases[test][:: steps[test]]}
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


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
