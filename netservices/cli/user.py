"""The verbs about accounts: ``user add|passwd|set|disable|enable|remove|list|show|import``."""

from __future__ import annotations

import json
import sys
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from netservices.cli import EXIT_FAILED, EXIT_NO_ANSWER
from netservices.cli.control import find_state_directory
from netservices.cli.ownership import become_owner
from netservices.cli.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from netservices.cli.context import Asked
    from netservices.runtime.accounts.commands import AccountCommands

_CHUNK = 100
"""Imported accounts in one call: the daemon takes a call apart between two turns of everything else."""
_LONGEST_LINE = 8192
_LARGEST_FILE = 64 << 20
_SETTINGS = (
    click.option("--services", metavar="NAMES", help="Sections it may use, with commas between; all; or none."),
    click.option("--home", metavar="FOLDER", help="Its files; relative ones are below STATE/files. none: its own."),
    click.option("--mailbox", metavar="NAME", help="Its mailbox. none: its own."),
    click.option("--address", "addresses", multiple=True, help="A mail address of it; again for more. none: no more."),
    click.option("--admin/--no-admin", default=None, help="Whether it may look after the services."),
    click.option("--quota-bytes", metavar="SIZE", help="Such as 10GiB; none for no limit."),
    click.option("--quota-files", metavar="COUNT", help="Files at most; none for no limit."),
    click.option(
        "--subject", "subjects", multiple=True, help="Of a client certificate that logs in as it. none: no more."
    ),
    click.option(
        "--shared-secret/--no-shared-secret", default=None, help="Keep the password itself, for APOP and CRAM-MD5."
    ),
)
_PASSWORD = click.option("--password-stdin", is_flag=True, help="Read the password from the first line of stdin.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Administration:
    """Reaches the accounts: through the daemon if one answers, else in the database itself."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._commands: AccountCommands | None = None

    def call(self, method: str, *parameters: object) -> Any:  # noqa: ANN401 - what XML-RPC carries
        """What the verb ``method`` gives. Ends the command if it fails."""
        from netservices.runtime.accounts.errors import AccountError, StoreError  # noqa: PLC0415 - the help needs none

        try:
            if self._commands is None:
                return self._ask_daemon(method, *parameters)
            return self._perform(self._commands, method, *parameters)
        except (AccountError, StoreError) as error:
            click.echo(f"netservices: {error}", err=True)
            raise click.exceptions.Exit(EXIT_FAILED) from error

    @cached_property
    def _state(self) -> Path:
        return find_state_directory(self._asked)

    def _ask_daemon(self, method: str, *parameters: object) -> object:
        from xmlrpc.client import Fault  # noqa: PLC0415 - only where there is a daemon to ask

        from netservices.cli.client import DaemonClient, NoAnswerError  # noqa: PLC0415 - likewise

        try:
            return DaemonClient(self._state / "control").call(f"netservices.user.{method}", *parameters)
        except Fault as fault:
            click.echo(f"netservices: {fault.faultString}", err=True)
            raise click.exceptions.Exit(fault.faultCode if fault.faultCode > 0 else EXIT_FAILED) from None
        except NoAnswerError as error:
            if not isinstance(error.__cause__, FileNotFoundError | NotADirectoryError | ConnectionRefusedError):
                # Something is there and does not answer: what it has in mind would be wrong after a change.
                click.echo(f"netservices: {error}", err=True)
                raise click.exceptions.Exit(EXIT_NO_ANSWER) from None
        self._commands = open_database(self._state)
        return self._perform(self._commands, method, *parameters)

    @staticmethod
    def _perform(commands: AccountCommands, method: str, *parameters: object) -> object:
        function: Callable[..., object] = getattr(commands, "import_accounts" if method == "import" else method)
        return function(*parameters)


def open_database(state: Path) -> AccountCommands:
    """The verbs on the database itself, which is closed with the command. Raises ``StoreError``.

    Root becomes whoever has the state directory.
    """
    from netservices.daemon.state import StateError, make_state  # noqa: PLC0415 - only without a daemon
    from netservices.runtime.accounts.commands import AccountCommands  # noqa: PLC0415 - likewise
    from netservices.runtime.accounts.errors import StoreError  # noqa: PLC0415 - likewise
    from netservices.runtime.accounts.hashing import Hasher  # noqa: PLC0415 - likewise
    from netservices.runtime.accounts.make import make_store  # noqa: PLC0415 - likewise

    become_owner(state)
    try:
        make_state(state)
    except StateError as error:
        raise StoreError(str(error)) from error
    store = make_store(state)
    click.get_current_context().call_on_close(store.close)
    store.prepare()
    return AccountCommands(store, Hasher())


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say what an account is."""
    made = command
    for option in _SETTINGS[::-1]:
        made = option(made)
    return made


def make_settings(given: dict[str, Any]) -> dict[str, object]:
    """What was given, as ``parse_settings`` takes it; what was left out is not in it."""
    settings: dict[str, object] = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in given.items()
        if value is not None and value != ()
    }
    services = settings.get("services")
    if isinstance(services, str):
        words = [word.strip() for word in services.split(",")]
        settings["services"] = None if services == "all" else [] if services == "none" else words
    for name in ("home", "mailbox", "quota_bytes", "quota_files"):
        if settings.get(name) in {"none", "default"}:
            settings[name] = None
    for name in ("addresses", "subjects"):
        if settings.get(name) == ["none"]:
            settings[name] = []
    files = settings.get("quota_files")
    # What is no number, or has more than XML-RPC's 32 bits, is refused as text, wherever the accounts are.
    if isinstance(files, str) and files.isascii() and files.isdigit() and len(files) < 10:
        settings["quota_files"] = int(files)
    return settings


