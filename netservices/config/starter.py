"""The file that ``netservices init`` writes: every table and every kind once, every option with its meaning."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

from netservices.config.describe import list_own_rows, list_rows, summarise
from netservices.config.models import Config, ServiceOptions
from netservices.config.positions import format_path
from netservices.config.shape import find_tables, list_options
from netservices.config.writing import format_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netservices.config.describe import Row
    from netservices.config.kinds import KindCatalogue

_HEAD = """\
The configuration of netservices. A line that starts with #KEY, without a space, shows an option with its default, or
with an example where it has none; take the # away to change it. Then "netservices check" tells what is wrong.
"""
_COMMON = """\
A section for each service: [services.NAME]. Its kind is its name, unless it says kind = "KIND". These keys every
service has, beside the kind's own:
"""


def make_starter(kinds: KindCatalogue) -> str:
    """The text of the file. Raises ``KindError`` for a kind that can't be used."""
    lines = [*_comment(_HEAD)]
    for key in list_options(Config):
        for table in find_tables(Config, (key,)):
            lines += ["", *_comment(summarise(table)), f"[{key}]", *_show(list_rows(table))]
    lines += ["", *_comment(_COMMON), "#", *_tell(list_rows(ServiceOptions))]
    for name in sorted(kinds.names()):
        lines += ["", *_comment(f"{name}: {kinds.summary(name)}"), *_make_section(name, kinds)]
    return "\n".join(lines) + "\n"


def _make_section(name: str, kinds: KindCatalogue) -> Iterator[str]:
    section = kinds.tryout(name)
    # The tables come last: a line below one of them would belong to it.
    tables = {key: value for key, value in section.items() if isinstance(value, Mapping)}
    yield from format_table(f"services.{name}", {key: value for key, value in section.items() if key not in tables})
    for row in list_own_rows(kinds.options(name)):
        first = row.key.partition(".")[0].removesuffix("[]")
        if first not in section and "[]" not in row.key and ".NAME." not in row.key:
            yield from _show([row])
    for key, table in tables.items():
        yield from format_table(f"services.{name}.{format_path([key])}", table)


def _show(rows: Iterable[Row]) -> Iterator[str]:
    """Each option as a comment: what it means, and a line to take the # from."""
    for row in rows:
        if row.default == "{}" or not row.example:
            continue  # a table: its own options follow
        yield from _comment(row.meaning)
        yield f"#{row.key} = {row.example}"


def _tell(rows: Iterable[Row]) -> Iterator[str]:
    """Each option as prose."""
    for row in rows:
        default = f" ({row.default})" if row.default else ""
        yield from textwrap.wrap(
            f"{row.key}{default}: {row.meaning}", 110, initial_indent="#   ", subsequent_indent="#       ",
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        text, 110, initial_indent="# ", subsequent_indent="# ", break_long_words=False, break_on_hyphens=False
    )
