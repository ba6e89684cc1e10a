"""keras.applications in 16 bits: one of each family; the command checks them all."""

import dataclasses
import json
import subprocess
import sys

import click.testing
import keras
import numpy as np
import pytest

from keras16 import applications, catalog, sweep
from keras16.cli import load
from keras16.convert import adapted
from keras16.errors import UserError
from keras16.precision import get
from keras16.tolerance import nets
from tests.traced import HAS_KERNELS

# One of each, the smallest, and the largest error.
FAMILIES = {
    "ConvNeXtTiny": 0.1,
    "DenseNet121": 0.1,
    "EfficientNetB0": 0.1,
    "EfficientNetV2B0": 0.1,
    "InceptionV3": 0.1,
    "MobileNet": 0.1,
    "MobileNetV2": 0.1,
    "MobileNetV3Small": 0.1,
    "NASNetMobile": 0.1,
    "ResNet50": 0.1,
    "ResNet50V2": 0.1,
    "VGG16": 0.1,
    "Xception": 0.1,
}
FEW, MANY = 32, 128  # EfficientNets learn next to nothing from 32 single pixels


def test_all_models_of_keras_are_found_without_importing_keras():
    program = (
        "import sys; from keras16.applications import names; n = names();"
        "assert not {'keras', 'tensorflow'} & set(sys.modules); print(*n)"
    )
    line = [sys.executable, "-c", program]
    found = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    functions = {
        name
        for name, part in vars(keras.applications).items()
        if callable(part) and name[0].isupper()
    }
    assert set(found.split()) == functions
    assert len(functions) >= 40


def test_the_smallest_image_is_what_keras_says():
    assert applications.smallest("VGG16") == 32
    assert applications.smallest("Xception") == 71


@pytest.mark.parametrize("name", FAMILIES)
def test_the_twin_agrees_with_the_original(name):
    examples = MANY if name.startswith("Efficient") else FEW
    found = sweep.row(name, examples=examples, audited=False, reloaded=False)
    assert found.error <= FAMILIES[name], found
    assert found.parameters > 1e6


def test_a_row_is_audited_and_saved():
    found = sweep.row("VGG16", examples=8)
    # A layer has dozens; by keras16's kernels fewer, as they are whole operations.
    assert found.tensors > (600 if HAS_KERNELS else 1000)
    assert found.wide == 0
    assert found.reloads
    assert found.passes(0.1)
    assert not found.passes(found.error / 2)
    assert not dataclasses.replace(found, wide=1).passes(1)
    assert not dataclasses.replace(found, reloads=False).passes(1)
    assert not sweep.Row("VGG16", problem="no memory").passes(1)


def test_more_images_are_taken_where_the_error_is_above_the_bound():
    quick = {"examples": 2, "most": 8, "audited": False, "reloaded": False}
    within, above = (sweep.row("VGG16", bound=bound, **quick) for bound in (0.1, 0.0))
    assert (within.examples, above.examples) == (2, 8)
    # There it is told what rounding each layer's output alone comes to.
    assert np.isnan(within.layers_error)
    assert above.weights_error != above.layers_error < 2 * above.error


def test_statistics_of_many_images_are_those_of_few(monkeypatch):
    """Many are passed as a graph, and their logits computed in parts."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()]
    rest = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers, *rest])
    images = np.random.default_rng(0).normal(size=(24, 8, 8, 3)).astype("float32")
    found = []
    for at_once in (24, 5):
        monkeypatch.setattr(sweep, "FEW", at_once)
        monkeypatch.setattr(nets, "BATCH_SIZE", at_once)
        sweep._set_statistics(model, images)
        found.append([*model.get_weights(), nets.outputs(model, images)])
    for few, many in zip(*found, strict=True):
        np.testing.assert_allclose(many, few, rtol=1e-5, atol=1e-6)
    assert np.abs(model.layers[1].moving_mean).max() > 0


def test_small_images_are_enlarged():
    keras.utils.set_random_seed(0)
    model = applications.build("MobileNetV3Small", (28, 28, 1), 4)
    assert model.input_shape == (None, 28, 28, 1)
    assert model.layers[-1].input_shape == (None, 56, 56, 1)
    assert model.output_shape == (None, 4)
    x = np.random.default_rng(0).normal(size=(4, 28, 28, 1)).astype("float32")
    assert np.min(model(x)) < 0  # logits, no probabilities
    twin = adapted(model, get("16"))
    names = {type(one).__module__.partition(".")[0] for one in twin.layers}
    assert "keras16" in names


def test_images_that_are_large_enough_stay():
    model = applications.build("VGG16", (40, 48, 3), 4)
    assert model.input_shape == (None, 40, 48, 3)


def test_what_is_no_model_or_no_image_is_refused():
    with pytest.raises(UserError, match="did you mean MobileNetV2"):
        applications.known("applications.MobilNetV2")
    with pytest.raises(UserError, match="wants images"):
        applications.build("VGG16", (7,), 4)


# The command line


def run(*arguments):
    command = load("applications").command
    return click.testing.CliRunner().invoke(command, arguments)


def rows_of(monkeypatch, **found):
    def row(name, examples, bound):
        if name == "Xception":
            raise MemoryError("too large")
        return sweep.Row(name, **found)

    monkeypatch.setattr(sweep, "row", row)
    # A process of its own would know nothing of what is patched here.
    module = sys.modules[load("applications").command.callback.__module__]
    monkeypatch.setattr(module, "_row_of_a_process", module._row)


def test_every_row_comes_from_a_process_of_its_own():
    module = sys.modules[load("applications").command.callback.__module__]
    row = module._row_of_a_process("NoSuchNet", 8, 0.1)
    assert row.name == "NoSuchNet"
    assert "NoSuchNet" in row.problem


def test_the_command_goes_on_after_a_failure_and_writes_its_table(
    monkeypatch, tmp_path
):
    found = {"side": 32, "parameters": 5000, "error": 0.01, "own_error": 0.02}
    found["weights_error"] = 0.005
    rows_of(monkeypatch, **found, examples=128, tensors=1234, reloads=True, seconds=2.4)
    output = tmp_path / "table.md"
    done = run("--names", "VGG16,Xception,VGG19", "--output", str(output))
    assert done.exit_code == 1
    assert "VGG16" in done.stdout
    lines = output.read_text().splitlines()
    cells = "32 | 5,000 | 1.00% | 0.50% | - | 2.00% | 128 | 0 of 1,234 | yes | 2"
    assert f"| VGG16 | {cells} |" in lines
    assert any("Xception" in line and "too large" in line for line in lines)
    assert "| VGG19 |" in output.read_text()
    done = run("--names", "VGG16", "--json")
    assert done.exit_code == 0
    (row,) = json.loads(done.stdout)
    assert row["passes"] is True
    assert row["parameters"] == 5000


def test_the_command_refuses_unknown_names():
    done = run("--names", "VGG17")
    assert isinstance(done.exception, UserError)
    assert "no VGG17" in str(done.exception)


def test_train_takes_and_completes_applications():
    part = next(p for p in load("train").command.params if p.name == "model").type
    assert part.convert("applications.VGG16", None, None) == "applications.VGG16"
    with pytest.raises(UserError, match="did you mean VGG19"):
        part.convert("applications.VGG61", None, None)
    items = [item.value for item in part.shell_complete(None, None, "app")]
    assert items == ["applications."]
    items = [i.value for i in part.shell_complete(None, None, "applications.VGG")]
    assert items == ["applications.VGG16", "applications.VGG19"]
    assert "applications" not in catalog.names("models")