def read_password(*, from_stdin: bool) -> str:
    """The password: one line of stdin, or asked for twice; never an argument, which everybody on the machine sees."""
    if not from_stdin:
        if not sys.stdin.isatty():
            raise click.UsageError("there is no terminal to ask for the password at; --password-stdin reads it")
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    line = sys.stdin.buffer.readline(_LONGEST_LINE)
    try:
        password = line.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise click.UsageError("the password on stdin is not UTF-8") from None
    if not password:
        raise click.UsageError("there is no password on stdin")
    return password


@click.group()
@click.pass_context
def user(ctx: click.Context) -> None:
    """Look after the accounts: one name and password for every service.

    A running daemon makes the change itself, and it holds at once; without one the database is changed.
    """
    ctx.obj = Administration(ctx.obj)


@user.command()
@click.argument("name")
@_PASSWORD
@with_settings
@click.pass_obj
def add(accounts: Administration, /, name: str, *, password_stdin: bool, **given: Any) -> None:  # noqa: ANN401 - the options above
    """Make an account."""
    made = accounts.call("add", name, read_password(from_stdin=password_stdin), make_settings(given))
    click.echo(f"{made['name']} is added")


@user.command()
@click.argument("name")
@_PASSWORD
@click.pass_obj
def passwd(accounts: Administration, name: str, *, password_stdin: bool) -> None:
    """Give an account another password."""
    changed = accounts.call("passwd", name, read_password(from_stdin=password_stdin))
    click.echo(f"{changed['name']} has a new password")


@user.command("set")
@click.argument("name")
@with_settings
@click.pass_obj
def set_(accounts: Administration, /, name: str, **given: Any) -> None:  # noqa: ANN401 - the options above
    """Change what an account is; what is left out stays, "none" clears."""
    settings = make_settings(given)
    if not settings:
        raise click.UsageError("nothing to set; netservices user set --help tells what there is")
    changed = accounts.call("set", name, settings)
    click.echo(f"{changed['name']} is changed: {', '.join(sorted(settings))}")


