"""The benchmark: its contenders, and who has a turn when."""

import json
import math
import pathlib
import sys
import time
import types

import keras
import numpy as np
import pytest
import runs
from click.testing import CliRunner
from keras import layers

from keras16 import cli, measure
from keras16.benchmark import (
    architecture,
    ceilings,
    contest,
    meter,
    ours,
    plan,
    work,
    worker,
)
from keras16.benchmark.result import Outcome, Row
from keras16.errors import UserError
from keras16.report import benchmark as report
from keras16.study import Run

KERAS16, STOCK = plan.CONTENDERS["keras16-16"], plan.CONTENDERS["keras-32"]


@pytest.fixture
def now(monkeypatch):
    """A clock that is set by hand."""
    hand = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: hand[0])
    return hand


def test_what_a_call_costs_is_left_out_of_a_step(now):
    def run(steps):
        now[0] += 0.25 + 0.002 * steps

    assert meter.seconds_a_step(run, 3.0) == pytest.approx(0.002)


# Who takes part


def test_everyone_takes_part_and_the_reference_comes_first():
    found = [one.name for one in plan.chosen(None)]
    assert found == [one.name for one in plan.CONTENDERS.values() if not one.if_asked]
    assert plan.chosen(None)[0].name == plan.REFERENCE


def test_a_beginning_stands_for_all_and_a_whole_name_for_itself():
    names = [one.name for one in plan.chosen("torch-half,keras-16")]
    assert names == ["keras16-16", "keras-16", "torch-half"]
    names = [one.name for one in plan.chosen("keras-m")]
    assert names == ["keras16-16", "keras-mixed", "keras-mixed-noremap"]
    names = [one.name for one in plan.chosen("rounding")]
    assert names == ["keras16-16", "rounding-kahan", "rounding-stochastic"]
    names = [one.name for one in plan.chosen("bf16")]
    assert names == ["keras16-16", "bf16-keras16", "bf16-keras", "bf16-mixed"]
    with pytest.raises(UserError, match="no contender 'jax'"):
        plan.chosen("keras,jax")


def test_names_in_the_readme_are_contenders():
    text = (pathlib.Path(__file__).parents[1] / "README.md").read_text()
    section = text.partition("## How fast")[2].partition("\n## ")[0]
    for name in plan.CONTENDERS:
        stem = name.removesuffix("-noremap").removesuffix("-last")
        assert stem in section, name


# The work of a step


def test_products_of_a_dense_net_are_counted_by_hand():
    model = keras.Sequential(
        [keras.Input((4, 7)), layers.Flatten(), layers.Dense(5), layers.Dense(3)]
    )
    found, _ = architecture.calls(model)
    # The first layer's inputs need no gradient.
    assert work.training_flops(found["calls"]) == 2 * (2 * 28 * 5 + 3 * 5 * 3)
    assert work.activations(found["calls"]) == 28 + 5 + 3


@pytest.mark.parametrize(
    ("layer", "products"),
    [
        (layers.Conv2D(4, 3, padding="same"), 8 * 8 * 4 * 9 * 6),
        (layers.Conv2D(4, 3, strides=2, groups=2), 3 * 3 * 4 * 9 * 3),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), 6 * 6 * 12 * 9),
        (layers.SeparableConv2D(5, 3), 6 * 6 * 6 * 9 + 6 * 6 * 5 * 6),
        (layers.Conv2DTranspose(5, 2, strides=2), 8 * 8 * 6 * 4 * 5),
        (layers.BatchNormalization(), 0),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else "",
)
def test_products_of_a_layer(layer, products):
    model = keras.Sequential([keras.Input((8, 8, 6)), layer])
    (call,) = architecture.calls(model)[0]["calls"]
    assert work.forward_flops(call) == 2 * products


# The net that all train


