"""Values as TOML has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from netservices.config.positions import format_path
from netservices.config.words import format_scalar

if TYPE_CHECKING:
    from collections.abc import Iterator

_WIDTH = 100


def format_value(value: object) -> str:
    """A value on one line. Raises ``TypeError`` for what TOML does not have."""
    if isinstance(value, bool | str | int | float):
        return format_scalar(value)
    if isinstance(value, Mapping):
        pairs = [f"{format_path([str(key)])} = {format_value(below)}" for key, below in value.items()]
        return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
    if isinstance(value, Sequence):
        return f"[{', '.join(format_value(entry) for entry in value)}]"
    raise TypeError(f"not a value that TOML has: {type(value).__name__}")


def format_table(name: str, table: Mapping[str, object]) -> Iterator[str]:
    """The lines of a table under its header; the tables in it follow under headers of their own.

    A list too long for a line has one entry on each.
    """
    yield f"[{name}]"
    later: list[tuple[str, Mapping[str, object]]] = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            later.append((f"{name}.{format_path([key])}", value))
        else:
            yield from format_pair(key, value)
    for below, content in later:
        yield ""
        yield from format_table(below, content)


def format_pair(key: str, value: object) -> Iterator[str]:
    """The line or lines of one key."""
    line = f"{format_path([key])} = {format_value(value)}"
    if len(line) <= _WIDTH or isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        yield line
        return
    yield f"{format_path([key])} = ["
    for entry in value:
        yield f"  {format_value(entry)},"
    yield "]"
