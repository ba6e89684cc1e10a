"""Which way imports point, and what a bare `import keras16` does and does not."""

import ast
import pathlib
import subprocess
import sys

import pytest

from keras16 import registration
from keras16.study import Run

ROOT = pathlib.Path(__file__).parents[1]
FILES = sorted(
    path for top in ("keras16", "pipelines") for path in (ROOT / top).rglob("*.py")
)

# From the bottom to the top: a part imports those of the rows before its own.
LAYERS = (
    {"errors"},
    {"kernels"},
    {"backend"},
    {
        "applications",
        "catalog",
        "checkpoint",
        "hardware",
        "lookup",
        "measure",
        "numerics",
        "scores",
        "statistics",
        "store",
        "study",
        "user_code",
    },
    {
        "augmentation",
        "constraints",
        "data",
        "initializers",
        "layers",
        "losses",
        "metrics",
        "models",
        "optimizers",
        "regularizers",
        "schedules",
    },
    {"compilation", "criterion", "objective", "precision", "registration", "results"},
    {"analysis", "parts"},
    {
        "architectures",
        "audit",
        "bounds",
        "callbacks",
        "coverage",
        "diagnosis",
        "exactness",
        "served_model",
    },
    {"convert"},
    {"tolerance"},
    {"sweep"},
    {"assembly"},
    {"training"},
    {"benchmark", "execution", "tuning"},
    {"comparison", "doctor"},
    {"report"},
    {"tracking"},
    {"pipelines"},
    {"cli"},
    {"__main__"},
)
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}
SIBLINGS = {
    ("models", "initializers"),
    ("models", "layers"),
    ("optimizers", "schedules"),
}
PART_OF = {"datasets": "data"}  # one part: the folder and the class that it fills

# Each of these is imported by the parts named here and by no other.
ONLY = {
    "mlflow": {"tracking", "served_model"},
    "tensorflow": {"backend"},
    "keras.src": {"backend"},
    "jax": {"backend"},
    "torch": {"benchmark"},
}


def part(module):
    """`keras16.layers.dense` -> `layers`."""
    names = module.removeprefix("keras16.").split(".")
    return PART_OF.get(names[0], names[0])


def module_name(path):
    """The name of a file as a module; pipelines/ is a part like any other."""
    names = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(names).removesuffix(".__init__")


def imports(path):
    """The modules that a file imports when it runs, however deep in a function."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from from_imports(node)


def from_imports(node):
    """`from keras16 import data` imports keras16.data; of others the module."""
    if node.module != "keras16":
        return [node.module]
    return [f"keras16.{alias.name}" for alias in node.names]


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_point_down(path):
    own = part(module_name(path))
    if own == "keras16":
        assert ours(path) <= {"registration"}
        return
    assert own in RANK, f"give {own} its place in LAYERS"
    for other in ours(path) - {own, "__version__"}:
        down = RANK[other] < RANK[own] or (own, other) in SIBLINGS
        assert down, f"{own} may not import {other}"


def ours(path):
    """The parts of keras16 that a file imports."""
    return {part(name) for name in imports(path) if name.split(".")[0] == "keras16"}


@pytest.mark.parametrize("module", ONLY)
def test_what_only_some_may_import(module):
    importers = {
        part(module_name(path))
        for path in FILES
        for name in imports(path)
        if name == module or name.startswith(f"{module}.")
    }
    assert importers <= ONLY[module]


def test_imports_inside_pipelines_are_relative():
    for path in (ROOT / "pipelines").rglob("*.py"):
        for name in imports(path):
            assert name.split(".")[0] != "pipelines", path
            assert not name.startswith("keras16.pipelines"), path


def test_commands_share_private_files_alone():
    for path in (ROOT / "pipelines").glob("[a-z]*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                names = [node.module] if node.module else [a.name for a in node.names]
                assert all(name.startswith("_") for name in names), path


# The package itself


def run_python(program, *arguments):
    line = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_keras16_imports_nothing_heavy():
    heavy = {"keras", "tensorflow", "mlflow", "numpy", "click"}
    program = f"import sys, keras16; print({heavy} & set(sys.modules))"
    assert run_python(program) == "set()\n"


def test_every_public_name_is_there():
    program = (
        "import keras16, types\n"
        "for name in keras16.PUBLIC:\n"
        "    assert getattr(keras16, name).__name__.endswith(name), name\n"
        "assert set(keras16.__all__) == {*keras16.PUBLIC, '__version__'}\n"
        "assert set(keras16.__all__) <= set(dir(keras16))\n"
        "import keras16.audit, importlib\n"
        "importlib.import_module('keras16.audit')\n"
        "assert isinstance(keras16.audit, types.FunctionType)"
    )
    run_python(program)


def test_an_unknown_name_is_an_attribute_error():
    import keras16

    with pytest.raises(AttributeError, match="'nothing'"):
        keras16.nothing  # noqa: B018
    assert not hasattr(keras16, "__wrapped__")


# Loading models


def registered_classes():
    """The names under which this package's classes are saved, read from its files."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            for mark in getattr(node, "decorator_list", []):
                if "register_keras_serializable" in ast.unparse(mark):
                    yield path, registered_name(mark, node.name)