def nested():
    """A functional net with a nested one, a shared layer and two branches."""
    inputs = keras.Input((8, 8, 3))
    inner_inputs = keras.Input((8, 8, 4))
    inner = keras.Model(
        inner_inputs,
        layers.Add()([layers.Conv2D(4, 3, padding="same")(inner_inputs), inner_inputs]),
        name="inner",
    )
    shared = layers.Conv2D(4, 1, name="shared")
    x = shared(inputs)
    x = keras.Sequential([inner, layers.ReLU()], name="both")(x)
    outputs = layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, outputs)


def test_a_net_is_listed_call_by_call_whatever_it_is_nested_in():
    found, weights = architecture.calls(nested())
    kinds = [call["kind"] for call in found["calls"]]
    assert kinds == [
        *("Conv2D", "Conv2D", "Add", "ReLU", "GlobalAveragePooling2D", "Dense")
    ]
    stem, inner, add, relu, pooled, dense = found["calls"]
    assert stem["inputs"] == [found["input"]]
    assert add["inputs"] == [inner["output"], stem["output"]]
    assert (relu["inputs"], pooled["inputs"]) == ([add["output"]], [relu["output"]])
    assert dense["output"] == found["output"]
    assert weights[dense["weights"]["kernel"]].shape == (4, 2)
    json.dumps(found)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A case of the dense net on a few random pixels, written down."""
    folder = tmp_path_factory.mktemp("case")
    data = contest._random_pixels(folder, (5, 5, 2), 3, batch_size=4)
    run = Run(
        model="dnn",
        dataset=data,
        optimizer="sgd",
        momentum=0.9,
        schedule="constant",
        batch_size=4,
        validation=0.0,
    )
    with runs.fresh():
        found = architecture.write(run, folder)
    return plan.Case(run, folder), found


def test_random_pixels_are_no_more_than_an_epoch_of_mnist(written, tmp_path):
    case, _ = written
    with np.load(case.run.dataset) as found:
        assert found["x_train"].shape == (contest.BATCHES * 4, 5, 5, 2)
        assert found["x_train"].dtype == np.uint8
        assert set(found["y_train"]) == {0, 1, 2}


def test_the_written_net_has_the_weights_of_keras16_at_16(written):
    case, found = written
    weights = (50 * 512 + 512) + (512 * 256 + 256) + (256 * 3 + 3)
    assert found["parameters"] == weights
    assert found["flops"] == 4 * 2 * (2 * 50 * 512 + 3 * 512 * 256 + 3 * 256 * 3)
    assert found["settings"]["learning_rate"] > 0
    stock = architecture.loaded(case.folder, "float32", "float32")
    with runs.fresh():
        trainer = ours.Trainer(KERAS16, case)
        own = [v.numpy() for v in trainer.model.trainable_variables]
    assert [v.dtype for v in own] == [np.float16] * 6
    for mine, given in zip(own, stock.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, given.astype("float16"))


@pytest.mark.parametrize("policy", ["float16", "mixed_float16"])
def test_a_written_net_loads_under_another_policy(written, policy):
    case, _ = written
    stock = architecture.loaded(case.folder, "float32", "float32")
    twin = architecture.loaded(case.folder, policy, "float16")
    kept = "float16" if policy == "float16" else "float32"
    assert {str(v.dtype) for v in twin.trainable_variables} == {kept}
    inner = [one for each in twin.layers for one in getattr(each, "layers", [each])]
    computing = [one for one in inner if not isinstance(one, layers.InputLayer)]
    assert {one.compute_dtype for one in computing} == {"float16"}
    assert all(type(one).__module__.startswith("keras.") for one in computing)
    x = np.random.default_rng(0).integers(0, 256, (4, 5, 5, 2), np.uint8)
    np.testing.assert_allclose(twin(x), stock(x), atol=5e-3)


OWN = """
import keras

class Tripled(keras.layers.Layer):
    def call(self, x):
        return 3 * x

def build(input_shape, classes):
    return net(Tripled(), input_shape, classes)

