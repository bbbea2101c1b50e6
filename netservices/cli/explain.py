"""The verb ``explain``: who would be let in to a service, and which line decides."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from netservices.cli import EXIT_FAILED, EXIT_NO_ANSWER
from netservices.cli.control import find_state_directory
from netservices.config.saying import say_unknown
from netservices.wire.escaping import escape_line

if TYPE_CHECKING:
    from netservices.cli.context import Asked


@click.command()
@click.argument("peer")
@click.argument("service")
@click.argument("user", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def explain(asked: Asked, peer: str, service: str, user: str | None, *, as_json: bool) -> None:
    """Tell whether the address PEER may connect to SERVICE, and which line decides; with USER, how it may log in.

    Exit status: 0 it may, 1 it may not, 2 wrong usage or configuration, 3 the bans can't be asked.
    """
    from netservices.cli.bansource import BanError, BanSource  # noqa: PLC0415 - the help needs none of it
    from netservices.cli.explaining import Case, Verdict, explain_case, find_decisive  # noqa: PLC0415 - likewise
    from netservices.runtime.addresses import parse_host  # noqa: PLC0415 - likewise

    try:
        ip = parse_host(peer)
    except ValueError:
        raise click.UsageError(f'"{peer}" is not a numeric IPv4 or IPv6 address') from None
    config = asked.load()
    if service not in config.services:
        raise click.UsageError(say_unknown(service, "a service of the configuration", sorted(config.services)))
    bans = BanSource(find_state_directory(asked))
    case = Case(config, service, ip, user, bans.find)
    try:
        steps = explain_case(case)
    except BanError as error:
        click.echo(f"netservices: {escape_line(str(error))}", err=True)
        raise click.exceptions.Exit(EXIT_NO_ANSWER) from error
    decisive = find_decisive(steps)
    allowed = decisive.verdict is Verdict.ALLOW
    if as_json:
        told = {
            "peer": str(case.ip), "service": service, "user": user, "allowed": allowed,
            "decisive": asdict(decisive), "steps": [asdict(step) for step in steps],
        }  # fmt: skip
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        click.echo(f"{service} {'lets' if allowed else 'does not let'} {case.ip} in: {escape_line(str(decisive))}.")
        for step in steps:
            if step is not decisive:
                click.echo(f"{step.subject.capitalize()}: {escape_line(str(step))}.")
    if not allowed:
        raise click.exceptions.Exit(EXIT_FAILED)
