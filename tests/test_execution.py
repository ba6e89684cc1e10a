"""Runs in processes of their own: what is over stays, what is killed goes on."""

import dataclasses
import json
import pathlib
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from keras16 import measure
from keras16.errors import UserError
from keras16.execution import child, identity, pool, sizes, worker
from keras16.execution.company import Company
from keras16.execution.environment import for_child
from keras16.execution.ledger import Entry, Ledger
from keras16.kernels import Library
from keras16.results import Record
from keras16.study import Arm, Planned, Row, Run, Study

RUN = Run(model="dnn", precision="32", epochs=2, validation=0.9, batch_size=50)
STUDY = Study(
    name="two",
    title="Two",
    question="?",
    run=RUN,
    rows=(Row(name="dnn", fields={}), Row(name="slow", fields={"learning_rate": 1e-4})),
    arms=(
        Arm(name="16", fields={"precision": "16"}),
        Arm(name="32", fields={"precision": "32"}),
        Arm(name="again", fields={"precision": "32"}, seed_offset=100),
    ),
    seeds=2,
)

# --- A study's runs


def test_every_seed_is_done_for_all_rows_and_arms_before_the_next():
    runs = STUDY.runs()
    assert len(runs) == len({planned.run for planned in runs}) == 12
    assert [(p.row, p.arm, p.seed) for p in runs[:4]] == [
        ("dnn", "16", 0),
        ("dnn", "32", 0),
        ("dnn", "again", 0),
        ("slow", "16", 0),
    ]
    assert [p.run.seed for p in runs if p.row == "dnn"] == [0, 0, 100, 1, 1, 101]


def test_a_scaled_study_has_fewer_and_shorter_runs():
    small = STUDY.scaled(seeds=1, epochs=7, models=("slow",))
    assert [(p.row, p.run.epochs) for p in small.runs()] == [("slow", 7)] * 3
    assert STUDY.scaled(models=("dnn",)).rows == STUDY.rows  # of that model, both
    with pytest.raises(
        UserError, match="study two has no 'vgg16': there are dnn, slow"
    ):
        STUDY.scaled(models=("vgg16",))


def arms_of(*names, study=STUDY):
    return [arm.name for arm in study.scaled(arms=names).arms]


def test_a_scaled_study_has_the_arms_that_were_asked_for():
    assert arms_of("again", "16") == ["16", "again"]  # in the study's order
    assert arms_of() == ["16", "32", "again"]
    with pytest.raises(
        UserError, match="study two has no arm '8': there are 16, 32, again"
    ):
        STUDY.scaled(arms=("16", "8"))


def test_names_with_commas_may_come_in_parts():
    arms = tuple(Arm(name=name, fields={}) for name in ("16", "16, Kahan", "32"))
    study = dataclasses.replace(STUDY, arms=arms)
    for asked in (("16, Kahan",), ("16", "Kahan"), ("16,Kahan",)):
        assert arms_of(*asked, study=study) == ["16, Kahan"]
    assert arms_of("16", "16", "Kahan", study=study) == ["16", "16, Kahan"]
    assert arms_of("16", "32", study=study) == ["16", "32"]
    with pytest.raises(UserError, match="no arm 'Kahan': there are 16, '16, Kahan', 3"):
        study.scaled(arms=("Kahan",))


# --- Identity


def test_a_run_is_known_by_its_fields_and_the_content_of_its_files(tmp_path):
    file = tmp_path / "net.py"
    file.write_text("a = 1")
    run = dataclasses.replace(RUN, model=f"{file}:build")
    before = identity.key(run)
    assert identity.key(run) == before
    assert identity.key(dataclasses.replace(run, seed=1)) != before
    file.write_text("a = 22")
    assert identity.key(run) != before


def test_the_code_is_what_trains_and_nothing_else(tmp_path, monkeypatch):
    names = {path.name for path in pathlib.Path(identity.__file__).parents[1].iterdir()}
    assert identity.ASIDE - {"tolerance"} <= names
    assert "training.py" not in identity.ASIDE
    identity.code.cache_clear()
    before = identity.code()
    monkeypatch.setattr(identity.hardware, "version", lambda package: "other")
    identity.code.cache_clear()
    assert identity.code() != before
    identity.code.cache_clear()


