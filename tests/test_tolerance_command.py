"""`keras16 tolerance` on saved models and on runs, and its report."""

import contextlib
import json

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from runs import few, fresh, uncompiled

from keras16 import cli, convert, store, tolerance, tracking, training
from keras16.report import tolerance as report
from keras16.report import tolerance_figures
from keras16.study import Run
from keras16.tolerance import formats, shifts

RUN = "dnn-mnist5k-16-adam-s0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working directory: a recorded run, saved models, two data sets."""
    here = tmp_path_factory.mktemp("work")
    with fresh(), uncompiled(), contextlib.chdir(here):
        result = training.fit(Run(**few()), audit=False)
        result.model.save("net16.keras")
        convert(result.model, "32").save("net32.keras")
        with tracking.track(result.run) as tracked:
            tracked.finished(result, here / "net16.keras")
        assert tracked.problem == ""
        save_data(here, result.dataset)
        (here / "broken.keras").write_bytes(b"no model")
    return here


def save_data(here, dataset):
    """60 digits, their negatives, and images of another shape."""
    x, y = dataset.x_test[:60], dataset.y_test[:60]
    many = {"x_train": dataset.x_train[:100], "y_train": dataset.y_train[:100]}
    np.savez(here / "digits.npz", x_test=x, y_test=y, **many)
    np.savez(here / "negatives.npz", x_test=255 - x, y_test=y, **many)
    many["x_train"] = many["x_train"][:, :14]
    np.savez(here / "halves.npz", x_test=x[:, :14], y_test=y, **many)


@pytest.fixture
def invoke(folder, monkeypatch):
    monkeypatch.chdir(folder)

    def invoked(*arguments):
        return CliRunner().invoke(cli.cli, ["tolerance", *arguments])

    return invoked


def test_one_file_is_compared_with_its_cast(invoke, folder):
    done = invoke("net32.keras", "--dataset", "digits.npz", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["comparison"] == "cast"
    assert found["examples"] == 60
    assert 0 < found["delta"]["mean"] < 5e-3 < 0.1 < found["gamma"]["mean"]
    assert found["delta"]["variance"] < found["gamma"]["variance"]
    assert 0.9 < found["certified"] <= 1
    assert found["certified_disagreements"] == 0
    assert found["proven"] > 0.5
    assert found["open"] == []
    assert (found["model"], found["precision"]) == ("net32", "32")
    assert found["recorded"]
    recorded = files_of(folder, found["run_id"])
    assert recorded == {"answers.csv", "tolerance.json", "tolerance.png"}


def files_of(folder, run_id):
    artifacts = folder / "mlruns" / "artifacts" / run_id / "artifacts"
    return {path.name for path in artifacts.iterdir()}


def test_a_run_and_a_file_are_two_nets(invoke, folder):
    from mlflow import MlflowClient

    arguments = ("--dataset", "digits.npz", "--examples", "30")
    extras = ("--formats", "float8_e5m2,e8m5", "--other", "negatives.npz", "--layers")
    done = invoke(RUN, "net32.keras", *arguments, *extras, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert list(found["comparisons"]) == ["trained", "cast"]
    assert list(found["formats"]) == ["float8_e5m2", "e8m5"]
    assert found["shifts"][-1]["kind"] == "negatives"
    assert found["examples"] == 30
    client = MlflowClient(store.store_uri())
    run = client.get_run(found["run_id"])
    parent = client.get_run(run.data.tags["mlflow.parentRunId"])
    assert parent.info.run_name == RUN
    assert run.data.params["precision"] == "16 32"
    metrics = run.data.metrics
    assert metrics["cast_delta_mean"] == found["comparisons"]["cast"]["delta"]["mean"]
    assert metrics["trained_certified_disagreements"] == 0
    assert metrics["certified_e8m5"] == found["formats"]["e8m5"]["certified"]
    assert 0.2 < found["estimate"]["ratio"] == metrics["estimate_ratio"] < 5
    assert sum(share for _, share in found["estimate"]["layers"]) == pytest.approx(1)
    assert {"formats.png", "layers.png", "shifts.png"} <= files_of(
        folder, found["run_id"]
    )


def test_the_data_set_is_the_runs_own(invoke):
    done = invoke(RUN, "--examples", "20", "--shifts", "--layers")
    assert done.exit_code == 0, done.output
    assert "cast: rounding alone" in done.stdout
    assert "contrast" in done.stdout
    assert "share of the estimated error" in done.stdout
    assert "(no bound)" in done.stdout
    assert "20 of 20 answers are certified" in done.stdout.replace("\n", " ")
    assert "Browse the run" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "or give --floor"),
        (["nothing.keras"], "no file nothing.keras"),
        (["broken.keras"], "broken.keras is damaged or no .keras file"),
        (["no-such-run"], "no run 'no-such-run' with a model"),
        (["0" * 32], "with a model"),
        (["net16.keras", "--dataset", "halves.npz"], "takes inputs of shape (28, 28"),
        (["net16.keras", "--formats", "e1m9"], "e1m9"),
        (["net16.keras", "--examples", "0"], "'--examples'"),
        (["net16.keras", "--tracking-uri", "ftp://no"], "ftp://no"),
    ],
)
def test_bad_input_takes_one_line(invoke, arguments, words):
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_record_that_fails_is_told(invoke, folder, tmp_path):
    full = tmp_path / "full"
    full.write_text("no folder")
    uri = f"sqlite:///{full}/mlflow.db"
    given = ("net16.keras", "--dataset", "digits.npz", "--examples", "8")
    done = invoke(*given, "--tracking-uri", uri)
    assert done.exit_code == 1
    assert "fails" in done.stderr
    assert "8 of 8 answers are certified" in done.stdout.replace("\n", " ")


