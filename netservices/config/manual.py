"""The tables of options in the manual's pages, made from the models.

A page has, on lines of their own, ``<!-- options: NAME -->`` and ``<!-- end -->``; what stands between them is ours.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from netservices.config.describe import list_own_rows, list_rows
from netservices.config.models import Config, ServiceOptions
from netservices.config.shape import find_tables, list_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netservices.config.describe import Row
    from netservices.config.kinds import KindModels

EVERY_SERVICE = "every service"
_PLACE = re.compile(r"(<!-- options: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill_page(text: str, kinds: KindModels) -> str:
    """A page with its tables as they should be: NAME is a table of the file, ``every service``, or a kind.

    Raises ``KindError`` for a name that is none of them.
    """
    return _PLACE.sub(lambda place: place[1] + make_table(_find_rows(place[2], kinds)) + place[3], text)


def make_table(rows: Sequence[Row]) -> str:
    """Options as a table in Markdown."""
    if not rows:
        return "No options of its own.\n"
    lines = ["| option | type | default | meaning |", "| --- | --- | --- | --- |"]
    for row in rows:
        default = f"`{row.default}`" if row.default else ("required" if row.required else "")
        lines.append(f"| `{row.key}` | {_escape(row.type)} | {_escape(default)} | {_escape(row.meaning)} |")
    return "\n".join(lines) + "\n"


def _find_rows(name: str, kinds: KindModels) -> Sequence[Row]:
    if name == EVERY_SERVICE:
        return list_rows(ServiceOptions)
    if name in list_options(Config):
        return [row for table in find_tables(Config, (name,)) for row in list_rows(table)]
    return list_own_rows(kinds.options(name))


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