def test_the_code_is_the_compiled_kernels_too(tmp_path, monkeypatch):
    found = []
    for contents in ([b"one"], [b"another"], [b"one", b"another"], []):
        given = []
        for number, content in enumerate(contents):
            given.append(Library("AVX2", "avx2", tmp_path / f"{number}.so"))
            given[-1].path.write_bytes(content)
        monkeypatch.setattr(identity.kernels, "libraries", lambda given=given: given)
        identity.code.cache_clear()
        found.append(identity.code())
    assert len(set(found)) == 4
    identity.code.cache_clear()


# --- The ledger


def planned(seed=0, **fields):
    run = dataclasses.replace(RUN, seed=seed, **fields)
    return Planned(row="dnn", arm="32", seed=seed, run=run)


def record_of(one, **fields):
    return Record(
        study="", row="", arm="", pair=0, run=one.run, status="finished", **fields
    )


def test_the_ledger_tells_what_is_over_running_and_pending(tmp_path):
    ledger = Ledger(tmp_path)
    runs = [planned(seed) for seed in range(4)]
    entries = [ledger.entry(one.run) for one in runs]
    entries[0].write(record_of(runs[0], test_accuracy=0.5))
    entries[1].write(dataclasses.replace(record_of(runs[1]), status="crashed"))
    with entries[2].lock():
        assert ledger.counts(runs) == {
            "total": 4,
            "finished": 1,
            "failed": 1,
            "running": 1,
            "pending": 1,
        }
    assert ledger.counts(runs)["running"] == 0
    first, second = ledger.records("mine", runs)
    assert (first.study, first.row, first.arm, first.pair) == ("mine", "dnn", "32", 0)
    assert (first.test_accuracy, second.status) == (0.5, "crashed")
    assert ledger.of_other_code(runs) == 0


def test_the_ledger_tells_what_another_version_of_the_code_trained(
    tmp_path, monkeypatch
):
    ledger = Ledger(tmp_path)
    runs = [planned(seed) for seed in range(3)]
    for one in runs[:2]:
        ledger.entry(one.run).write(record_of(one, test_accuracy=0.5))
    monkeypatch.setattr(identity, "code", lambda: "another")
    ledger.entry(runs[0].run).write(record_of(runs[0], test_accuracy=0.6))
    assert ledger.of_other_code(runs) == 1
    assert ledger.counts(runs)["pending"] == 2


def test_another_version_of_the_code_runs_again_but_is_reported(tmp_path, monkeypatch):
    ledger, one = Ledger(tmp_path), planned()
    ledger.entry(one.run).write(record_of(one, code="old"))
    monkeypatch.setattr(identity, "code", lambda: "new")
    assert ledger.found("mine", one, older=False) is None
    found = ledger.found("mine", one, older=True)
    assert found is not None and found.code == "old"


def test_a_record_replaces_its_checkpoint_and_a_broken_one_is_told(tmp_path):
    entry = Entry(tmp_path / "one")
    entry.folder.mkdir()
    entry.checkpoint.write_bytes(b"weights")
    entry.company.write_text("{}")
    for name in ("checkpoint.npz.12086.part", "company.12086.part"):
        (entry.folder / name).write_bytes(b"half")  # of a writer that was killed
    entry.write(record_of(planned()))
    assert [file.name for file in entry.folder.iterdir()] == ["record.json"]
    entry.record_file.write_text("{")
    with pytest.raises(UserError, match=r"record.json can't be read .*: delete it"):
        entry.record()


def test_a_run_that_goes_on_has_the_company_of_its_most_crowded_part(
    tmp_path, monkeypatch
):
    entry = Entry(tmp_path / "one")
    beside = iter((0.7, 0.2, 0.1, 0.3))
    monkeypatch.setattr(measure.ForeignLoad, "cores", lambda self: next(beside))
    Company(entry, workers=3).keep()
    # Killed before the first checkpoint: of that part nothing is left.
    assert Company(entry, workers=1).felt() == {"workers": 1, "foreign_cores": 0.2}
    Company(entry, workers=2).keep()
    entry.checkpoint.write_bytes(b"weights")
    assert Company(entry, workers=1).felt() == {"workers": 2, "foreign_cores": 0.3}


