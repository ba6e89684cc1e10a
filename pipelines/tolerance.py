"""`keras16 tolerance`: whether rounding can have changed what a net answers."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import tempfile
import time
from typing import TYPE_CHECKING, Any

import click

from keras16.errors import UserError
from keras16.study import short_name

from ._floor import FloorJob
from ._options import Count, Part, Several, json_option, tracking_uri_option
from ._output import plain, say
from ._quiet import import_tensorflow, results_only
from ._subject import Subject
from ._table import rendered

if TYPE_CHECKING:
    import numpy as np

    from keras16.data import Dataset
    from keras16.tolerance.formats import Format
    from keras16.tolerance.judgement import Judgement
    from keras16.tracking import Tracked

GRID = "grid"


class FormatName(click.ParamType):
    """A simulated format; its name alone, for the help page needs no NumPy."""

    name = "format"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """The name, or `UserError`."""
        import_tensorflow()
        from keras16.tolerance import formats

        return value if value == GRID else formats.get(value).name


@click.command(name="tolerance")
@click.argument("models", nargs=-1, metavar="MODEL...")
@click.option(
    "--dataset",
    type=Part("datasets"),
    help="Whose test examples are answered.  [default: the run's own, else mnist5k]",
)
@click.option(
    "--examples",
    type=Count(min=1),
    help="The first so many test examples.  [default: all]",
)
@click.option(
    "--formats",
    type=Several(FormatName(), "format"),
    metavar="NAMES",
    help="Simulate formats: bfloat16, float8_e4m3, float8_e5m2, any eXmY (X exponent "
    "and Y mantissa bits), or grid for many.",
)
@click.option("--shifts", is_flag=True, help="Add noise and take contrast away.")
@click.option(
    "--other",
    type=Part("datasets"),
    help="Another data set of the same shape, as a shift of the inputs.",
)
@click.option(
    "--layers",
    is_flag=True,
    help="Estimate the rounding error to first order, and which layers it comes from.",
)
@click.option(
    "--proof/--no-proof",
    default=True,
    show_default=True,
    help="Bound what rounding can have done to a float16 net, without any other.",
)
@click.option(
    "--floor",
    is_flag=True,
    help="Of no MODEL: how near plain SGD in float16 comes to the optimum of least "
    "squares, with each rounding, beside the floor that is proven.",
)
@tracking_uri_option
@click.option(
    "--experiment", default="keras16", show_default=True, help="MLflow experiment."
)
@json_option
def command(
    models: tuple[str, ...],
    dataset: str | None,
    examples: int | None,
    formats: tuple[str, ...] | None,
    shifts: bool,
    other: str | None,
    layers: bool,
    proof: bool,
    floor: bool,
    tracking_uri: str | None,
    experiment: str,
    as_json: bool,
) -> None:
    """Tells whether rounding can have changed what a net answers.

    A MODEL is a saved FILE.keras, or the name or id of a run in MLflow (of several
    of a name the latest). Of one, the net is compared with its 16-bit cast (a 16-bit
    net with the 32-bit one of its weights); of several also the first two of unlike
    precisions, and the first two of like ones as a control. delta is the largest
    difference of two nets' probabilities for a class, gamma the lead of the largest
    one; where gamma > 2 delta both nets certainly give the same class. An answer is
    proven where rounding cannot have changed it, whatever any other net says. Formats,
    shifts and layers take at most 1,000 examples.

    Exit codes: 0 done; 1 certified answers differ, or the record could not be kept; 2
    input that cannot be used.

    \b
    Example:
      keras16 tolerance cnn-mnist5k-16-adam-s0 cnn-mnist5k-32-adam-s0 --shifts
    """
    from keras16.store import store_uri

    if bool(models) == floor:
        raise UserError("name models (FILE.keras, runs in MLflow), or give --floor.")
    uri = store_uri(tracking_uri)
    with results_only():
        import_tensorflow()
        job: Job | FloorJob
        if floor:
            job = FloorJob(uri, experiment)
        else:
            nets = [_net(model, uri) for model in models]
            job = Job(nets, dataset, examples, uri, experiment)
            job.judge(formats or (), shifts, other, layers, proof)
        job.record()
    click.echo(job.as_json() if as_json else job.as_text())
    raise SystemExit(job.exit_code)


@dataclasses.dataclass(frozen=True)
class Net:
    """A net that was asked for.

    Attributes:
        name: As it was asked for.
        model: The Keras model.
        params: Of the run that trained it, as text; {} of a file.
        run_id: Of that run; "" of a file.
    """

    name: str
    model: Any
    params: dict[str, str]
    run_id: str = ""


class Job:
    """Some nets from their names to the record of what was found.

    Attributes:
        found: What was found.
        tracked: The record.
        seconds: That finding it took, loading apart.
    """

    def __init__(
        self,
        nets: list[Net],
        dataset: str | None,
        examples: int | None,
        uri: str,
        experiment: str,
    ) -> None:
        from keras16 import data
        from keras16.tolerance import nets as known

        chosen = dataset or nets[0].params.get("dataset") or "mnist5k"
        self.nets, self.uri, self.experiment = nets, uri, experiment
        self.dataset = data.load(chosen)
        self.x = self._inputs(self.dataset)[:examples]
        names = (pathlib.PurePath(net.name).stem for net in nets)
        self.subject = Subject(
            " ".join(names),
            " ".join(known.precision(net.model) for net in nets),
            short_name(chosen),
            len(self.x),
        )
        self.found: Judgement
        self.tracked: Tracked
        self.seconds = 0.0

    @property
    def title(self) -> str:
        """Such as "cnn-mnist5k-16-adam-s0 on mnist5k"."""
        return f"{self.subject.model} on {self.subject.dataset}"

    def judge(
        self,
        names: tuple[str, ...],
        shifted: bool,
        other: str | None,
        layers: bool,
        prove: bool,
    ) -> None:
        """Finds out what there is to find out."""
        from keras16 import data, tolerance

        others = {}
        if other is not None:
            others[short_name(other)] = self._inputs(data.load(other))
        began = time.perf_counter()
        self.found = tolerance.judge(
            [net.model for net in self.nets],
            self.x,
            formats=_formats(names),
            shifted=shifted,
            others=others,
            layers=layers,
            prove=prove,
        )
        self.seconds = time.perf_counter() - began

    def record(self) -> None:
        """Puts it into MLflow, inside the run of the first net where there is one."""
        from keras16 import tracking
        from keras16.report import tolerance as report

        parent = self.nets[0].run_id
        subject, tags = self.subject, {"mlflow.note.content": self.verdict}
        with tracking.track(
            subject, self.uri, self.experiment, subject.name, parent=parent
        ) as self.tracked:
            self.tracked.told(report.metrics(self.found), tags)
            self.tracked.files(
                lambda folder: report.write(self.found, self.title, folder)
            )
        if self.tracked.problem:
            say(self.tracked.problem)

    @property
    def verdict(self) -> str:
        """What it comes to."""
        from keras16.report import tolerance as report

        return report.verdict(self.found)

    @property
    def exit_code(self) -> int:
        """See the command's help."""
        return 1 if self.found.certified_disagreements or self.tracked.problem else 0

    def as_text(self) -> str:
        """Tables, verdict and where to find the record."""
        from keras16.report import tolerance as report

        found = self.found
        lines = [rendered(report.table(found), report.HEADER, figures=True)]
        if found.formats:
            rows = report.format_table(found)
            lines.append(rendered(rows, report.FORMAT_HEADER, figures=True))
        if found.shifts:
            rows = report.shift_table(found)
            lines.append(rendered(rows, report.SHIFT_HEADER, figures=True))
        if found.estimate is not None:
            rows = report.layer_table(found)
            lines.append(rendered(rows, report.LAYER_HEADER, figures=True))
            lines.append(report.estimate_words(found))
            if found.bound_shares:
                rows = report.bound_table(found)
                lines.append(rendered(rows, report.BOUND_HEADER, figures=True))
        return "\n".join([*lines, self.verdict, self.tracked.where])

    def as_json(self) -> str:
        """The object that `--json` prints, on one line; NaN is null."""
        from keras16.report import tolerance as report

        told = {
            **self.subject.fields(),
            **report.plain(self.found),
            "models": [net.name for net in self.nets],
            "seconds": self.seconds,
            "run_id": self.tracked.run_id or None,
            "tracking_uri": self.uri,
            "recorded": not self.tracked.problem,
        }
        del told["optimizer"]
        return json.dumps(plain(told))

    def _inputs(self, dataset: Dataset) -> np.ndarray:
        """The test examples as all of the nets take them."""
        from keras16.tolerance import inputs

        each = [inputs.of(net.model, dataset) for net in self.nets]
        if any(x.dtype != each[0].dtype for x in each):
            raise UserError(
                "some of these models take pixels and some take floats: give nets "
                "of one kind."
            )
        return each[0]


def _net(name: str, uri: str) -> Net:
    """A net from its file or its run."""
    from keras16 import assembly, served_model, tracking, user_code

    path = pathlib.Path(name).expanduser()
    if path.suffix == ".keras":
        return Net(name, assembly.loaded(str(path)), {})
    try:
        with tempfile.TemporaryDirectory() as folder:
            run = tracking.model_of(name, uri, pathlib.Path(folder))
            model = served_model.load(run.folder)
            return Net(name, model, run.params, run.run_id)
    except UserError:
        raise
    except Exception as error:  # whatever is wrong inside the file
        reason = user_code.reason(error)
        raise UserError(f"{name} can't be loaded ({reason}).") from error


def _formats(names: tuple[str, ...]) -> list[Format]:
    """The formats of some names; the grid in the place of its own."""
    from keras16.tolerance import formats

    each = [formats.GRID if name == GRID else (formats.get(name),) for name in names]
    return list(dict.fromkeys(one for several in each for one in several))
