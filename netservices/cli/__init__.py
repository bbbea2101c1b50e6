"""The ``netservices`` command: one module for each group of verbs, imported when a verb of it is used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import click

from netservices import __version__
from netservices.config.errors import ConfigError
from netservices.config.kinds import KindError

if TYPE_CHECKING:
    from collections.abc import Sequence

VERBS = {
    "init": "files",
    "check": "files",
    "schema": "files",
    "kinds": "kinds",
    "reload": "control",
    "status": "status",
    "sessions": "status",
    "service": "status",
    "log": "status",
    "user": "user",
    "ban": "ban",
    "explain": "explain",
    "certificate": "certificate",
    "manual": "files",
}
"""Each verb, and the module in this package that has a command of that name."""

EXIT_FAILED = 1
EXIT_CONFIGURATION = 2
EXIT_NO_ANSWER = 3


class Verbs(click.Group):
    """The verbs, found by name; ``--help`` of one imports only that one."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's hook
        """In the order they are meant to be read."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's hook
        """Import the verb's module."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"{__name__}.{VERBS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb; what is the operator's fault is said in plain lines, without a traceback."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            for problem in error.problems:
                click.echo(str(problem), err=True)
            raise click.exceptions.Exit(EXIT_CONFIGURATION) from error
        except KindError as error:
            click.echo(f"netservices: {error}", err=True)
            raise click.exceptions.Exit(EXIT_CONFIGURATION) from error
        except OSError as error:
            click.echo(f"netservices: {error.filename or 'failed'}: {error.strerror}", err=True)
            raise click.exceptions.Exit(EXIT_FAILED) from error


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config", "config_file", metavar="FILE",
    help="The configuration. Left out: $NETSERVICES_CONFIG, else ./netservices.toml, else "
    "/etc/netservices/netservices.toml, else the built-in try-out configuration.",
)  # fmt: skip
@click.version_option(__version__, prog_name="netservices", message="%(prog)s %(version)s")
@click.pass_context
def netservices(ctx: click.Context, config_file: str | None) -> None:
    """Look after netservices: one daemon for the classic network services, behind one configuration file.

    The daemon itself is started by: twistd -n netservices

    Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 3 the daemon does not answer.
    """
    from netservices.cli.context import Asked  # noqa: PLC0415 - the help needs none of it

    ctx.obj = Asked(config_file, ctx.obj)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command's entry point; ends the process."""
    netservices.main(args=arguments, prog_name="netservices")