def test_a_checkpoint_of_before_tells_of_no_company(tmp_path):
    entry = Entry(tmp_path)
    entry.checkpoint.write_bytes(b"weights")
    assert Company(entry, workers=1).felt()["workers"] == 1


# --- The pool, with a worker that plays a part

FAKE = """
import json, os, pathlib, sys, time
order = json.loads(sys.stdin.readline())
folder = pathlib.Path(order["folder"])
tries = folder / "tries"
count = int(tries.read_text()) + 1 if tries.exists() else 1
tries.write_text(str(count))
def tell(event, **values):
    print(json.dumps({"event": event, **values}), flush=True)
def write():
    from keras16.execution import ledger, worker
    from keras16.study import Run
    run = Run(**order["run"])
    record = worker.crashed(run, "", workers=1, began=0.0)
    import dataclasses
    ledger.Entry(folder).write(dataclasses.replace(record, status="finished"))
part = order["run"]["schedule"]
tell("started", steps=3, parameters=1)
if part == "dies" or (part == "dies once" and count == 1):
    print("the last word", file=sys.stderr, flush=True)
    os.kill(os.getpid(), 9)
if part == "exits":
    if count < 3:
        print("a word of before", file=sys.stderr, flush=True)
    time, pid = f"00:00:{1795946734 + count}.633809", os.getpid()
    if order["run"]["seed"]:
        print("the last word", file=sys.stderr)
    print("WARNING: All log messages before absl::InitializeLog()", file=sys.stderr)
    print(f"E0000 {time}   {pid} util.cc:131] oneDNN", file=sys.stderr, flush=True)
    os._exit(3)
if part == "is ended":
    os.kill(os.getpid(), 15)
if part == "creeps" and count < 6:
    tell("epoch", epoch=count)
    os.kill(os.getpid(), 9)
if part == "goes on" and count < 9:
    tell("epoch", epoch=1)  # of the checkpoint
    os.kill(os.getpid(), 9)
if part == "prints":
    sys.stdout.buffer.write(b"a word of the net's\\n\\xff\\n[1]\\n3\\n")
    print('{"no": "event"}', flush=True)
if part == "writes and dies":
    write()
    os.kill(os.getpid(), 9)
if part == "goes astray":
    os.chdir("/")
    (pathlib.Path(order["folder"]) / "there").touch()
if part == "leaves" and count == 1:
    if os.fork() == 0:  # holds the pipes of its parent
        tries.with_name("orphan").write_text(str(os.getpid()))
        time.sleep(60)
        os._exit(0)
    while not tries.with_name("orphan").exists():
        time.sleep(0.01)
    os.kill(os.getpid(), 9)
if part == "loses":
    tell("ended")
elif part == "is torn":
    tell("refused", reason=f"{folder}/checkpoint.npz is no checkpoint: delete it.")
elif part == "is full":
    tell("refused", reason="a training step can't be run: out of memory")
elif part == "keeps no model":
    write()
    tell("ended", problem="the trained model can't be saved: no room.")
elif part == "halts":
    tell("halted", reason="net.py has changed")
elif part == "refuses":
    tell("refused", reason="no such thing")
elif part == "is taken" and count == 1:
    tell("taken")
elif part == "waits":
    sys.stdin.readline()
    tell("stopped")
else:
    write()
    tell("ended")
"""