def registered_name(mark, class_name):
    """The name that the decorator gives, as Keras puts it together."""
    given = {each.arg: each.value.value for each in mark.keywords}
    return f"{given['package']}>{given.get('name', class_name)}"


def test_registered_names_are_ours_and_each_is_there_once():
    names = [name for _, name in registered_classes()]
    assert len(names) == len(set(names)), sorted(names)
    assert all(name.startswith(registration.PREFIX) for name in names), names


def test_registered_classes_live_where_registration_looks():
    for path, name in registered_classes():
        assert part(module_name(path)) in registration.FOLDERS, name
        assert not path.name.startswith("_"), name


def test_keras_finds_our_classes_after_a_bare_import():
    names = [name for _, name in registered_classes()]
    assert names
    program = (
        "import sys, keras16\n"
        "assert 'keras' not in sys.modules\n"
        "import keras\n"
        "assert 'keras16.layers' not in sys.modules\n"
        f"for name in {names}:\n"
        "    found = keras.saving.get_registered_object(name)\n"
        "    assert found is not None, name\n"
        "assert keras.saving.get_registered_object('keras16>Nothing') is None\n"
        "assert keras.saving.get_registered_object('Nothing') is None"
    )
    run_python(program)


def test_models_load_after_a_bare_import(tmp_path):
    from keras16 import training

    for model, optimizer in ("cnn", "adam"), ("dnn", "sgd"), ("resnet8", "rmsprop"):
        run = Run(model=model, optimizer=optimizer)
        training.prepare(run).model.save(tmp_path / f"{model}.keras")
    program = (
        "import sys, pathlib, keras16, keras\n"
        "for file in pathlib.Path(sys.argv[1]).iterdir():\n"
        "    model = keras.models.load_model(file)\n"
        "    dtypes = {str(each.dtype) for each in model.weights}\n"
        "    assert 'float16' in dtypes <= {'float16', 'int16'}, file\n"
        "    assert type(model.optimizer).__module__.startswith('keras16'), file"
    )
    run_python(program, str(tmp_path))


def test_keras_imported_first_finds_them_too(monkeypatch):
    import types

    registry = types.ModuleType("registry")
    classes = {}
    registry.get_registered_object = classes.get
    monkeypatch.setattr(registration, "register", lambda: classes.update(known))
    known = {"keras16>Dense": dict}
    registration.extend(registry)
    registration.extend(registry)
    assert registry.get_registered_object("other>Dense") is None
    assert classes == {}
    assert registry.get_registered_object("keras16>Dense") is dict
    assert registry.get_registered_object("keras16>Nothing") is None
    assert registry.get_registered_object.__wrapped__ == classes.get