def hidden(input_shape, classes):
    class Inner(keras.layers.Layer):
        def call(self, x):
            return 2 * x
    return net(Inner(), input_shape, classes)

def net(layer, input_shape, classes):
    ends = keras.layers.Flatten(), layer, keras.layers.Dense(classes)
    return keras.Sequential([keras.Input(input_shape), *ends])

def broken(input_shape, classes):
    raise ValueError("my own mistake")
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder with nets of one's own, the working one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    data = contest._random_pixels(tmp_path, (4, 4, 1), 3, batch_size=4)

    def write(name):
        with runs.fresh():
            found = architecture.write(
                Run(model=f"own.py:{name}", dataset=data, batch_size=4), tmp_path
            )
        return found, architecture.loaded(tmp_path, "float16", "float16")

    return write


def test_a_layer_of_ones_own_need_not_be_registered(own):
    found, twin = own("build")
    assert found["parameters"] == 17 * 3 and "precision" not in found["settings"]
    inner = twin._flatten_layers(recursive=True)
    (layer,) = (one for one in inner if type(one).__name__ == "Tripled")
    assert layer.compute_dtype == "float16"


def test_a_layer_that_can_not_be_made_again_is_told(own):
    told = "own.py:hidden has a layer .*'Inner'.*register_keras_serializable"
    with pytest.raises(UserError, match=told) as caught:
        own("hidden")
    assert len(str(caught.value)) < 300


# Turns


class Pipe:
    """The contender's end of a pipe, with the parent's messages in it."""

    def __init__(self, *messages):
        self.messages, self.sent = list(messages), []

    def recv(self):
        return self.messages.pop(0)

    def send(self, message):
        self.sent.append(message)


def test_the_meter_counts_the_steps_of_a_round_and_waits_between_two(now):
    pipe = Pipe(("round", 0.0), ("ask", 7), ("round", 2.0), ("end",))
    clock = meter.Meter(pipe, {"ask": lambda value: value + 1})
    clock.begin()
    now[0] += 5
    settled = []
    clock.stepped(1, lambda: settled.append(now[0]))
    assert (pipe.sent, settled) == ([("round", (1, 5.0)), ("ask", 8)], [105.0])
    now[0] += 1.5
    clock.stepped(3)
    now[0] += 1.5
    with pytest.raises(meter.Finished):
        clock.stepped(4)
    assert pipe.sent[-1] == ("round", (7, 3.0))


def test_the_meter_leaves_out_what_is_no_step(now):
    pipe = Pipe(("round", 2.0), ("end",))
    clock = meter.Meter(pipe, {})
    clock.begin()
    clock.resume()  # it was not paused
    now[0] += 1.5
    clock.stepped(1)
    clock.pause()
    now[0] += 60
    clock.resume()
    now[0] += 0.25
    clock.stepped(1)  # the round goes on
    now[0] += 0.5
    with pytest.raises(meter.Finished):
        clock.stepped(1)
    assert pipe.sent == [("round", (3, 2.25))]


def test_keras16_trains_and_knows_its_state(written):
    case, _ = written
    pipe = Pipe(("round", 0.0), ("round", 0.02), ("inside", 0.02), ("end",))
    with runs.fresh(), runs.uncompiled():
        trainer = ours.Trainer(KERAS16, case)
        clock = meter.Meter(pipe, {"inside": trainer.inside})
        with pytest.raises(meter.Finished):
            trainer.train(clock)
        state = trainer.state()
    (_, (first, _)), (_, (steps, seconds)), (_, inside) = pipe.sent
    assert first == 1 and steps > 1 and seconds >= 0.02
    assert abs(inside) < 0.5  # seconds: a busy machine may turn the sign
    assert state["gradients"] == 2 * 158_211
    assert state["gradients"] <= state["slots"] < 1.01 * state["gradients"]