@pytest.fixture
def played(tmp_path, monkeypatch):
    """Trains runs with a fake worker; each plays the part in its schedule."""
    (tmp_path / "fake_worker.py").write_text(FAKE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(worker, "__name__", "fake_worker")
    monkeypatch.setattr(pool, "PATIENCE_SECONDS", 0.1)
    ledger = Ledger(tmp_path / "runs")

    def play(*parts, stop=None, workers=1):
        runs = [planned(i, schedule=part) for i, part in enumerate(parts)]
        tasks = [pool.Task(one, ledger.entry(one.run)) for one in runs]
        stop = stop or threading.Event()
        return tasks, pool.train(tasks, workers=workers, stop=stop)

    return play


def kinds(events, task):
    return [event.kind for event in events if event.task == task]


def test_runs_end_in_their_order(played):
    tasks, events = played("works", "works")
    found = list(events)
    assert kinds(found, tasks[0]) == kinds(found, tasks[1])
    assert kinds(found, tasks[0]) == ["begun", "started", "ended"]
    assert [event.task for event in found] == [tasks[0]] * 3 + [tasks[1]] * 3


def test_a_killed_process_is_begun_anew(played):
    (once, slowly), events = played("dies once", "creeps")
    found = list(events)
    assert kinds(found, once).count("begun") == 2
    assert kinds(found, slowly).count("begun") == 6  # an epoch more each time
    assert once.entry.record().status == slowly.entry.record().status == "finished"


def test_a_process_that_always_dies_is_a_result_and_the_others_go_on(played):
    (dead, alive), events = played("dies", "works")
    assert kinds(list(events), dead).count("begun") == pool.ATTEMPTS
    record = dead.entry.record()
    assert record.status == "crashed"
    assert "signal 9: is there enough memory? `" in record.cause
    assert "`study run --retry-failed` trains it again" in record.cause
    assert alive.entry.record().status == "finished"


def test_a_process_that_is_ended_from_outside_names_the_way_to_go_on(played):
    (ended,), events = played("is ended")
    list(events)
    assert ended.entry.record().cause == (
        "its process was ended by signal 15: `study run --retry-failed` trains it again"
    )


def test_the_cause_of_a_crash_is_the_last_word_of_its_process_and_no_log_line(played):
    """Lines of libraries' logs have a time and a process: no two causes were equal."""
    (silent, talks), events = played("exits", "exits")
    list(events)
    assert silent.entry.record().cause == "its process ended with code 3"
    assert talks.entry.record().cause == "its process ended with code 3: the last word"


@pytest.mark.parametrize(
    "line",
    [
        "I0000 00:00:1795946734.6338   17991 cpu_feature_guard.cc:227] optimized",
        "W0703 12:01:02.123456 140013 gpu_device.cc:2344] Cannot dlopen some",
        "2026-07-03 12:01:02.123456: E external/xla/cuda_fft.cc:467] Unable to",
        "*** Check failure stack trace: ***",
        "    @     0x7f4a1c2d3e4f  (unknown)",
    ],
)
def test_lines_of_a_library_s_log_are_no_last_words(line):
    assert child.last_words(f"ValueError: too wide\n\n{line}\n") == (
        "ValueError: too wide"
    )
    assert child.last_words(f"{line}\n") == ""


@pytest.mark.parametrize(
    "start", ["F0000 00:00:1795946734.6338   17991 ", "2026-07-03 12:01:02.123456: F "]
)
def test_what_a_library_dies_of_is_told_without_time_and_process(start):
    text = f"{start}tensor.cc:844] Check failed: is_ok\n*** Check failure stack trace:"
    assert child.last_words(text) == "tensor.cc:844] Check failed: is_ok"


def test_a_run_that_can_not_start_ends_the_study_in_one_line(played):
    (first, _), events = played("refuses", "works")
    with pytest.raises(UserError, match="no such thing"):
        list(events)
    assert first.entry.record() is None


def test_a_run_that_can_not_start_leaves_the_others_their_turn(played):
    (first, again, other), events = played("refuses", "refuses", "works")
    found = []
    with pytest.raises(
        pool.LeftOut, match="2 runs are left out: dnn, 32: no such thing"
    ):
        for event in events:
            found.append(event)
    assert other.entry.record().status == "finished"
    assert first.entry.record() is again.entry.record() is None
    assert kinds(found, first) == ["begun", "started", "stopped"]
    assert kinds(found, again) == []  # another seed would be refused likewise


@pytest.mark.parametrize("part", ["is torn", "is full"])
def test_what_is_refused_of_one_run_alone_leaves_its_other_seeds(played, part):
    (first, second), events = played(part, part)
    found = []
    with pytest.raises(pool.LeftOut, match="2 runs are left out") as caught:
        for event in events:
            found.append(event)
    assert (
        kinds(found, second) == kinds(found, first) == ["begun", "started", "stopped"]
    )
    assert caught.value.exit_code == 2


def test_what_a_run_has_started_does_not_outlive_it(played):
    (task,), events = played("leaves")
    began = time.monotonic()
    assert kinds(events, task)[-1] == "ended"
    assert time.monotonic() - began < 30
    assert task.entry.record().status == "finished"
    orphan = int((task.entry.folder / "orphan").read_text())
    wanted = (psutil.STATUS_ZOMBIE,)
    assert not psutil.pid_exists(orphan) or psutil.Process(orphan).status() in wanted


def test_a_failure_is_forgotten_unless_somebody_has_mended_it(tmp_path):
    entry = Ledger(tmp_path).entry(planned().run)
    entry.write(dataclasses.replace(record_of(planned()), status="crashed"))
    entry.forget("failed")
    with entry.lock():
        entry.forget("crashed")
    assert entry.record() is not None
    entry.forget("crashed")
    assert entry.record() is None
    entry.write(record_of(planned()))
    entry.forget("failed", "crashed")
    assert entry.record().status == "finished"


def test_many_refusals_are_told_in_one_line():
    told = pool._Pool([], 1, threading.Event(), False)
    for number, reason in enumerate(("no net.", "too deep...", "is it?", "a", "b")):
        one = dataclasses.replace(planned(), row=f"row {number}")
        told._leave_out(pool.Task(one, Entry(pathlib.Path("x"))), reason)
    assert told._told() == (
        "5 runs are left out: row 0, 32: no net. row 1, 32: too deep... "
        "row 2, 32: is it? 2 more."
    )


def test_what_halts_one_run_halts_all(played):
    (first, halted, last), events = played("works", "halts", "works, too")
    with pytest.raises(UserError, match="net.py has changed"):
        list(events)
    assert first.entry.record().status == "finished"
    assert halted.entry.record() is last.entry.record() is None


def test_a_model_that_can_not_be_saved_costs_no_run(played):
    tasks, events = played("keeps no model", "works")
    with pytest.raises(
        pool.LeftOut, match="dnn, 32: the trained model can't be saved"
    ) as caught:
        list(events)
    assert caught.value.exit_code == 1
    assert all(task.entry.record().status == "finished" for task in tasks)


def test_epochs_of_a_checkpoint_are_no_progress(played):
    (dead,), events = played("goes on")
    assert kinds(list(events), dead).count("begun") == pool.ATTEMPTS
    assert dead.entry.record().status == "crashed"


def test_what_a_net_prints_is_no_message(played):
    (prints,), events = played("prints")
    assert kinds(list(events), prints) == ["begun", "started", "ended"]


def test_a_process_that_dies_after_its_record_has_ended(played):
    (done,), events = played("writes and dies")
    assert kinds(list(events), done) == ["begun", "started", "ended"]
    assert done.entry.record().status == "finished"


def test_a_crash_is_not_recorded_where_another_process_trains_the_run(played):
    (dead,), events = played("dies")
    begun, held = 0, dead.entry.lock()
    for event in events:
        begun += event.kind == "begun"
        if begun == pool.ATTEMPTS and not held.is_locked:
            held.acquire()
        if begun > pool.ATTEMPTS and held.is_locked:
            assert dead.entry.record() is None
            held.release()
    assert begun == pool.ATTEMPTS + 1
    assert dead.entry.record().status == "crashed"


def test_a_run_s_folder_is_found_wherever_its_code_goes(played, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = planned(schedule="goes astray")
    task = pool.Task(run, Ledger(pathlib.Path("here")).entry(run.run))
    list(pool.train([task], workers=1, stop=threading.Event()))
    assert (task.entry.folder / "there").exists()


def test_a_record_that_is_gone_is_told(played):
    (lost, other), events = played("loses", "works")
    found = []
    with pytest.raises(UserError, match=r"record.json is gone: start again"):
        for event in events:
            found.append(event)
    assert kinds(found, lost)[-1] == "stopped"
    assert other.entry.record().status == "finished"


def test_a_run_that_another_process_trains_is_asked_for_again(played):
    (taken, other), events = played("is taken", "works")
    order = [event.task for event in events if event.kind == "ended"]
    assert order == [other, taken]


def test_a_wish_to_stop_is_passed_on_and_nothing_new_begins(played):
    stop = threading.Event()
    tasks, events = played("waits", "waits", "works", stop=stop, workers=2)
    found = []
    for event in events:
        found.append(event)
        if [e.kind for e in found].count("started") == 2:
            stop.set()
    assert kinds(found, tasks[0]) == ["begun", "started", "stopped"]
    assert kinds(found, tasks[2]) == []


# --- Real processes


def weights_and_record(entry: Entry):
    with entry.model.open("rb") as file:
        import zipfile

        import h5py

        with zipfile.ZipFile(file) as archive, archive.open("model.weights.h5") as h5:
            found = []
            with h5py.File(h5) as data:
                data.visititems(
                    lambda name, item: (
                        found.append((name, item[()].tobytes()))
                        if hasattr(item, "dtype")
                        else None
                    )
                )
    return sorted(found), entry.record()


def train_alone(folder: pathlib.Path, run: Run, workers: int = 1) -> subprocess.Popen:
    """A process that trains one run with the pool, and tells its epochs."""
    program = f"""
import pathlib, threading
from keras16.execution import pool
from keras16.execution.ledger import Ledger
from keras16.study import Planned, Run
run = Run(**{run.fields()!r})
one = Planned(row="r", arm="a", seed=1, run=run)
task = pool.Task(one, Ledger(pathlib.Path({str(folder)!r})).entry(run))
stop = threading.Event()
for event in pool.train([task], workers={workers}, stop=stop, keep_models=True):
    print(event.kind, flush=True)
"""
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env=for_child(),
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_for(process: subprocess.Popen, kind: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == kind:
            return
    pytest.fail(f"the process ended before {kind!r}")


def test_kill_9_of_any_process_changes_no_bit(tmp_path):
    """First the worker is killed within an epoch, then its parent."""
    run = dataclasses.replace(RUN, epochs=4, seed=1)
    undisturbed = train_alone(tmp_path / "whole", run)
    undisturbed.communicate(timeout=120)
    disturbed = train_alone(tmp_path / "killed", run, workers=2)
    wait_for(disturbed, "epoch")
    wait_for(disturbed, "epoch")  # by now the first one has a checkpoint
    (child,) = psutil.Process(disturbed.pid).children()
    child.send_signal(signal.SIGKILL)
    wait_for(disturbed, "begun")  # anew
    wait_for(disturbed, "epoch")
    (child,) = psutil.Process(disturbed.pid).children()
    disturbed.kill()
    disturbed.communicate()
    child.wait(timeout=20)  # it has seen that its parent is gone
    folder = Ledger(tmp_path / "killed").entry(run).folder
    (folder / "checkpoint.npz.12086.part").write_bytes(b"half of the weights")
    again = train_alone(tmp_path / "killed", run)
    wait_for(again, "started")  # it holds the lock: whoever wrote that is no more
    assert not (folder / "checkpoint.npz.12086.part").exists()
    again.communicate(timeout=120)
    whole, killed = (
        weights_and_record(Ledger(tmp_path / name).entry(run))
        for name in ("whole", "killed")
    )
    assert killed[0] == whole[0]
    assert killed[1].correct == whole[1].correct
    assert killed[1].foreign_cores is not None
    assert (whole[1].workers, killed[1].workers) == (1, 2)  # and at last alone
    assert [e.loss for e in killed[1].epochs] == [e.loss for e in whole[1].epochs]


def test_the_disk_that_is_needed_is_told_before(tmp_path):
    assert sizes.parameters([RUN, RUN], tmp_path) == [535_818]
    began = time.monotonic()
    assert sizes.parameters([RUN], tmp_path) == [535_818]
    assert time.monotonic() - began < 1  # remembered
    few = sizes.needed_bytes([1000], 10, 1, keep_models=False)
    assert few < sizes.needed_bytes([1000], 10, 4, keep_models=False)
    assert few < sizes.needed_bytes([1000], 10, 1, keep_models=True)
    assert sizes.needed_bytes([], 0, 1, keep_models=False) == 0


def test_the_worker_tells_json_and_keeps_what_libraries_print_apart(tmp_path):
    run = dataclasses.replace(RUN, dataset="nonesuch")
    order = {
        "run": dataclasses.asdict(run),
        "folder": str(Ledger(tmp_path).entry(run).folder),
        "audit": False,
        "keep_model": False,
        "workers": 1,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "keras16.execution.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=for_child(),
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(order) + "\n")
    process.stdin.flush()  # it stays open: the parent lives
    told = [json.loads(line) for line in process.stdout]
    process.communicate()
    assert [message["event"] for message in told] == ["refused"]
    assert "no dataset 'nonesuch'" in told[0]["reason"]
