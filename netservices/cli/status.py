"""The verbs that look at the running daemon and steer it: ``status``, ``sessions``, ``service``, ``log``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import click

from netservices.cli.control import call, find_state_directory
from netservices.cli.tables import print_table
from netservices.config.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netservices.cli.context import Asked


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Everything, as one JSON object.")
@click.pass_obj
def status(asked: Asked, *, as_json: bool) -> None:
    """Tell what the daemon serves, where, and how much of it is going on."""
    told = cast("dict[str, Any]", call(find_state_directory(asked), "netservices.status"))
    if as_json:
        click.echo(json.dumps(told, indent=1))
        return
    click.echo(
        f"netservices {told['version']}, process {told['pid']}, up {_say_age(told['uptime'])}, "
        f"with {told['source']}, state in {told['state']}"
    )
    rows = [
        [
            each["name"],
            each["kind"],
            each["state"],
            f"{each['sessions']}/{each['most']}",
            f"{each['opened']:.0f}",
            f"{each['per_minute']}",
            f"{each['refused']:.0f}",
            " ".join(listener["address"] for listener in each["listeners"]),
        ]
        for each in told["services"]
    ]
    print_table(["service", "kind", "state", "sessions", "opened", "a minute", "refused", "reached at"], rows)
    if told["draining"]:
        click.echo(f"{told['draining']} sessions go on under an earlier configuration")


@click.group(invoke_without_command=True)
@click.option("--service", default="", metavar="NAME", help="Only this section's.")
@click.option("--peer", default="", metavar="ADDRESS", help="Only peers whose address begins like this.")
@click.option("--user", default="", metavar="ACCOUNT", help="Only this account's.")
@click.option("--json", "as_json", is_flag=True, help="As a list of JSON objects.")
@click.pass_context
def sessions(ctx: click.Context, *, service: str, peer: str, user: str, as_json: bool) -> None:
    """List the open sessions, or close one."""
    if ctx.invoked_subcommand is not None:
        return
    found = [*_find_sessions(ctx.obj, service, peer, user)]
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    rows = [
        [
            each["id"],
            each["service"],
            each["peer"],
            each["account"] or "-",
            each["tls"] or "-",
            _say_age(each["age"]),
            f"{each['bytes_in']:.0f}",
            f"{each['bytes_out']:.0f}",
        ]
        for each in found
    ]
    print_table(["id", "service", "peer", "account", "tls", "age", "bytes in", "bytes out"], rows)


def _find_sessions(asked: Asked, service: str, peer: str, user: str) -> Iterator[dict[str, Any]]:
    state, after = find_state_directory(asked), 0
    while True:
        page = cast("dict[str, Any]", call(state, "netservices.sessions.list", service, peer, user, after))
        yield from page["sessions"]
        after = page["next"]
        if not after:
            return


@sessions.command("close")
@click.argument("session_id", metavar="ID")
@click.pass_obj
def close_session(asked: Asked, session_id: str) -> None:
    """End a session now."""
    click.echo(call(find_state_directory(asked), "netservices.sessions.close", session_id))


@click.group()
def service() -> None:
    """Pause a section, or let it go on."""


@service.command()
@click.argument("name")
@click.pass_obj
def pause(asked: Asked, name: str) -> None:
    """Take nothing new for section NAME; what is open goes on, and new clients wait."""
    click.echo(call(find_state_directory(asked), "netservices.service.pause", name))


@service.command()
@click.argument("name")
@click.pass_obj
def resume(asked: Asked, name: str) -> None:
    """Take new sessions for section NAME again."""
    click.echo(call(find_state_directory(asked), "netservices.service.resume", name))


@click.group()
def log() -> None:
    """Steer the running daemon's log."""


@log.command()
@click.argument("wanted", metavar="LEVEL", type=click.Choice(["debug", "info", "warn", "error", "critical"]))
@click.pass_obj
def level(asked: Asked, wanted: str) -> None:
    """Drop events below LEVEL, until the file's [log] changes or the daemon restarts."""
    click.echo(call(find_state_directory(asked), "netservices.log.level", wanted))


def _say_age(seconds: float) -> str:
    return format_duration(float(int(seconds))) if seconds < 600 else format_duration(float(int(seconds // 60) * 60))
