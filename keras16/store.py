"""Where runs are recorded, and how to browse them. Imports no MLflow."""

from __future__ import annotations

import os
import pathlib
import socket
import sqlite3
import sys
from urllib.parse import unquote, urlsplit

from keras16.errors import UserError

LOCAL = pathlib.Path("mlruns")  # what is kept of runs, whatever the store is
DEFAULT_STORE = "sqlite:///mlruns/mlflow.db"
SQLITE = "sqlite:///"
SERVERS = ("http", "https")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
FILE_STORE_SWITCH = "MLFLOW_ALLOW_FILE_STORE"


def store_uri(explicit: str | None = None) -> str:
    """The MLflow store: as told, else MLFLOW_TRACKING_URI, else mlruns/ right here.

    Args:
        explicit: A tracking URI, such as "sqlite:///FILE.db" or "http://HOST:PORT".

    Returns:
        The URI; the path of an SQLite file made absolute. Nothing is created.

    Raises:
        UserError: It is no URI of a store that MLflow can use.
    """
    uri = explicit or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_STORE
    if uri.startswith(SQLITE):
        path = pathlib.Path(unquote(uri.removeprefix(SQLITE)))
        return sqlite_uri(path.expanduser().absolute())
    scheme = urlsplit(uri).scheme.split("+")[0]
    if scheme in (*SERVERS, *DATABASES, "databricks") or uri == "databricks":
        return uri
    if scheme == "file" and os.environ.get(FILE_STORE_SWITCH, "").lower() == "true":
        return uri
    raise UserError(
        f"{without_password(uri)!r} is no MLflow store that keras16 can use: "
        "give one like sqlite:///FILE.db or http://HOST:PORT."
    )


def database_file(uri: str) -> pathlib.Path | None:
    """The file of an SQLite store, None for any other store."""
    path = uri.removeprefix(SQLITE)
    return pathlib.Path(unquote(path)) if uri.startswith(SQLITE) else None


def sqlite_uri(file: pathlib.Path) -> str:
    """The URI of an SQLite file, in which "%" and "?" would mean something else."""
    return SQLITE + str(file).replace("%", "%25").replace("?", "%3F")


def artifact_folder(uri: str) -> pathlib.Path | None:
    """`artifacts` beside an SQLite store's file; None: the server decides."""
    file = database_file(uri)
    return file.parent / "artifacts" if file else None


def without_password(uri: str) -> str:
    """The URI as it may be shown: user name and password left out."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host).geturl() if host != parts.netloc else uri


def where(uri: str, run_id: str, experiment_id: str = "") -> str:
    """The sentence that says how to browse a run.

    Args:
        uri: Of the store, as `store_uri` gives it.
        run_id: MLflow's; "" where nothing was recorded.
        experiment_id: Leads straight to the run's page where it is known.

    Returns:
        One line.
    """
    shown = without_password(uri)
    if not run_id:
        return f"Nothing was recorded in {shown}."
    page = f"#/experiments/{experiment_id}/runs/{run_id}" if experiment_id else ""
    if urlsplit(uri).scheme in SERVERS:
        return f"Browse the run at {shown.rstrip('/')}/{page}"
    option = "" if uri == store_uri() else f" --tracking-uri {shown}"
    return (
        f"Browse the run: start `keras16 ui{option}` and open "
        f"http://127.0.0.1:5000/{page}"
    )


def ui_command(uri: str, host: str = "127.0.0.1", port: int = 5000) -> list[str]:
    """The command that starts the MLflow UI on a store.

    Args:
        uri: Of the store, as `store_uri` gives it.
        host: Address to listen on; the default is reached from this machine alone.
        port: TCP port.

    Returns:
        Program and arguments, for this very Python.

    Raises:
        UserError: The store is a server with a UI of its own or does not exist yet,
            or the address can't be listened on.
    """
    if urlsplit(uri).scheme in (*SERVERS, "databricks") or uri == "databricks":
        shown = without_password(uri)
        raise UserError(f"{shown} is a server with its own UI: open it in a browser.")
    file = database_file(uri)
    if file is not None and not file.is_file():
        raise UserError(
            f"there is no run to show, for {file} does not exist: train first with "
            "`keras16 train`, or go to the folder where you did."
        )
    _refuse_busy(host, port)
    folder = artifact_folder(uri)
    root = ["--default-artifact-root", folder.as_uri()] if folder else []
    address = ["--host", host, "--port", str(port), "--workers", "1"]
    mlflow = [sys.executable, "-m", "mlflow", "server"]
    return [*mlflow, "--backend-store-uri", uri, *root, *address]


def ui_environment() -> dict[str, str]:
    """This process's environment for the UI: no telemetry, no job runner beside it."""
    return {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **os.environ,
    }


def reason(error: BaseException) -> str:
    """Why the store failed, in a few words such as "Connection refused".

    What the system or SQLite said lies at the bottom of a chain of wrappers.
    """
    chain: list[BaseException] = [error]
    while (deeper := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(deeper)
    said = (system_reason(one) for one in reversed(chain))
    text = next(filter(None, said), "") or str(error) or type(error).__name__
    return " ".join(text.splitlines()[0].split())[:200].rstrip(".")


def system_reason(error: BaseException) -> str:
    """The words of the system or of SQLite; "" where the error is neither's."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, sqlite3.Error):
        return str(error)
    if not isinstance(error, OSError) or not error.strerror:
        return ""
    return f"{error.strerror}: {error.filename}" if error.filename else error.strerror


def _refuse_busy(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do, so that a port which was closed a moment ago counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, os.name == "posix")
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UserError(
                f"can't listen on {host}:{port} ({reason}): name another port, such as "
                f"--port {port % 65_000 + 1}."
            ) from error
