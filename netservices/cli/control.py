"""The verbs that speak to the running daemon."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import click

from netservices.cli import EXIT_NO_ANSWER
from netservices.config import ConfigError, DaemonOptions

if TYPE_CHECKING:
    from pathlib import Path

    from netservices.cli.context import Asked


@click.command()
@click.pass_obj
def reload(asked: Asked) -> None:
    """Have the daemon read its configuration again; what is wrong with it is said, and then nothing changes."""
    click.echo(call(find_state_directory(asked), "netservices.reload"))


def call(state: Path, method: str, *parameters: object) -> object:
    """What the running daemon answers to a call; ends the command if it does not answer, or answers with a fault."""
    from xmlrpc.client import Fault  # noqa: PLC0415 - the other verbs do without

    from netservices.cli.client import DaemonClient, NoAnswerError  # noqa: PLC0415 - as above

    try:
        return DaemonClient(state / "control").call(method, *parameters)
    except Fault as fault:
        click.echo(fault.faultString, err=True)
        raise click.exceptions.Exit(fault.faultCode if fault.faultCode > 0 else 1) from None
    except NoAnswerError as error:
        click.echo(f"netservices: {error}", err=True)
        raise click.exceptions.Exit(EXIT_NO_ANSWER) from None


def find_state_directory(asked: Asked) -> Path:
    """Where the daemon of the configuration keeps its state; the file may have mistakes, which the daemon will tell."""
    import os  # noqa: PLC0415 - as above

    from netservices.daemon.state import find_state  # noqa: PLC0415 - as above

    try:
        options = asked.load().daemon
    except ConfigError:
        options = DaemonOptions(state=_find_written(asked.find_path()))
    return find_state(options, os.environ, root=os.geteuid() == 0)


def _find_written(path: Path | None) -> Path | None:
    """``[daemon] state`` of a file that does not load, if it can be made out."""
    try:
        written = tomllib.loads(path.read_text("utf-8"))["daemon"]["state"] if path else None
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return path.parent.absolute() / written if path and isinstance(written, str) else None
