"""The verbs about the configuration file: ``init``, ``check``, ``schema``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING

import click

from netservices.config.errors import ConfigError, Severity
from netservices.config.finding import FILE_NAME
from netservices.config.listen import Listen
from netservices.config.meaning import examine
from netservices.config.shape import walk_values
from netservices.config.tryout import TRYOUT_FILE

if TYPE_CHECKING:
    from netservices.cli.context import Asked
    from netservices.config.models import Config


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default=Path(FILE_NAME))
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@click.pass_obj
def init(asked: Asked, path: Path, *, force: bool) -> None:
    """Write a configuration to start from, every option in it, to PATH (./netservices.toml)."""
    from netservices.config.starter import make_starter  # noqa: PLC0415 - only here

    text = make_starter(asked.kinds)
    # Written beside its place and put there whole, so that nobody ever reads half a file.
    descriptor, temporary = mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(text)
        if force:
            Path(temporary).replace(path)
        else:
            # link(2) fails where rename(2) would overwrite a file that has just appeared.
            os.link(temporary, path)
    except FileExistsError:
        raise click.UsageError(f"{path} is there already; --force overwrites it") from None
    finally:
        Path(temporary).unlink(missing_ok=True)
    click.echo(f"{path} is written; netservices check {path} tells whether it fits this machine")


@click.command()
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--strict", is_flag=True, help="Let a warning count as a mistake.")
@click.pass_obj
def check(asked: Asked, path: Path | None, *, strict: bool) -> None:
    """Tell every mistake and every doubt in the configuration, or in PATH; status 2 if the daemon would not start."""
    config = asked.load(path)
    problems = examine(config, asked.kinds)
    if any(strict or problem.severity is Severity.MISTAKE for problem in problems):
        raise ConfigError(problems)
    for problem in problems:
        click.echo(str(problem), err=True)
    name = "the built-in try-out configuration" if config.file == TRYOUT_FILE else config.file
    click.echo(f"{name} is good: {_count(config)}")


def _count(config: Config) -> str:
    on = [options for options in config.services.values() if options.enabled]
    addresses = sum(isinstance(value, Listen) for options in on for _, value, _ in walk_values(options, type(options)))
    off = len(config.services) - len(on)
    parts = [_number(len(on), "service"), f"{_number(addresses, 'listener')}"]
    return ", ".join([*parts, f"{off} off"] if off else parts)


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


@click.command(hidden=True)
@click.argument("pages", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.pass_obj
def manual(asked: Asked, pages: tuple[Path, ...]) -> None:
    """Bring the tables of options in PAGES of the manual up to date; for whoever works on netservices or on a kind."""
    from netservices.config.manual import fill_page  # noqa: PLC0415 - only here

    for page in pages:
        text = page.read_text("utf-8")
        filled = fill_page(text, asked.kinds)
        if filled != text:
            page.write_text(filled, "utf-8")
            click.echo(f"{page} is brought up to date")


@click.command()
@click.pass_obj
def schema(asked: Asked) -> None:
    """Print the JSON Schema of a configuration, for an editor that completes and checks."""
    from netservices.config.schema import make_schema  # noqa: PLC0415 - only here

    click.echo(json.dumps(make_schema(asked.kinds), indent=2, ensure_ascii=False))