def test_a_model_without_a_softmax_or_pixels_is_standardized(invoke, folder):
    keras.utils.set_random_seed(0)
    layers = [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
    keras.Sequential(layers).save(folder / "plain.keras")
    given = ("--dataset", "digits.npz", "--examples", "8")
    done = invoke("plain.keras", *given, "--json")
    found = json.loads(done.stdout)
    assert 0 < found["delta"]["mean"] < 0.01  # of pixels up to 255 it is worse
    mixed = invoke("plain.keras", "net16.keras", *given)
    assert mixed.exit_code == 2
    assert "some take floats" in mixed.stderr


def test_the_floor_needs_no_model(invoke, folder, monkeypatch):
    from keras16.tolerance import floor

    monkeypatch.setattr(floor, "floors", lambda: descents())
    done = invoke("--floor", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [one["rounding"] for one in found["floor"]] == ["nearest", "kahan"]
    assert files_of(folder, found["run_id"]) == {"floor.json", "floor.png"}
    assert "Below the highest floor: kahan." in invoke("--floor").stdout
    monkeypatch.setattr(floor, "floors", lambda: descents(distance=0.01))
    done = invoke("--floor")
    assert done.exit_code == 1
    assert "BELOW THEIR BOUND" in done.stdout


def descents(distance=0.05):
    """One to nearest with a floor of 0.02, and one of Kahan's below it."""
    from keras16.tolerance.floor import Floor

    nearest = Floor("nearest", 0.25, 80, distance, 0.02, True)
    return [nearest, Floor("kahan", 0.25, 99, 0.001, 0.0001, False)]


# The report


def comparison(kind, delta, gamma, agrees=True):
    found = np.asarray(delta, float), np.asarray(gamma, float)
    return tolerance.Comparison(kind, *found, np.full(len(delta), agrees))


def judgement(**given):
    cast = comparison("cast", [0.1, 0.2], [0.5, 0.3])
    shifted = tuple(
        shifts.Shifted(kind, strength, cast, 0.5)
        for kind, strength in [("none", 0.0), ("noise", 1.0), ("contrast", 0.5)]
    )
    several = [comparison(one.name, [0.1], [0.3]) for one in formats.GRID]
    whole = {"comparisons": (cast,), "formats": tuple(several), "shifts": shifted}
    return tolerance.Judgement(**whole | given)


def test_the_report_tells_what_was_proven(tmp_path):
    found = judgement(proven=np.array([True, False]))
    assert report.verdict(found).endswith("1 are proven without the other net.")
    assert report.plain(found)["proven"] == 0.5
    assert report.metrics(found)["proven"] == 0.5
    report.write(found, "a net on data", tmp_path)
    lines = (tmp_path / "answers.csv").read_text().splitlines()
    assert lines[1:] == ["0,0.1,0.5,yes,yes,yes", "1,0.2,0.3,no,yes,no"]
    written = {path.name for path in tmp_path.iterdir()}
    figures = {"formats.png", "shifts.png", "tolerance.png"}
    assert written == {"answers.csv", "tolerance.json"} | figures


def test_a_panel_of_other_data_is_drawn_only_of_other_data():
    several = judgement().shifts
    other = several[-1]._replace(kind="negatives", strength=0.0)
    for shifted, labels in (
        (several, ["Noise [sd of inputs]", "Contrast lost"]),
        ((*several, other), ["Noise [sd of inputs]", "Contrast lost", "Data set"]),
    ):
        figure = tolerance_figures.by_shift(shifted, "a net on data")
        assert [axes.get_xlabel() for axes in figure.axes] == labels


def test_what_there_is_no_bound_for_is_told():
    found = judgement(
        proven=np.zeros(2, bool), open=("a (A)", "b (B)", "c (C)", "d (D)")
    )
    words = "Nothing is proven: there is no bound for a (A), b (B), c (C) and 1 more."
    assert report.verdict(found).endswith(words)
    shares = judgement(bound_shares={"few": 0.01, "most": 0.5})
    assert report.bound_table(shares) == [("most", "0.5"), ("few", "0.01")]


def test_certified_answers_that_differ_are_shouted():
    broken = comparison("cast", [0.1], [0.9], agrees=False)
    found = judgement(comparisons=(broken,))
    assert "1 OF THEM CERTIFIED" in report.verdict(found)
    assert found.certified_disagreements == 1


def test_the_published_orders_of_magnitude_stand_first():
    first, second = report.table(judgement())
    assert first[1:5] == ("1e-3", "1e-5 to 1e-4", "1e-1", "1e-2")
    assert second == ("cast: rounding alone", "0.15", "0.0025", "0.4", "0.01", *LAST)


LAST = ("50.00%", "0")


def test_nothing_but_nan_makes_a_report(tmp_path):
    nothing = comparison("cast", [np.nan], [np.nan])
    found = judgement(comparisons=(nothing,), formats=(), shifts=())
    report.write(found, "nothing", tmp_path)
    assert report.plain(found)["certified"] == 0
    assert json.loads((tmp_path / "tolerance.json").read_text())
