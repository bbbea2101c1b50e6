"""The verb about what can be served: ``kinds``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from netservices.cli.tables import print_table
from netservices.config.describe import list_own_rows, list_rows, summarise
from netservices.config.kinds import KindError
from netservices.config.saying import say_unknown

if TYPE_CHECKING:
    from netservices.cli.context import Asked
    from netservices.config.describe import Row
    from netservices.config.kinds import KindCatalogue


@click.command()
@click.argument("kind", required=False)
@click.option("--all", "everything", is_flag=True, help="Also the options that every service has.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def kinds(asked: Asked, kind: str | None, *, everything: bool, as_json: bool) -> None:
    """List the kinds of service, or the options of one KIND."""
    if kind is None:
        _show_kinds(asked.kinds, as_json=as_json)
        return
    names = sorted(asked.kinds.names())
    if kind not in names:
        raise click.UsageError(say_unknown(kind, "a kind of service", names))
    model = asked.kinds.options(kind)
    rows = list_rows(model) if everything else list_own_rows(model)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "kind": kind,
                    "summary": asked.kinds.summary(kind),
                    "tryout": asked.kinds.tryout(kind),
                    "options": [asdict(row) for row in rows],
                },
                indent=2,
                ensure_ascii=False,
            )
        )
        return
    click.echo(f"{kind}: {summarise(model)}\n")
    if rows:
        print_table(("option", "type", "default", "meaning"), [_cells(row) for row in rows])
    else:
        click.echo("It has no options of its own.")
    if not everything:
        click.echo("\nOptions that every service has: netservices kinds --all " + kind)


def _cells(row: Row) -> tuple[str, ...]:
    return (row.key, row.type, row.default or ("required" if row.required else "-"), row.meaning)


def _show_kinds(catalogue: KindCatalogue, *, as_json: bool) -> None:
    found: list[tuple[str, str, str]] = []
    for name in sorted(catalogue.names()):
        try:
            entries = catalogue.tryout(name).get("listen", ())
            listen = " ".join(str(entry) for entry in entries) if isinstance(entries, list | tuple) else str(entries)
            found.append((name, catalogue.summary(name), listen))
        except KindError as error:
            # The others are still worth a list.
            found.append((name, str(error), ""))
    if as_json:
        click.echo(
            json.dumps([{"kind": name, "summary": told, "listen": at.split()} for name, told, at in found], indent=2)
        )
        return
    print_table(("kind", "what it does", "known at"), found)
