"""Tables for people, and lines with tabs for programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """To a terminal a table that fits it, else a line each, with tabs between the cells."""
    if not sys.stdout.isatty():
        click.echo("\n".join("\t".join(row) for row in [header, *rows]))
        return
    from rich.console import Console  # noqa: PLC0415 - slow, and of no use in a pipe
    from rich.table import Table  # noqa: PLC0415 - likewise
    from rich.text import Text  # noqa: PLC0415 - likewise

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for index, title in enumerate(header):
        table.add_column(title, overflow="fold", no_wrap=index == 0)
    for row in rows:
        table.add_row(*map(Text, row))
    Console(highlight=False).print(table)
