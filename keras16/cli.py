"""The command line: one command per file of pipelines/, found by file name."""

from __future__ import annotations

import contextlib
import errno
import importlib
import importlib.util
import os
import pathlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import click

from keras16 import __version__
from keras16.errors import UserError, no_tensorflow

# What the file system has against a folder or file of the user's. Other errors of the
# system are ours, and keep their traceback.
REFUSALS = (FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
NO_ROOM = (errno.EROFS, errno.ENOSPC, errno.EDQUOT)  # these have no class of their own
INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended


class OneLineError(click.ClickException):
    """An error as one line on standard error: no usage text, no traceback."""

    def __init__(self, message: str, exit_code: int = 2):
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code  # type: ignore[misc]  # click's is for the class

    def show(self, file: Any = None) -> None:
        """Prints the line."""
        click.echo(f"keras16: {self.message}", file=file, err=file is None)


class Commands(click.Group):
    """Lists the files of pipelines/ and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands' names, in alphabetical order."""
        found = pkgutil.iter_modules(pipelines_path())
        files = (module.name for module in found if not module.ispkg)
        return sorted(
            name.replace("_", "-") for name in files if not name.startswith("_")
        )

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The `command` of the file with that name; None without such a file."""
        if cmd_name not in self.list_commands(ctx):
            return None
        return load(cmd_name).command

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Reads the group's own options; errors take one line."""
        with one_line_errors():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Reads the command's options and runs it; errors take one line."""
        with one_line_errors():
            return super().invoke(ctx)


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turns what the user can mend, or has asked for, into one line."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        raise OneLineError(usage_line(error)) from error
    except UserError as error:
        raise OneLineError(str(error)) from error
    except OSError as error:
        if not isinstance(error, REFUSALS) and error.errno not in NO_ROOM:
            raise
        raise OneLineError(refusal(error)) from error
    except ValueError as error:
        if not str(error).startswith("Unable to import backend"):  # Keras' own words
            raise
        raise OneLineError(
            f"{error}: set KERAS_BACKEND to tensorflow or jax."
        ) from error
    except MemoryError as error:
        raise OneLineError(f"not enough memory: {error or 'ask for less'}.") from error
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise
        raise OneLineError(no_tensorflow()) from error
    except KeyboardInterrupt as error:
        raise OneLineError("interrupted.", INTERRUPTED) from error


def refusal(error: OSError) -> str:
    """What is wrong with a path, or with one of the folders that it leads through."""
    if error.filename is None:
        return f"{error}."
    path = pathlib.Path(os.fsdecode(error.filename))
    for folder in reversed(path.parents):
        if folder.is_file():
            return f"{folder} is a file, and a folder is wanted there: move it."
    return f"{path} can't be used: {error.strerror}."


def usage_line(error: click.UsageError) -> str:
    """What is wrong with the arguments, and where the right ones are told."""
    message = error.format_message().rstrip()
    end = "" if message.endswith((".", "?", ")")) else "."
    path = error.ctx.command_path if error.ctx is not None else "keras16"
    return f"{message}{end} See `{path} --help`."


def load(command: str) -> Any:
    """The module of pipelines/ that holds a command, such as "tune-epsilon"."""
    return importlib.import_module(f"{pipelines()}.{command.replace('-', '_')}")


def pipelines() -> str:
    """The name that pipelines/ is imported by.

    Installed it is `keras16.pipelines`; in a checkout that is not installed the
    folder stands beside keras16/ and is imported from there.
    """
    installed = importlib.util.find_spec("keras16.pipelines")
    return "keras16.pipelines" if installed else "pipelines"


def pipelines_path() -> list[str]:
    """The folder of pipelines/, as import paths."""
    spec = importlib.util.find_spec(pipelines())
    if spec is None or spec.submodule_search_locations is None:
        raise UserError("keras16 is installed without its commands: install it again.")
    return list(spec.submodule_search_locations)


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
    epilog="Example: keras16 train --precision 16",
)
@click.version_option(__version__, prog_name="keras16")
def cli() -> None:
    """Trains Keras models in pure float16, and proves it.

    Exit codes: 0 done; 1 the run failed, was not recorded, or is not pure; 2 input
    that cannot be used; 130 stopped by Ctrl-C, 143 by SIGTERM.
    """


def main() -> None:
    """The script `keras16`."""
    cli(prog_name="keras16")
