"""What MLflow holds of a study, read back through MLflow's own client."""

import dataclasses
import multiprocessing
import operator

import filelock
import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from keras16 import store
from keras16.analysis import cells
from keras16.errors import UserError
from keras16.results import Epoch, Record
from keras16.study import Arm, Row, Run, Study
from keras16.tracking import _study, records, study

pytestmark = [
    # MLflow's, at the first use of its tables.
    pytest.mark.filterwarnings("ignore:.*noload.*:DeprecationWarning"),
]
CLOSED = "http://127.0.0.1:9"  # nothing listens on the discard port
STUDY = Study(
    name="digits",
    title="Digits in 16 bits",
    question="Is it as good?",
    run=Run(epochs=2),
    rows=(Row(name="dnn", fields={"model": "dnn"}),),
    arms=(
        Arm(name="16", fields={"precision": "16"}),
        Arm(name="32", fields={"precision": "32"}),
    ),
    seeds=2,
)
CREATE_RUN = MlflowClient.create_run
EPOCHS = tuple(Epoch(n, 1.0 / n, 0.5, 0.4, 0.9, 1.5, 1e-3) for n in (1, 2))


def record(planned, **fields):
    return Record(
        study="digits",
        row=planned.row,
        arm=planned.arm,
        pair=planned.seed,
        run=planned.run,
        **{
            "status": "finished",
            "test_accuracy": 0.97,
            "median_epoch_seconds": 1.5,
            "weight_bytes": 1000,
            "epochs": EPOCHS,
            "began": 1.7e9,
            "wall_seconds": 60.0,
            "code": "abc",
            "fingerprint": {"cpu": "a CPU", "gpu": ""},
            **fields,
        },
    )


RECORDS = [record(planned) for planned in STUDY.runs()]
FAILED = record(STUDY.runs()[0], status="failed", cause="NaN", test_accuracy=None)


@pytest.fixture
def uri(tmp_path):
    return f"sqlite:///{tmp_path}/mlruns/mlflow.db"


def runs(uri, kind, view=ViewType.ACTIVE_ONLY):
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("digits")
    return client.search_runs(
        [experiment.experiment_id], f"tags.`keras16.kind` = '{kind}'", view
    )


def test_a_child_for_each_run_under_one_parent(uri):
    with study(STUDY, uri) as tracked:
        tracked.sync(RECORDS[:2])
        for one in RECORDS:
            tracked.ended(one)
    assert tracked.problem == ""
    with study(STUDY, uri) as again:  # another process, later
        again.sync(RECORDS)
    (parent,) = runs(uri, "study")
    children = runs(uri, "run")
    assert again.parent_id == parent.info.run_id
    assert parent.info.run_name == "Digits in 16 bits"
    assert parent.info.status == "FINISHED"
    assert len(children) == 4
    assert {child.data.tags["mlflow.parentRunId"] for child in children} == {
        parent.info.run_id
    }
    names = {child.info.run_name for child in children}
    assert names == {
        f"dnn, {arm}, seed {seed}" for arm in ("16", "32") for seed in (0, 1)
    }


def test_a_child_answers_accuracy_time_and_size_by_precision(uri):
    with study(STUDY, uri) as tracked:
        tracked.ended(RECORDS[0])
    (child,) = runs(uri, "run")
    assert child.data.params["precision"] == "16"
    assert child.data.params["row"] == "dnn"
    assert child.data.metrics["test_accuracy"] == 0.97
    assert child.data.metrics["median_epoch_seconds"] == 1.5
    assert child.data.metrics["weight_bytes"] == 1000
    # By the names of the means, so that the compare view takes both.
    assert child.data.metrics["accuracy_percent"] == 97
    assert child.data.metrics["model_megabytes"] == 0.001
    assert child.data.tags["cpu"] == "a CPU"
    history = MlflowClient(uri).get_metric_history(child.info.run_id, "val_accuracy")
    assert [(m.step, m.value) for m in history] == [(1, 0.9), (2, 0.9)]
    assert child.info.start_time == 1_700_000_000_000
    assert child.info.end_time == 1_700_000_060_000


