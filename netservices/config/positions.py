"""On which line each key of a TOML text stands.

``tomllib`` says what a file means but not where. This walks the same text once more, after ``tomllib`` has accepted it,
and only as far as finding keys needs: TOML 1.0.0, sections Keys, Table, Inline Table and Array of Tables.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from typing import TYPE_CHECKING

from netservices.config.words import format_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Keys = tuple[str | int, ...]
"""The way to a value: keys of tables, indexes of lists."""

_BLANK = re.compile(r"(?:[ \t\n]+|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
# A longer delimiter may hold up to two quotes before its end: """a"""" is a text that ends with a quote.
_TEXT = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:[^"\\]|\\.)*"'
    r"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]*")


def find_lines(text: str) -> dict[Keys, int]:
    """The line, from 1, of every table, key and list element of ``text``, which ``tomllib`` must have accepted.

    A table that is only implied stands where it is first named.
    """
    return _Walk(text.replace("\r\n", "\n")).run()


def format_path(keys: Sequence[str | int]) -> str:
    """A way as one writes it in TOML, ``tls.names."mail.example.org"``, without the indexes of lists."""
    return ".".join(key if _BARE.fullmatch(key) else format_text(key) for key in keys if isinstance(key, str))


def flatten(lines: Mapping[Keys, int]) -> dict[str, int]:
    """The lines by dotted path; of a list's elements, the first."""
    flat: dict[str, int] = {}
    for keys, line in lines.items():
        flat.setdefault(format_path(keys), line)
    return flat


class _Walk:
    """One pass over a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self._lines: dict[Keys, int] = {}
        self._implied: set[Keys] = set()
        self._lengths: dict[Keys, int] = {}

    def run(self) -> dict[Keys, int]:
        table: Keys = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)
        return self._lines

    def _header(self) -> Keys:
        line = self._line()
        repeated = self._text.startswith("[[", self._at)
        self._at += 2 if repeated else 1
        keys = self._key()
        self._at += 2 if repeated else 1
        table: Keys = ()
        for key in keys[:-1]:
            table = self._newest((*table, key))
            self._imply(table, line)
        table = (*table, keys[-1])
        if repeated:
            self._imply(table, line)
            table = (*table, self._count(table))
        else:
            table = self._newest(table)
        if table not in self._lines or table in self._implied:
            self._lines[table] = line
            self._implied.discard(table)
        return table

    def _newest(self, table: Keys) -> Keys:
        """Within an array of tables, the one written last."""
        length = self._lengths.get(table)
        return table if length is None else (*table, length - 1)

    def _count(self, table: Keys) -> int:
        index = self._lengths.get(table, 0)
        self._lengths[table] = index + 1
        return index

    def _imply(self, table: Keys, line: int) -> None:
        if table not in self._lines:
            self._lines[table] = line
            self._implied.add(table)

    def _pair(self, table: Keys) -> None:
        line = self._line()
        keys = self._key()
        self._at += 1  # the equals sign
        for key in keys:
            table = (*table, key)
            self._lines.setdefault(table, line)
        self._skip(_SPACE)
        self._value(table)

    def _key(self) -> list[str]:
        """A key, dotted or not, and the space around it."""
        keys = []
        while True:
            self._skip(_SPACE)
            if match := _BARE.match(self._text, self._at):
                keys.append(match[0])
                self._at = match.end()
            else:
                quoted = self._skip(_TEXT)
                keys.append(str(tomllib.loads(f"key = {quoted}")["key"]))
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _value(self, keys: Keys) -> None:
        match self._text[self._at]:
            case "[":
                self._array(keys)
            case "{":
                self._inline_table(keys)
            case '"' | "'":
                self._skip(_TEXT)
            case _:
                self._skip(_SCALAR)

    def _array(self, keys: Keys) -> None:
        index = 0
        self._at += 1
        self._skip(_BLANK)
        while self._text[self._at] != "]":
            self._lines[(*keys, index)] = self._line()
            self._value((*keys, index))
            index += 1
            self._skip(_BLANK)
            if self._text[self._at] == ",":
                self._at += 1
                self._skip(_BLANK)
        self._at += 1

    def _inline_table(self, keys: Keys) -> None:
        self._at += 1
        self._skip(_BLANK)
        while self._text[self._at] != "}":
            self._pair(keys)
            self._skip(_BLANK)
            if self._text[self._at] == ",":
                self._at += 1
                self._skip(_BLANK)
        self._at += 1

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise ValueError(f"not a TOML text that tomllib accepts: line {self._line()}")
        self._at = match.end()
        return match[0]

    def _line(self) -> int:
        return bisect_right(self._newlines, self._at - 1) + 1
