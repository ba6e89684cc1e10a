"""The command line: what it says, where it says it, and how it ends."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import click
import fake_training
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from keras16 import __version__, catalog, cli, errors, tracking, training, user_code
from keras16.errors import UserError
from keras16.study import Run
from pipelines import _progress

ROOT = pathlib.Path(__file__).parents[1]
GOLDEN = pathlib.Path(__file__).parent / "golden"
COMMANDS = cli.cli.list_commands(None)
OF_STUDY = [f"study {name}" for name in ("list", "report", "run", "status")]
EXTRAS = {
    "tracking_uri",
    "experiment",
    "run_name",
    "output",
    "monitor",
    "as_json",
    "quiet",
}
HEAVY = ("keras", "matplotlib", "mlflow", "numpy", "rich", "tensorflow")

USER_ERRORS = {
    "train --precision 17": "no precision '17'",
    "train --model cnnn": "no model 'cnnn'",
    "train --model resnett20": "did you mean 'resnet20'? There are airbench,",
    "train --model lenet": "xception; or give FILE.py:function, FILE.keras or",
    "train --dataset mnist5": "no dataset 'mnist5'",
    "train --dataset nothing": "mnist5k; or give FILE.npz, FILE.py:function",
    "train --optimizer adamm": "'--optimizer'",
    "train --epochs 0": "'--epochs'",
    "train --epochs two": "'--epochs': 'two' is not a valid integer",
    "train --epsilon two": "'--epsilon': 'two' is not a valid number",
    "train --batch-size 0": "'--batch-size'",
    "train --learning-rate 0": "'--learning-rate'",
    "train --learning-rate inf": "'--learning-rate'",
    "train --learning-rate nan": "'--learning-rate'",
    "train --epsilon 0": "'--epsilon'",
    "train --momentum 1": "'--momentum'",
    "train --weight-decay -1": "'--weight-decay'",
    "train --validation 1": "'--validation'",
    "train --seed -1": "'--seed'",
    "train --seed 2147483648": "'--seed'",
    "train --schedule step": "'--schedule'",
    "train --augmentation mixup": "'--augmentation'",
    "train --tracking-uri ftp://nowhere": "ftp://nowhere",
    "train --output /dev/null/models": "--output",
    "train --output /proc/models": "(No such file or directory): name another folder",
    "train cnn": "unexpected extra argument",
    "train --modle cnn": "--model",
    "audit --epochs 3": "--epochs",
    "ui --port 0": "'--port'",
    "ui --tracking-uri sqlite:///no/such.db": "no run to show",
    "tune-epsilon --epsilons 1e-3,x": "'--epsilons'",
    "tune-epsilon --epsilons 0": "'--epsilons'",
    "tune-epsilon --from 1 --to 0.1": "from 1 to 0.1",
    "tune-epsilon --seeds 0": "'--seeds'",
    "tune-epsilon --margin -1": "'--margin'",
    "tune-epsilon --seed 3": "--seed",
    "tune-epsilon --figure curve.txt": "curve.txt",
    "tune-epsilon --figure no/such/curve.png": "no such folder",
    "numerics --part softmax --output no/such/page.md": "no such folder",
    "numerics --part nothing": "no part has 'nothing'",
    "applications --output no/such/table.md": "no such folder",
    "applications --names VGG999": "has no VGG999",
    "trian": "'trian'",
    "--nope": "--nope",
}


def invoke(*arguments):
    return CliRunner().invoke(
        cli.cli, arguments, prog_name="keras16", terminal_width=80
    )


def run_script(*arguments, **options):
    """The real thing: another process, in another folder."""
    return subprocess.run(
        [sys.executable, "-m", "keras16", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )


@pytest.fixture
def train(monkeypatch, tmp_path):
    """`keras16 train` with a training and a record that take no time."""
    monkeypatch.chdir(tmp_path)
    pipeline = cli.load("train")
    monkeypatch.setattr(pipeline, "import_tensorflow", lambda: None)

    def invoke_train(*arguments, tracked=None, fit=None, **given):
        tracked = tracked or fake_training.Tracked()
        fit = fit or fake_training.fit_with(**given)
        monkeypatch.setattr(training, "fit", fit)
        monkeypatch.setattr(tracking, "track", fake_training.track_with(tracked))
        done = invoke("train", *arguments)
        done.tracked = tracked
        return done

    return invoke_train


# Help and version


@pytest.mark.parametrize("command", ["", *COMMANDS, *OF_STUDY])
def test_help_page_is_golden(command):
    page = invoke(*command.split(), "--help")
    golden = GOLDEN / f"{command.replace(' ', '_') or 'keras16'}.txt"
    if os.environ.get("KERAS16_WRITE_GOLDEN"):
        golden.write_text(page.output)
    assert page.exit_code == 0
    assert page.output == golden.read_text()


def test_every_command_shows_an_example():
    for command in (*COMMANDS, *OF_STUDY):
        page = invoke(*command.split(), "--help").output
        assert f"Example:\n    keras16 {command}" in page


def test_every_file_of_pipelines_is_a_command():
    files = {path.stem for path in (ROOT / "pipelines").glob("[a-z]*.py")}
    assert {name.replace("-", "_") for name in COMMANDS} == files
    for name in COMMANDS:
        assert isinstance(cli.load(name).command, click.Command)
        assert cli.load(name).command.name == name


def test_help_answers_at_once():
    def seconds():
        start = time.perf_counter()
        assert run_script("--help").returncode == 0
        return time.perf_counter() - start

    assert min(seconds() for _ in range(3)) < 0.5


def test_help_imports_nothing_heavy():
    program = (
        "import sys; from keras16.cli import cli\n"
        "for page in ['--help'], ['train', '--help'], ['audit', '--help']:\n"
        "    cli(page, standalone_mode=False)\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stderr == "[]\n"


def test_version():
    done = run_script("--version")
    assert (done.returncode, done.stdout) == (0, f"keras16, version {__version__}\n")


# Options


def test_options_of_train_are_the_fields_of_a_run():
    parameters = [each.name for each in cli.load("train").command.params]
    fields = [field.name for field in dataclasses.fields(Run)]
    assert parameters[: len(fields)] == fields
    assert set(parameters[len(fields) :]) == EXTRAS


def test_options_have_the_types_and_defaults_of_the_fields():
    options = {each.name: each for each in cli.load("train").command.params}
    kinds = {"int": "integer", "float": "number", "bool": "boolean"}
    for field in dataclasses.fields(Run):
        option = options[field.name]
        kind = field.type.removesuffix(" | None")
        assert option.type.name == kinds.get(kind, option.type.name), field.name
        assert (option.type.name in kinds.values()) == (kind in kinds), field.name
        assert option.default == field.default, field.name


@pytest.mark.parametrize("field", ["optimizer", "schedule"])
def test_every_choice_is_a_part(field):
    """A file that is no part must begin with an underscore, or it is offered here."""
    options = {each.name: each for each in cli.load("train").command.params}
    for name in options[field].type.choices:
        assert callable(catalog.load(f"{field}s", name)), name


def test_every_choice_of_augmentation_is_there():
    from keras16 import augmentation

    options = {each.name: each for each in cli.load("train").command.params}
    assert tuple(options["augmentation"].type.choices) == augmentation.NAMES


def test_options_reach_the_run(train):
    given = {
        "precision": "float16",
        "model": "dnn.keras",
        "dataset": "mnist",
        "optimizer": "sgd",
        "learning_rate": 0.25,
        "momentum": 0.5,
        "epsilon": 0.125,
        "weight_decay": 0.75,
        "schedule": "constant",
        "augmentation": "shift",
        "epochs": 2,
        "batch_size": 64,
        "validation": 0.0,
        "seed": 7,
    }
    pairs = [(f"--{name.replace('_', '-')}", str(v)) for name, v in given.items()]
    arguments = [word for pair in pairs for word in pair]
    printed = json.loads(train(*arguments, "--nesterov", "--json").stdout)
    expected = {**given, "precision": "16", "nesterov": True}
    assert {name: printed[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("arguments", "start", "completed"),
    [
        (["train", "--precision"], "m", {"mixed", "mixed_bf16"}),
        (["train", "--schedule"], "co", {"constant", "cosine", "cosine_restarts"}),
        (["train", "--optimizer"], "adam", {"adam", "adamax", "adamw"}),
        (["train", "--model"], "resnet2", {"resnet20"}),
        (["train", "--model"], "v", {"vgg16", "vgg19", "vit8", "vit12"}),
        (["train", "--dataset"], "mnist", {"mnist", "mnist5k"}),
        (["train"], "--batch-s", {"--batch-size"}),
        (["bench", "--optimizer"], "s", {"sgd"}),
        (["bench", "--models"], "resnet2", {"resnet20"}),
        ([], "a", {"applications", "audit"}),
    ],
)
def test_values_complete_in_the_shell(arguments, start, completed):
    shell = ShellComplete(cli.cli, {}, "keras16", "_KERAS16_COMPLETE")
    found = {item.value for item in shell.get_completions(arguments, start)}
    assert found == completed


def test_a_file_completes_where_the_catalogue_has_no_such_name():
    shell = ShellComplete(cli.cli, {}, "keras16", "_KERAS16_COMPLETE")
    (item,) = shell.get_completions(["train", "--model"], "nets/")
    assert (item.value, item.type) == ("nets/", "file")


# Errors


@pytest.mark.parametrize("line", USER_ERRORS)
def test_a_user_error_is_one_line_and_exit_code_2(line):
    done = invoke(*line.split())
    assert_one_line(done.exit_code, done.stdout, done.stderr)
    assert USER_ERRORS[line] in done.stderr


@pytest.mark.parametrize("line", ["train --epochs 0", "train --precision 17"])
def test_a_user_error_is_one_line_in_the_shell(line, tmp_path):
    done = run_script(*line.split(), cwd=tmp_path)
    assert_one_line(done.returncode, done.stdout, done.stderr)
    assert list(tmp_path.iterdir()) == []


def assert_one_line(exit_code, stdout, stderr):
    assert (exit_code, stdout) == (2, "")
    assert stderr.startswith("keras16: ")
    assert stderr.count("\n") == 1 and stderr.endswith("\n")


def test_an_error_of_the_library_is_one_line_and_opens_no_record(train):
    def fit(run, observer, stop, monitor):
        raise UserError("data.npz has no array\n'x_train': add one.")

    done = train("--quiet", fit=fit)
    assert_one_line(done.exit_code, done.stdout, done.stderr)
    assert done.tracked.told == []


def test_a_programming_error_is_not_hidden(train):
    def fit(run, observer, stop, monitor):
        raise TypeError("a bug")

    assert isinstance(train(fit=fit).exception, TypeError)


# train


def test_train_saves_then_records_then_sums_up(train, tmp_path):
    done = train("--run-name", "mine/1")
    (saved,) = (tmp_path / "mlruns" / "models").iterdir()
    assert done.exit_code == 0
    assert saved.name.startswith("mine_1-") and saved.suffix == ".keras"
    assert saved.read_bytes() == b"a model"
    store = f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    opened, *told = done.tracked.told
    assert opened == (store, "keras16", "mine/1")
    assert told == ["started", 1, 2, ("finished", True)]
    assert "95.00 %" in done.stdout
    assert str(saved.relative_to(tmp_path)) in done.stdout
    assert done.stdout.endswith("Browse the run: 0123abcd\n")


def test_what_the_monitor_found_is_recorded_and_shown(train):
    def fit(run, observer, stop, monitor):
        assert monitor
        ended = fake_training.result(run)
        observer.started(run, ended.model, 31)
        observer.monitored("seen")
        return dataclasses.replace(ended, findings=("41 % are lost.",))

    done = train("--monitor", fit=fit)
    assert "\n41 % are lost.\n" in done.stdout
    assert "seen" in done.tracked.told
    printed = json.loads(train("--monitor", "--json", fit=fit).stdout)
    assert printed["findings"] == ["41 % are lost."]


def test_progress_goes_to_standard_error_and_can_be_silenced(train):
    assert "epoch 2/7: loss 0.5000, accuracy 90.00 %" in train("--epochs", "7").stderr
    assert train("--quiet").stderr == "a library prints on standard output\n"


def test_an_epoch_names_the_metric_of_its_run():
    epoch = dataclasses.replace(fake_training.epoch(3), metric=0.25, val_metric=0.5)
    run = Run(loss="mse", metric="own.py:worst", epochs=4)
    line = _progress.epoch_line(epoch, run)
    assert line.startswith("epoch 3/4: loss 0.5000, accuracy 90.00 %, own.worst 0.2500")
    assert ", val_own.worst 0.5000, 1.50 s" in line


@pytest.mark.parametrize(
    ("precision", "told"), [("32", True), ("mixed", True), ("16", False)]
)
def test_a_rounding_of_16_bit_weights_is_of_none_where_they_are_wide(
    train, precision, told
):
    done = train("--precision", precision, "--rounding", "kahan")
    assert (f"--rounding kahan does nothing at {precision}" in done.stderr) is told
    assert "--rounding" not in train("--precision", precision).stderr


def test_a_second_run_overwrites_nothing(train, tmp_path):
    names = [json.loads(train("--json").stdout)["model_file"] for _ in range(3)]
    assert len(set(names)) == 3
    assert len(list((tmp_path / "mlruns" / "models").iterdir())) == 3


def test_json_is_all_there_is_on_standard_output(train, tmp_path):
    done = train("--json", "--epochs", "2")
    printed = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert {**printed, **Run(epochs=2).fields()} == printed
    assert printed["status"] == "finished"
    assert printed["run_id"] == "0123abcd"
    assert printed["wide_tensors"] == 0
    assert printed["weight_bytes"] == 2468
    assert printed["file_bytes"] == len(b"a model")
    assert printed["tracking_uri"] == f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    assert [each["epoch"] for each in printed["history"]] == [1, 2]
    assert printed["history"][0] == dataclasses.asdict(fake_training.epoch(1))


def test_json_has_null_for_nan(train):
    done = train("--json", status="failed", cause="NaN", loss=float("nan"))
    printed = json.loads(done.stdout, parse_constant=pytest.fail)
    assert printed["history"][1]["loss"] is None


def test_a_diverged_run_says_why_and_exits_1(train, tmp_path):
    cause = "NaN at step 3 of epoch 2: the learning rate is too large"
    done = train(status="failed", cause=cause)
    assert done.exit_code == 1
    assert f"keras16: the training failed: {cause}\n" in done.stderr
    assert done.tracked.told[-1] == ("failed", None)
    assert list((tmp_path / "mlruns" / "models").iterdir()) == []


def test_a_lost_record_is_one_line_and_the_model_is_on_disk(train):
    tracked = fake_training.Tracked("MLflow store http://127.0.0.1:9 fails.")
    done = train("--json", tracked=tracked)
    printed = json.loads(done.stdout)
    assert done.exit_code == 1
    assert pathlib.Path(printed["model_file"]).read_bytes() == b"a model"
    assert (printed["run_id"], printed["recorded"]) == (None, False)
    assert done.stderr.count("MLflow store") == 1


def test_a_full_disk_is_one_line_and_the_model_is_elsewhere(
    train, tmp_path, monkeypatch
):
    pipeline = cli.load("train")
    monkeypatch.setattr(
        pipeline._model_file, "spare_folder", lambda: tmp_path / "spare"
    )
    full = tmp_path / "full"
    model = fake_training.Model(full)
    done = train("--json", "--output", str(full), model=model)
    saved = pathlib.Path(json.loads(done.stdout)["model_file"])
    assert done.exit_code == 1
    assert saved.parent == tmp_path / "spare"
    assert saved.read_bytes() == b"a model"
    assert list(full.iterdir()) == []
    assert done.stderr.count(f"{full} took no model (No space left on device)") == 1


def test_no_room_anywhere_is_one_line(train, tmp_path, monkeypatch):
    pipeline = cli.load("train")
    full = tmp_path / "full"
    monkeypatch.setattr(pipeline._model_file, "spare_folder", lambda: full)
    done = train("--output", str(full), model=fake_training.Model(full))
    assert done.exit_code == 1
    assert "the model could not be saved: No space left on device." in done.stderr
    assert done.tracked.told[-1] == ("finished", None)


@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_signal_ends_a_run_in_order(train, number, exit_code, capfd):
    before = signal.getsignal(number)

    def fit(run, observer, stop, monitor):
        model = fake_training.Model()
        observer.started(run, model, 31)
        os.kill(os.getpid(), number)
        assert stop.wait(10)
        return fake_training.result(run, "killed", "interrupted", model)

    done = train("--json", fit=fit)
    assert done.exit_code == exit_code
    assert json.loads(done.stdout)["status"] == "killed"
    assert done.tracked.told[-1] == ("killed", True)
    assert signal.getsignal(number) is before
    assert "stopping; the weights so far will be saved" in capfd.readouterr().err


def test_a_second_signal_aborts_at_once(tmp_path):
    program = (
        "import sys, time; from keras16 import cli; train = cli.load('train')\n"
        "with train.StopOnSignal() as stop:\n"
        "    print('ready', flush=True)\n"
        "    assert stop.event.wait(10)\n"
        "    print('stopping', flush=True)\n"
        "    time.sleep(20)"
    )
    line = [sys.executable, "-c", program]
    with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True) as each:
        for said in "ready", "stopping":
            assert each.stdout.readline() == f"{said}\n"
            each.send_signal(signal.SIGINT)
        assert each.wait(10) == -signal.SIGINT


# audit and ui


@pytest.mark.parametrize(
    ("report", "exit_code"), [(fake_training.PURE, 0), (fake_training.WIDE, 1)]
)
def test_audit_exits_with_its_verdict(report, exit_code, monkeypatch):
    pipeline = cli.load("audit")
    monkeypatch.setattr(pipeline, "audited", lambda run: report)
    done = invoke("audit", "--json")
    assert done.exit_code == exit_code
    assert json.loads(done.stdout) == json.loads(report.to_json())
    assert invoke("audit").stdout == f"{report}\n"


def test_ui_becomes_the_server_of_the_store(monkeypatch, tmp_path):
    ran = []

    def execute(program, line, environment):
        assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
        ran.append(line)

    monkeypatch.setattr(os, "execve", execute)
    store = tmp_path / "mlflow.db"
    store.touch()
    done = invoke("ui", "--tracking-uri", f"sqlite:///{store}", "--port", "5999")
    assert done.exit_code == 0, done.stderr
    assert f"sqlite:///{store}" in ran[0]
    assert ran[0][ran[0].index("--host") + 1] == "127.0.0.1"
    assert ran[0][ran[0].index("--port") + 1] == "5999"


# What is kept off the screen


def test_start_up_messages_are_held_back_unless_it_fails(capfd):
    quiet = cli.load("train").import_tensorflow.__globals__["held_back_stderr"]
    with quiet():
        os.write(2, b"I0000 noise\n")
    assert capfd.readouterr().err == ""
    with pytest.raises(ImportError), quiet():
        os.write(2, b"the reason\n")
        raise ImportError
    assert capfd.readouterr().err == "the reason\n"


def test_tensorflow_starts_without_a_word():
    program = (
        "from keras16 import cli; cli.load('train').import_tensorflow()\n"
        "import tensorflow; tensorflow.constant(1.0) + 1"
    )
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("jax", "told"),
    [(object(), "JAX is: set KERAS_BACKEND=jax"), (None, "pip install tensorflow")],
)
def test_where_tensorflow_is_not_installed_it_is_told_what_is(monkeypatch, jax, told):
    monkeypatch.setattr(errors.importlib.util, "find_spec", lambda name: jax)
    missing = ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")
    with pytest.raises(cli.OneLineError, match=told) as caught, cli.one_line_errors():
        raise missing
    assert caught.value.exit_code == 2
    assert told in user_code.reason(missing)  # of a process of its own
    monkeypatch.setenv("KERAS_BACKEND", "jax")  # then it is a file of the user's
    assert user_code.reason(missing).startswith("ModuleNotFoundError: No module named")
    with pytest.raises(ModuleNotFoundError), cli.one_line_errors():
        raise ModuleNotFoundError("No module named 'nothing'", name="nothing")


def test_a_backend_that_keras_does_not_know_is_told():
    unknown = ValueError("Unable to import backend : foo")
    told = "foo: set KERAS_BACKEND to tensorflow or jax"
    with pytest.raises(cli.OneLineError, match=told), cli.one_line_errors():
        raise unknown
    with pytest.raises(ValueError, match="^another"), cli.one_line_errors():
        raise ValueError("another")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(13, "Permission denied", "a/b"), "a/b can't be used: Permis"),
        (PermissionError("no"), "no."),
        (OSError(30, "Read-only file system", "a/b"), "a/b can't be used: Read-only"),
        (OSError(28, "No space left on device", "a/b"), "a/b can't be used: No space"),
        (NotADirectoryError(20, "Not a directory", "file/b/c"), "file is a file, and "),
    ],
)
def test_what_the_file_system_refuses_is_told_in_one_line(
    tmp_path, monkeypatch, error, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(cli.OneLineError, match=words) as caught, cli.one_line_errors():
        raise error
    assert caught.value.exit_code == 2