@user.command()
@click.argument("name")
@click.pass_obj
def disable(accounts: Administration, name: str) -> None:
    """Let nobody log in to an account any more."""
    click.echo(f"{accounts.call('set', name, {'enabled': False})['name']} is disabled")


@user.command()
@click.argument("name")
@click.pass_obj
def enable(accounts: Administration, name: str) -> None:
    """Let an account log in again."""
    click.echo(f"{accounts.call('set', name, {'enabled': True})['name']} is enabled")


@user.command()
@click.argument("name")
@click.pass_obj
def remove(accounts: Administration, name: str) -> None:
    """Remove an account; its files and its mail stay."""
    click.echo(f"{accounts.call('remove', name)} is removed; its files and mail are still there")


@user.command("list")
@_JSON
@click.pass_obj
def list_(accounts: Administration, *, as_json: bool) -> None:
    """List the accounts."""
    found = list(_iterate(accounts))
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    rows = [
        (
            account["name"],
            "yes" if account["enabled"] else "no",
            _show(account["services"], "all"),
            "yes" if account["admin"] else "no",
            account["password"],
            _show_time(account["last_login"]),
        )
        for account in found
    ]
    print_table(("name", "enabled", "services", "admin", "password", "last login"), rows)


@user.command()
@click.argument("name")
@_JSON
@click.pass_obj
def show(accounts: Administration, name: str, *, as_json: bool) -> None:
    """Show all that is known of an account, but for its secrets."""
    account = accounts.call("show", name)
    if as_json:
        click.echo(json.dumps(account, indent=2, ensure_ascii=False))
        return
    defaults = {
        "services": "all",
        "home": "its own",
        "mailbox": "its own",
        "quota_bytes": "none",
        "quota_files": "none",
    }
    for key, value in account.items():
        shown = (
            _show_time(value) if key in {"created", "changed", "last_login"} else _show(value, defaults.get(key, "-"))
        )
        click.echo(f"{key.replace('_', ' ')}: {shown}")


@user.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
@click.option("--homes", is_flag=True, help="Take the home folders of a passwd file too.")
@click.pass_obj
def import_(accounts: Administration, file: Any, *, dry_run: bool, homes: bool) -> None:  # noqa: ANN401 - what click opened
    """Make accounts of the lines of an htpasswd, passwd or shadow FILE (- is stdin), with the passwords they have.

    Names that there are already stay as they are. Every line that is skipped is told, with the reason.
    """
    from netservices.runtime.accounts.imports import parse_file  # noqa: PLC0415 - the help needs none of it

    octets = file.read(_LARGEST_FILE + 1)
    if len(octets) > _LARGEST_FILE:
        raise click.UsageError(f"the file is larger than {_LARGEST_FILE >> 20} MiB")
    candidates, skipped = parse_file(octets, homes=homes)
    told = [(line.line, line.name, line.reason) for line in skipped]
    count = 0
    for start in range(0, len(candidates), _CHUNK):
        chunk = candidates[start : start + _CHUNK]
        entries = [[line.name, line.password_hash, line.home] for line in chunk]
        taken = set(accounts.call("import", entries, dry_run))
        told += [(line.line, line.name, "there is an account of the name") for line in chunk if line.name in taken]
        count += len(chunk) - len(taken)
    for number, name, reason in sorted(told):
        click.echo(f"{file.name}:{number}: {f'{name}: ' if name else ''}{reason}", err=True)
    click.echo(
        f"{count} {'would be' if dry_run else 'are'} imported, {len(told)} {'would be' if dry_run else 'are'} skipped"
    )


def _iterate(accounts: Administration) -> Iterator[dict[str, Any]]:
    after = ""
    while found := accounts.call("list", after):
        yield from found
        after = found[-1]["name"]


def _show(value: object, otherwise: str) -> str:
    if value is None:
        return otherwise
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)


def _show_time(seconds: object) -> str:
    if not isinstance(seconds, int | float):
        return "never"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