def test_stock_keras_has_the_optimizer_of_the_run():
    from keras16.benchmark import stock

    settings = {"optimizer": "sgd", "learning_rate": 0.5, "momentum": 0.25}
    sgd = stock.optimizer(settings)
    assert (float(sgd.learning_rate), sgd.momentum) == (0.5, 0.25)
    adam = stock.optimizer({**settings, "optimizer": "adam", "epsilon": 1e-3})
    assert (float(adam.learning_rate), adam.epsilon) == (0.5, 1e-3)


def test_stock_keras_trains_and_knows_its_state(written):
    from keras16.benchmark import stock

    case, _ = written
    pipe = Pipe(("round", 0.0), ("round", 0.02), ("inside", 0.02), ("end",))
    with runs.fresh():
        trainer = stock.Trainer(STOCK, case)
        clock = meter.Meter(pipe, {"inside": trainer.inside})
        with pytest.raises(meter.Finished):
            trainer.train(clock)
        state = trainer.state()
    (_, (first, _)), (_, (steps, _)), (_, inside) = pipe.sent
    assert first == 1 and steps >= 1 and abs(inside) < 0.5
    assert type(trainer.model.optimizer).__module__.startswith("keras.")
    assert state["gradients"] == 4 * 158_211


def test_a_loss_that_is_no_number_ends_keras16s_turn(written, monkeypatch):
    from keras16.metrics import mean

    case, _ = written
    monkeypatch.setattr(mean, "on_host", lambda metric: math.nan)
    with runs.fresh(), runs.uncompiled():
        trainer = ours.Trainer(KERAS16, case)
        trainer.loop = types.SimpleNamespace(train=lambda order, draws: len(order))
        with pytest.raises(UserError, match="NaN"):
            trainer.train(meter.Meter(Pipe(("round", 0.0), ("round", 9.0)), {}))