def test_a_run_that_failed_is_a_result(uri):
    with study(STUDY, uri) as tracked:
        tracked.ended(FAILED)
    (child,) = runs(uri, "run")
    assert child.info.status == "FAILED"
    assert child.data.tags["cause"] == "NaN"
    assert "test_accuracy" not in child.data.metrics


def test_what_a_store_did_not_take_follows_when_it_is_back(uri, monkeypatch):
    """It fails in the middle of a child; nothing is lost and nothing is there twice."""
    monkeypatch.setattr(_study, "SECONDS_BETWEEN_TRIES", 0.0)
    whole = MlflowClient.set_terminated
    calls = []

    def failing(self, run_id, *args, **kwargs):
        calls.append(run_id)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return whole(self, run_id, *args, **kwargs)

    monkeypatch.setattr(MlflowClient, "set_terminated", failing)
    with study(STUDY, uri) as tracked:
        tracked.ended(RECORDS[0])
        tracked.ended(RECORDS[1])
        assert "No space left on device" in tracked.problem
        assert "No space left on device): 1 run is not recorded." in tracked.problem
        assert tracked.problem.endswith(
            " Everything is kept in mlruns/: the same `keras16 study run` again sends "
            "what is missing."
        )
        tracked.ended(RECORDS[2])
        assert tracked.problem == ""
        assert len(runs(uri, "run")) == 3  # no half is left
    with study(STUDY, uri) as again:
        again.sync(RECORDS)
    children = runs(uri, "run")
    assert len(children) == 4
    assert all(child.data.tags["keras16.whole"] == "yes" for child in children)


def test_what_is_missing_is_counted_without_what_is_there(uri, monkeypatch):
    def away(*args, **kwargs):
        raise ConnectionRefusedError(111, "Connection refused")

    with study(STUDY, uri) as tracked:
        tracked.sync(RECORDS[:2])
        monkeypatch.setattr(MlflowClient, "create_run", away)
        tracked.sync(RECORDS)
        assert "refused): 2 runs are not recorded. Every" in tracked.problem
        monkeypatch.undo()
        tracked.sync(RECORDS)
        monkeypatch.setattr(MlflowClient, "search_runs", away)
        tracked.means(RECORDS)
        assert "all runs are recorded, but not the means or the" in tracked.problem
        monkeypatch.undo()


def lost_answer(self, *args, **kwargs):
    CREATE_RUN(self, *args, **kwargs)
    raise ConnectionResetError(104, "Connection reset by peer")


def asked_twice(self, *args, **kwargs):
    """As MLflow's client does where no answer comes: the first has arrived, too."""
    CREATE_RUN(self, *args, **kwargs)
    return CREATE_RUN(self, *args, **kwargs)


@pytest.mark.parametrize("create", [lost_answer, asked_twice])
def test_no_ghost_is_left_of_a_child_whose_creation_got_no_answer(
    uri, monkeypatch, create
):
    monkeypatch.setattr(_study, "SECONDS_BETWEEN_TRIES", 0.0)
    with study(STUDY, uri) as tracked:
        tracked.ended(RECORDS[0])
        monkeypatch.setattr(MlflowClient, "create_run", create)
        tracked.ended(RECORDS[1])
        monkeypatch.undo()
    assert len(runs(uri, "run")) == 2
    everything = runs(uri, "run", view=ViewType.ALL)
    assert sorted(run.info.status for run in everything) == [
        "FINISHED",
        "FINISHED",
        "KILLED",  # deleted: none runs for ever in MLflow's table of the deleted
    ]


def test_means_that_got_no_answer_are_taken_up_or_deleted(uri, monkeypatch):
    with study(STUDY, uri) as tracked:
        tracked.sync(RECORDS)
        for create in (lost_answer, asked_twice):
            monkeypatch.setattr(MlflowClient, "create_run", create)
            tracked.means(RECORDS)
        monkeypatch.undo()
        tracked.means(RECORDS)
    found = runs(uri, "means")
    assert sorted(run.info.run_name for run in found) == ["dnn, 16", "dnn, 32"]
    assert {run.info.status for run in found} == {"FINISHED"}
    assert {run.data.params["row"] for run in found} == {"dnn"}


