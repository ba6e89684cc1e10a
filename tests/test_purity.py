"""The claim itself: no float above 16 bits in the training step of any part here."""

import json
import subprocess
import sys

import pytest

from keras16 import augmentation, catalog, training
from keras16.audit import audit
from keras16.audit import report as judged
from keras16.study import Run
from tests.runs import few, prepared, trained
from tests.traced import ON_JAX

OPTIMIZERS = {
    "sgd": {"optimizer": "sgd"},
    "nesterov": {"optimizer": "sgd", "nesterov": True, "schedule": "constant"},
    "plain sgd": {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 1e-4},
    "rmsprop": {"optimizer": "rmsprop", "schedule": "constant"},
    "rmsprop with momentum": {"optimizer": "rmsprop", "momentum": 0.9},
    "adam": {"optimizer": "adam", "weight_decay": 1e-4},
    "adam at a constant rate": {"optimizer": "adam", "schedule": "constant"},
    "adam, kahan": {"optimizer": "adam", "rounding": "kahan"},
    "sgd, stochastic": {"optimizer": "sgd", "rounding": "stochastic"},
}
# To be in the folder is to be tested.
OTHERS = sorted({*catalog.names("optimizers")} - {"adam", "rmsprop", "sgd"})


def audited(**fields):
    run = prepared(**fields)
    return audit(run.model, *run.batch, precision=run.run.precision)


@pytest.mark.parametrize(
    ("model", "optimizer"),
    [("dnn", name) for name in OPTIMIZERS]
    + [("cnn", name) for name in ("nesterov", "rmsprop with momentum", "adam")],
)
def test_a_step_of_float16_is_pure(model, optimizer):
    report = audited(model=model, **OPTIMIZERS[optimizer])
    assert report.pure, str(report)
    assert report.wide == () and report.tensors > 150


@pytest.mark.parametrize("optimizer", OTHERS)
def test_every_other_optimizer_of_the_catalogue_is_pure(optimizer):
    report = audited(model="dnn", optimizer=optimizer)
    assert report.pure, str(report)


# All steps are compared with float64 in test_optimizers_16.py.
def test_one_of_the_other_optimizers_of_the_catalogue_learns():
    result = trained(**few(optimizer="lamb", epochs=3, learning_rate=0.01))
    assert result.epochs[-1].loss < result.epochs[0].loss, result.epochs


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
def test_a_step_of_plain_float16_is_pure(optimizer):
    report = audited(model="cnn", precision="16-plain", optimizer=optimizer)
    assert report.pure, str(report)


@pytest.mark.parametrize(("model", "optimizer"), [("resnet20", "sgd")])
def test_a_step_of_a_residual_net_is_pure(model, optimizer):
    fields = {"augmentation": "flip_shift", **OPTIMIZERS[optimizer]}
    report = audited(model=model, **fields)
    assert report.pure, str(report)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_step_of_bfloat16_is_pure(optimizer):
    report = audited(model="cnn", precision="bf16", **OPTIMIZERS[optimizer])
    assert report.pure, str(report)


@pytest.mark.parametrize("precision", ["32", "mixed", "mixed_bf16"])
@pytest.mark.parametrize("model", ["dnn", "cnn"])
def test_the_other_precisions_are_not(precision, model):
    report = audited(model=model, precision=precision)
    assert not report.pure
    assert report.wide_tensors > 60


def test_batches_of_every_size_are_pure():
    for batch_size in (1, 7, 4000):
        report = audited(model="dnn", batch_size=batch_size)
        assert report.pure, str(report)


def tensors_of_loop(run, loop):
    """Every tensor of a loop's program, the step among it."""
    if not ON_JAX:
        from keras16.backend import tensorflow_graph, tensorflow_source

        graph = loop._steps.get_concrete_function().graph
        sources = tensorflow_source.Sources(run.model, {}, {})
        return tensorflow_graph._graph_tensors(graph, sources, set())
    from keras16.backend import jax, jax_graph, jax_source

    state = jax.values_of(jax.state_of(run.model))
    (rows,), (draws,) = run.order(1, steps=1)
    lowered = loop._one_step.lower(state, loop.x, loop.y, rows, draws)
    return jax_graph._program_tensors(lowered, jax_source.Sources(run.model, {}))


@pytest.mark.parametrize("name", augmentation.NAMES)
def test_the_loop_around_the_step_is_pure_as_well(tmp_path, name):
    """Gathering, augmentation and the watch for NaN, on images of floats."""
    (tmp_path / "images.py").write_text(
        "import numpy as np\n"
        "def load():\n"
        "    x = np.random.default_rng(0).normal(size=(40, 9, 9, 1))\n"
        "    y = np.arange(40) % 2\n"
        "    return (x, y), (x, y)\n"
    )
    run = prepared(
        model="dnn",
        dataset=f"{tmp_path}/images.py:load",
        augmentation=name,
        batch_size=4,
    )
    fit = training._Fit(run, training._Silent(), None)
    report = judged(tensors_of_loop(run, fit.loop), "16")
    assert report.pure, str(report)
    assert report.tensors > 150


@pytest.mark.parametrize(("precision", "code"), [("16", 0), ("32", 1)])
def test_the_command_line_says_so_too(precision, code):
    done = subprocess.run(
        [sys.executable, "-m", "keras16", "audit", "--json", "--model", "dnn"]
        + ["--optimizer", "adam", "--precision", precision],
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    report = json.loads(done.stdout)
    assert report["precision"] == precision
    assert (report["wide_tensors"] == 0) == (code == 0)
    assert len(report["wide"]) == report["wide_tensors"] <= report["tensors"]
    for tensor in report["wide"]:
        assert {"operation", "dtype", "source"} <= set(tensor)


def test_a_result_carries_the_audit_of_its_own_step():
    run = Run(model="dnn", validation=0.9, epochs=1, precision="32")
    result = training.fit(run)
    assert result.audit.precision == "32" and result.audit.wide_tensors > 60
