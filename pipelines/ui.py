"""`keras16 ui`: the MLflow UI on the store that `keras16 train` records in."""

from __future__ import annotations

import os

import click

from keras16 import store

from ._options import Count, tracking_uri_option


@click.command(name="ui")
@tracking_uri_option
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; the default is reached from this machine alone.",
)
@click.option("--port", type=Count(1, 65535), default=5000, show_default=True)
def command(tracking_uri: str | None, host: str, port: int) -> None:
    """Starts the MLflow UI, to browse and compare the runs.

    \b
    Example:
      keras16 ui --port 5001
    """
    arguments = store.ui_command(store.store_uri(tracking_uri), host, port)
    click.echo(f"http://{host}:{port} (Ctrl-C stops it)", err=True)
    # In place of this process, so that signals reach the server itself.
    os.execve(arguments[0], arguments, store.ui_environment())