def test_a_server_that_is_away_costs_little_and_loses_nothing(uri):
    with study(STUDY, CLOSED) as tracked:
        for one in RECORDS:
            tracked.ended(one)
        assert "Connection refused" in tracked.problem
    assert "refused): up to 4 runs are not recorded. Every" in tracked.problem
    assert tracked.where == f"Nothing was recorded in {CLOSED}."
    with study(STUDY, uri) as there:
        there.sync(RECORDS)
    assert len(runs(uri, "run")) == 4


def test_every_record_comes_back_from_the_store(uri):
    with study(STUDY, uri) as tracked:
        tracked.sync([*RECORDS, FAILED])
    found = records("digits", uri)
    key = operator.attrgetter("pair", "arm", "status")
    assert sorted(found, key=key) == sorted([*RECORDS, FAILED], key=key)
    with pytest.raises(UserError, match="holds no study letters: run it first"):
        records("letters", uri)
    with pytest.raises(UserError, match=r"can't be read \(Connection refused\)"):
        records("digits", CLOSED)


def test_the_means_stand_beside_the_parent_and_are_renewed(uri):
    """MLflow's table folds children, and its charts leave them out."""
    better = dataclasses.replace(RECORDS[2], test_accuracy=0.99)
    with study(STUDY, uri) as tracked:
        tracked.means(RECORDS[:2])
        tracked.means([*RECORDS[:2], better, FAILED])
    found = {run.info.run_name: run for run in runs(uri, "means")}
    assert set(found) == {"dnn, 16", "dnn, 32"}
    sixteen = found["dnn, 16"]
    assert "mlflow.parentRunId" not in sixteen.data.tags
    assert sixteen.data.params["precision"] == "16"
    assert "seed" not in sixteen.data.params
    numbers = sixteen.data.metrics
    assert numbers["seeds"] == 2 and numbers["failures"] == 1  # the later one counts
    assert numbers["accuracy_percent"] == 99
    assert numbers["model_megabytes"] == 0.001


def test_a_run_that_was_trained_again_counts_and_leaves_no_cause(uri):
    retried = dataclasses.replace(RECORDS[0], began=1.7e9 + 60, fingerprint={"cpu": ""})
    with study(STUDY, uri) as tracked:
        tracked.sync([FAILED, *RECORDS[1:]])
        tracked.means([FAILED, *RECORDS[1:]])
    (before,) = [run for run in runs(uri, "means") if run.data.tags["arm"] == "16"]
    assert before.data.tags["cause"] == "NaN"
    MlflowClient(uri).set_tag(before.info.run_id, "mine", "a word")
    with study(STUDY, uri) as tracked:
        tracked.sync([retried, *RECORDS[1:]])
        tracked.means([retried, *RECORDS[1:]])
    (after,) = [run for run in runs(uri, "means") if run.data.tags["arm"] == "16"]
    assert after.info.run_id == before.info.run_id
    assert after.data.metrics["failures"] == 0
    assert not {"cause", "cpu"} & set(after.data.tags)
    assert after.data.tags["mine"] == "a word"
    grid = cells.grid(STUDY, records("digits", uri))
    assert grid.cell("dnn", "16").failures == 0
    assert grid.strays == 1


def test_the_means_name_the_cause_of_whichever_seed_failed(uri):
    second = dataclasses.replace(FAILED, pair=1)
    with study(STUDY, uri) as tracked:
        tracked.means([RECORDS[0], second])
    (means,) = runs(uri, "means")
    assert means.data.tags["cause"] == "NaN"


def test_means_of_other_fields_are_no_means_of_these(uri):
    longer = [
        dataclasses.replace(one, run=dataclasses.replace(one.run, epochs=8))
        for one in RECORDS
    ]
    with study(STUDY, uri) as tracked:
        tracked.means(RECORDS)
    before = {run.info.run_id for run in runs(uri, "means")}
    with study(STUDY.scaled(epochs=8), uri) as tracked:
        tracked.means(longer)
    found = runs(uri, "means")
    assert [run.data.params["epochs"] for run in found] == ["8", "8"]
    assert not before & {run.info.run_id for run in found}


