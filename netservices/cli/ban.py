"""The verbs about who is kept out: ``ban list|add|remove``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NoReturn

import click

from netservices.cli import EXIT_FAILED, EXIT_NO_ANSWER
from netservices.cli.control import find_state_directory
from netservices.cli.tables import print_table
from netservices.config.models import parse_network
from netservices.config.units import parse_duration
from netservices.wire.escaping import escape_line

if TYPE_CHECKING:
    from netservices.cli.bansource import BanError, BanSource
    from netservices.cli.context import Asked
    from netservices.runtime.admission.access import Network


@click.group()
@click.pass_context
def ban(ctx: click.Context) -> None:
    """Look after the bans: who is kept out of every service.

    A running daemon makes the change itself, and it holds at once; without one it holds from the next start on.
    """
    ctx.obj = _Bans(ctx.obj)


class _Bans:
    """The source, found when a verb needs it."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    def open(self) -> BanSource:
        from netservices.cli.bansource import BanSource  # noqa: PLC0415 - the help needs none of it

        return BanSource(find_state_directory(self._asked))


@ban.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_(bans: _Bans, *, as_json: bool) -> None:
    """List the bans that hold, in the order they were made."""
    from netservices.cli.bansource import BanError  # noqa: PLC0415 - the help needs none of it
    from netservices.runtime.admission.banstore import (  # noqa: PLC0415 - likewise
        format_time,
        make_ban_data,
        say_end,
        say_network,
    )

    try:
        found = bans.open().list_bans()
    except BanError as error:
        _fail(error)
    if as_json:
        click.echo(json.dumps([make_ban_data(ban) for ban in found], indent=2, ensure_ascii=False))
        return
    rows = [
        (
            say_network(ban.network),
            format_time(ban.since),
            say_end(ban.until),
            escape_line(ban.by),
            escape_line(ban.reason),
        )
        for ban in found
    ]
    print_table(("network", "since", "until", "by", "reason"), rows)


@ban.command()
@click.argument("network")
@click.option("--for", "length", metavar="DURATION", help='Such as "1d". Left out: until it is removed.')
@click.option("--reason", default="no reason given", help="What the list and the log will say.")
@click.pass_obj
def add(bans: _Bans, network: str, length: str | None, reason: str) -> None:
    """Keep NETWORK, such as 203.0.113.0/24 or one address, out of every service; open sessions go on."""
    from netservices.cli.bansource import BanError  # noqa: PLC0415 - the help needs none of it
    from netservices.runtime.admission.banstore import LONGEST_REASON  # noqa: PLC0415 - likewise

    wanted = _load_network(network)
    try:
        seconds = None if length is None else parse_duration(length)
    except ValueError as error:
        raise click.UsageError(f"--for: {error}") from None
    if seconds == 0:
        raise click.UsageError("--for: wanted more than 0s")
    if not reason.isprintable() or not 0 < len(reason) <= LONGEST_REASON:
        raise click.UsageError(f"--reason: wanted one printable line of at most {LONGEST_REASON} characters")
    try:
        click.echo(str(bans.open().add(wanted, seconds, reason)))
    except BanError as error:
        _fail(error)
    if wanted.overlaps(_LOOPBACK[wanted.version]):
        click.echo("It does not hold for loopback addresses, but where a service has bans.loopback = true.")


@ban.command()
@click.argument("network")
@click.pass_obj
def remove(bans: _Bans, network: str) -> None:
    """Lift the ban of NETWORK, as the list has it."""
    from netservices.cli.bansource import BanError  # noqa: PLC0415 - the help needs none of it
    from netservices.runtime.admission.banstore import say_network  # noqa: PLC0415 - likewise

    wanted = _load_network(network)
    try:
        lifted = bans.open().remove(wanted)
    except BanError as error:
        _fail(error)
    click.echo(f"the ban of {say_network(lifted.network)} is lifted")


def _load_network(text: str) -> Network:
    try:
        return parse_network(text)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _fail(error: BanError) -> NoReturn:
    click.echo(f"netservices: {escape_line(str(error))}", err=True)
    raise click.exceptions.Exit(EXIT_NO_ANSWER if error.unreachable else EXIT_FAILED) from error


_LOOPBACK = {4: parse_network("127.0.0.0/8"), 6: parse_network("::1/128")}