def test_who_can_not_take_part_says_why(monkeypatch):
    monkeypatch.setattr(worker.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install torch"):
        worker._check(plan.CONTENDERS["torch-half"])
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(UserError, match="TensorFlow's: there is none on JAX"):
        worker._check(plan.CONTENDERS["keras-16-noremap"])
    worker._check(STOCK)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UserError("no torch"), ("refused", "no torch")),
        (RuntimeError("it broke"), ("failed", "RuntimeError: it broke")),
    ],
)
def test_a_process_that_fails_tells_it_in_a_line(error, told, monkeypatch):
    def job(pipe):
        raise error

    monkeypatch.setattr(worker, "pin", lambda cores: None)
    monkeypatch.setattr(worker.signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    pipe = Pipe()
    worker.serve(pipe, None, (0,), job, ())
    assert pipe.sent == [told]


class FakeProcess:
    """A process that answers at once; its contender's speed drifts with the rounds."""

    turns: list[str] = []
    failing = ""
    stop_after = 10**9

    def __init__(self, rules, job, *arguments, before=None):
        self.rules, self.job = rules, job.__name__
        self.name = arguments[0].name if job is worker.compete else self.job
        self.ended = False

    def answer(self):
        if self.job == "describe":
            found = {"flops": 1000, "activations": 10, "parameters": 5}
            return {**found, "settings": {"optimizer": "adam"}}
        if self.name == "keras-mixed":
            raise contest.Failed("no kernel")
        return None

    def ask(self, what, *rest):
        if what == "measure":
            return {"float16": 2e6, "float32": 1e6, "copy": 1e6}
        if what == "memory":
            return {"weights": 4, "gradients": 2, "slots": 4, "peak": 100}
        if what != "round":
            return None if self.name == "keras-16" else 0.5
        FakeProcess.turns.append(self.name)
        if self.name == FakeProcess.failing and len(FakeProcess.turns) > 20:
            raise contest.Failed("it broke")
        if len(FakeProcess.turns) > FakeProcess.stop_after:
            raise contest.Stopped
        drift = 1 + len(FakeProcess.turns) // 10
        return 10, (10 if self.name == plan.REFERENCE else 20) * drift

    def end(self):
        self.ended = True


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(contest, "Process", FakeProcess)
    for name, value in (("turns", []), ("failing", ""), ("stop_after", 10**9)):
        monkeypatch.setattr(FakeProcess, name, value)
    return FakeProcess


def held(rounds=8, names="keras"):
    rules = contest.Rules(rounds, 0.1, (0,))
    run = Run(model="dnn", batch_size=4)
    return contest.run(run, plan.chosen(names), rules)


def test_each_has_a_turn_in_each_round_in_an_order_of_its_own(fake):
    outcome = held(names="keras16,keras-32")
    turns = fake.turns[6:-15]  # less first step, warm-up and overhead
    rounds = [tuple(turns[i : i + 3]) for i in range(0, len(turns), 3)]
    assert len(rounds) == 8 and all(len(set(one)) == 3 for one in rounds)
    assert len(set(rounds)) > 2
    row = next(row for row in outcome.rows if row.contender is STOCK)
    assert len(row.step_seconds) == 8
    assert row.state_bytes == 10 and row.peak_bytes == 100
    assert outcome.reference.overhead is not None


def test_one_that_fails_is_a_row_that_says_so_and_the_others_go_on(fake):
    fake.failing = "keras16-32"
    outcome = held()
    rows = {row.contender.name: row for row in outcome.rows}
    assert rows["keras-mixed"].problem == "no kernel"
    assert rows["keras-mixed"].step is None
    assert rows["keras16-32"].problem == "it broke"
    broken = rows["keras16-32"].step_seconds
    assert len(broken) == 8 and None in broken and broken[0] is not None
    assert len(outcome.reference.step_seconds) == 8
    assert rows["keras-16"].overhead is None  # its loop can't be measured
    notes = report.notes(outcome)
    assert "keras-mixed: no kernel" in notes and "keras16-32: it broke" in notes
    assert report.table(outcome)[3][:2] == ("keras-mixed", "-")


def test_what_was_measured_before_it_was_stopped_is_kept(fake):
    fake.stop_after = 24
    outcome = held()
    assert outcome.stopped
    assert 0 < len(outcome.reference.step_seconds) < 8
    assert outcome.reference.step is not None
    assert any("Stopped" in line for line in report.notes(outcome))


def test_a_net_that_can_not_be_built_is_the_users_error(fake, monkeypatch):
    def answer(self):
        raise contest.Failed("no model 'x'")

    monkeypatch.setattr(fake, "answer", answer)
    with pytest.raises(UserError, match="no model"):
        held()


def test_cores_are_no_more_than_there_are():
    assert contest.cores(1) == contest.cores(None)[:1]
    with pytest.raises(UserError, match="--cores 9999"):
        contest.cores(9999)


def test_processes_are_given_as_many_threads_as_cores(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with contest._environment(3):
        assert contest.os.environ["OMP_NUM_THREADS"] == "3"
        assert contest.os.environ["TF_NUM_INTRAOP_THREADS"] == "3"
    assert contest.os.environ["OMP_NUM_THREADS"] == "7"
    assert "TF_FORCE_GPU_ALLOW_GROWTH" not in contest.os.environ


# What it came to


def outcome():
    reference = Row(
        KERAS16,
        first_step_seconds=3.0,
        step_seconds=[0.01, 0.02, 0.01],
        pairs=[(0.012, 0.010)],
        state={"weights": 100, "gradients": 100, "slots": 200},
        peak_bytes=10**6,
    )
    peer = Row(STOCK, first_step_seconds=1.0, step_seconds=[0.02, 0.04, 0.02])
    absent = Row(plan.CONTENDERS["torch-half"], problem="PyTorch is not installed.")
    return Outcome(
        title="dnn, batch 4",
        model="dnn",
        batch_size=4,
        settings={"optimizer": "adam"},
        flops=10**9,
        activations=10**5,
        parameters=50,
        cores=2,
        rows=[reference, peer, absent],
        ceilings=[{"float16": 4e11, "float32": 1e11, "copy": 1e9}],
    )


def test_figures_follow_from_what_was_measured():
    found = outcome()
    reference, peer, absent = found.rows
    assert found.ratio(peer) == (2, 2, 2) and found.ratio(reference) is None
    assert found.ratio(absent) is None
    assert reference.overhead.median == pytest.approx(0.002)
    assert found.share_of_products(reference) == pytest.approx(1e11 / 4e11)
    assert found.share_of_products(peer) == pytest.approx(5e10 / 1e11)
    moved = 4 * 10**5 * 2 + 2 * 400
    assert found.share_of_copy(reference) == pytest.approx(moved / 0.01 / 1e9)
    assert found.share_of_copy(peer) is None and found.share_of_copy(absent) is None


def test_the_table_says_it_in_words():
    first, peer, absent = report.table(outcome())
    assert first == (
        *("keras16-16", "10 ms", "-", "3 s", "2 ms, 20 %", "400 bytes", "1 MB"),
        *("25 %", "8 %"),
    )
    assert peer[:4] == ("keras-32", "20 ms", "2 (2 to 2)", "1 s")
    assert set(absent[1:]) == {"-"}
    notes = " ".join(report.notes(outcome()))
    assert "float16 products 400 GFLOP/s" in notes and "memory 1 GB/s" in notes
    assert "2 cores, Keras on TensorFlow." in notes


def test_json_holds_every_round():
    found = json.loads(json.dumps(report.plain(outcome()), allow_nan=False))
    first, peer, absent = found["contenders"]
    assert first["rounds"] == [0.01, 0.02, 0.01] and first["problem"] is None
    assert peer["ratio"] == {"median": 2, "low": 2, "high": 2}
    assert absent["problem"] == "PyTorch is not installed."
    assert found["ceilings"]["copy"]["median"] == 1e9


def test_the_figure_has_a_bar_for_each_that_ran():
    drawn = report.figure([outcome(), outcome()])
    assert len(drawn.axes) == 2
    for axes in drawn.axes:
        widths = [patch.get_width() for patch in axes.patches]
        assert widths == pytest.approx([20.0, 10.0])  # the first is at the top
        names = [label.get_text() for label in axes.get_yticklabels()]
        assert names == ["keras-32", "keras16-16"]


def test_the_figure_says_what_its_intervals_are():
    few, many = outcome(), outcome()
    for row in many.rows:
        row.step_seconds = 2 * row.step_seconds
    labels = [axes.get_xlabel() for axes in report.figure([few, many]).axes]
    assert "least to greatest" in labels[0] and "95 % interval" in labels[1]


def test_company_is_told():
    one = outcome()
    assert not any("trusted" in line for line in report.notes(one))
    one.foreign_cores = 0.02
    assert not any("trusted" in line for line in report.notes(one))
    one.foreign_cores = 1.25
    assert any("kept 1.2 cores busy" in line for line in report.notes(one))
    assert report.plain(one)["foreign_cores"] == 1.25


def test_growth_has_a_column_for_each_net():
    rows = report.growth([outcome(), outcome()])
    assert rows[0] == ("keras16-16", "10 ms", "10 ms")
    assert rows[2] == ("torch-half", "-", "-")


# The machine's own rates


def test_rates_are_of_this_machine(monkeypatch):
    monkeypatch.setattr(ceilings, "SIZES", (64,))
    monkeypatch.setattr(ceilings, "Copy", _Copied)
    found = ceilings.Ceilings().measured()
    assert set(found) == {"float16", "bfloat16", "float32", "copy"}
    assert 1e6 < found["float32"] < 1e15


class _Copied:
    def rate(self):
        return 1.0


def test_the_copy_copies():
    copy = ceilings.Copy(2**20)
    assert 1e6 < copy.rate() < 1e13
    assert all((part == 1).all() for part in copy._to)


def test_a_peak_can_be_forgotten():
    block = np.ones(2**27, np.uint8)
    before = measure.peak_memory_bytes()
    del block
    measure.forget_peak()
    assert measure.resident_bytes() <= measure.peak_memory_bytes() <= before


# The command


def test_the_command_measures_for_real(tmp_path):
    figure = tmp_path / "bench.png"
    line = (
        "bench --models dnn --batch-sizes 4 --shape 4,4,1 --contenders keras-32 "
        f"--optimizer sgd --rounds 2 --seconds 0.02 --json --quiet --figure {figure}"
    )
    done = CliRunner().invoke(cli.cli, line.split())
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    (net,) = found["nets"]
    assert [one["name"] for one in net["contenders"]] == ["keras16-16", "keras-32"]
    sixteen, stock = net["contenders"]
    for one in net["contenders"]:
        assert one["problem"] is None
        assert len(one["rounds"]) == 2 and min(one["rounds"]) > 0
        assert one["first_step_seconds"] > one["step_seconds"]["median"]
        assert one["peak_bytes"] > 0
    assert 2 * sixteen["state_bytes"]["gradients"] == stock["state_bytes"]["gradients"]
    assert net["ceilings"]["float32"]["median"] > 0
    assert found["machine"]["cpu"] and found["seconds_a_turn"] == 0.02
    assert net["foreign_cores"] >= 0
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_a_net_that_is_refused_leaves_those_before_it(own):
    line = (
        "bench --models own.py:build,own.py:broken,own.py:build --batch-sizes 4,4 "
        "--shape 4,4,1 --contenders keras16-16 --rounds 1 --seconds 0.02 --quiet"
    )
    done = CliRunner().invoke(cli.cli, line.split())
    assert done.exit_code == 2
    assert "in broken(): ValueError: my own mistake" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout.count("own.build, batch 4") == 1  # what is named twice runs once
    alone = "bench --models own.py:broken,own.py:broken --batch-sizes 4,5 --shape 4,4,1"
    done = CliRunner().invoke(cli.cli, [*alone.split(), "--json", "--quiet"])
    assert done.exit_code == 2
    found = json.loads(done.stdout)
    assert found["nets"] == [] and len(found["refused"]) == 2
    assert "my own mistake" in found["refused"]["own.broken, batch 4"]


def test_a_batch_that_does_not_fit_leaves_those_before_it(own):
    line = (
        f"bench --model own.py:build --batch-sizes 4,{10**14} --shape 4,4,1 --quiet "
        "--contenders keras16-16 --rounds 1 --seconds 0.02 --json"
    )
    done = CliRunner().invoke(cli.cli, line.split())
    assert done.exit_code == 2
    found = json.loads(done.stdout)
    assert [net["batch_size"] for net in found["nets"]] == [4]
    (told,) = found["refused"].values()
    assert told.startswith("not enough memory: ") and told in done.stderr


def test_more_than_fits_into_memory_is_told_in_a_line():
    done = CliRunner().invoke(cli.cli, ["bench", "--batch-size", f"{10**14}"])
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith("keras16: not enough memory: ")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("--models nothing", "no model 'nothing'"),
        ("--models ,", "--models"),
        ("--batch-sizes 0", "--batch-sizes"),
        ("--batch-sizes ,", "at least one number"),
        ("--contenders jax", "no contender 'jax'"),
        ("--optimizer lion", "--optimizer"),
        ("--cores 9999", "--cores 9999"),
        ("--figure bench.txt", ".png, .pdf or .svg"),
        ("--figure no/such/bench.png", "no such folder"),
    ],
)
def test_what_can_not_be_used_is_told_in_a_line(line, told):
    done = CliRunner().invoke(cli.cli, ["bench", *line.split()])
    assert done.exit_code == 2, done.output
    assert told in done.stderr and done.stderr.count("\n") == 1