def test_a_study_that_is_refused_half_way_is_over_in_mlflow(uri):
    with (
        pytest.raises(UserError, match="a net of one's own"),
        study(STUDY, uri) as tracked,
    ):
        tracked.sync(RECORDS[:1])
        raise UserError("a net of one's own")
    (parent,) = runs(uri, "study")
    assert parent.info.status == "FINISHED"
    assert len(runs(uri, "run")) == 1


def test_an_experiment_that_was_deleted_is_told_with_what_to_do(uri):
    with study(STUDY, uri) as tracked:
        tracked.sync(RECORDS[:1])
    client = MlflowClient(uri)
    (number,) = {run.info.experiment_id for run in runs(uri, "run")}
    client.delete_experiment(number)
    with study(STUDY, uri, "keras16 compare") as tracked:
        tracked.sync(RECORDS)
    said = f"`mlflow experiments restore --experiment-id {number}`"
    assert said in tracked.problem
    assert "the same `keras16 compare` again sends" in tracked.problem
    client.restore_experiment(number)
    with study(STUDY, uri) as tracked:
        tracked.sync(RECORDS)
    assert tracked.problem == "" and len(runs(uri, "run")) == 4


@pytest.mark.parametrize("name", ["a%41 b", "what?", "ü #1"])
def test_a_folder_of_any_name_has_a_store(name, tmp_path, monkeypatch):
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    uri = store.store_uri()
    assert store.store_uri(uri) == uri
    with study(STUDY, uri) as tracked:
        tracked.sync(RECORDS)
    assert tracked.problem == ""
    assert (folder / "mlruns/mlflow.db").is_file()
    # Beside it MLflow makes an empty folder that is called as the URI has it.
    assert [file for file in tmp_path.rglob("*.db")] == [folder / "mlruns/mlflow.db"]
    assert len(records("digits", uri)) == 4


def test_the_report_lies_with_the_parent(uri, tmp_path):
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "digits.md").write_text("# Digits")
    with study(STUDY, uri) as tracked:
        tracked.report(["It is as good."], folder)
    (parent,) = runs(uri, "study")
    client = MlflowClient(uri)
    found = client.list_artifacts(parent.info.run_id, "report")
    assert [file.path for file in found] == ["report/digits.md"]
    note = parent.data.tags["mlflow.note.content"]
    assert note == "Is it as good?\n\nIt is as good."


def test_two_that_run_one_study_write_each_run_once(uri, monkeypatch):
    """Each looks at all children when it opens, and then hears of its own alone."""
    whole = _study.TrackedStudy._write
    held = []

    def write(self, name, record):
        lock = other._lock()
        with pytest.raises(filelock.Timeout):
            lock.acquire(blocking=False)  # nobody takes it for a half of the dead
        held.append(name)
        whole(self, name, record)

    monkeypatch.setattr(_study.TrackedStudy, "_write", write)
    with study(STUDY, uri) as one, study(STUDY, uri) as other:
        one.sync(RECORDS[:1])
        other.sync(RECORDS[:1])
        one.ended(RECORDS[1])
        other.ended(RECORDS[1])
        other.sync(RECORDS)
        one.sync(RECORDS)
    assert (one.problem, other.problem) == ("", "")
    assert len(held) == 4
    assert len(runs(uri, "run")) == 4 and len(runs(uri, "study")) == 1


def write_some(uri, seed):
    for name in (f"study{seed}", "shared"):
        own = dataclasses.replace(STUDY, name=name)
        with study(own, uri) as tracked:
            for number in range(5):
                tracked.ended(dataclasses.replace(RECORDS[0], pair=number))
        assert tracked.problem == ""


def test_several_processes_lose_no_record_and_write_none_twice(uri):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_some, args=(uri, n)) for n in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    client = MlflowClient(uri)
    for name in ("study0", "study1", "shared"):
        experiment = client.get_experiment_by_name(name)
        found = client.search_runs(
            [experiment.experiment_id], "tags.`keras16.whole` = 'yes'"
        )
        assert len(found) == 5
