"""On which line each key stands, compared with what tomllib makes of the same text."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.config.positions import Keys, find_lines, flatten, format_path
from netservices.config.words import format_text

KEYS = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{1,4}", fullmatch=True), st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
)
LEAVES = st.one_of(
    st.integers(-99, 99), st.booleans(), st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.text("\"'\\\n#[]{}=,. x", max_size=12),
    st.datetimes(),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=4)


class Scribe:
    """Writes a document in a style that ``data`` chooses, and notes on which line it puts each key."""

    def __init__(self, data: st.DataObject) -> None:
        self._draw = data.draw
        self.text = ""
        self.lines: dict[Keys, int] = {}

    def write(self, document: dict[str, Any]) -> None:
        self._table(document, (), ())

    def _choose(self, *choices: str) -> str:
        return self._draw(st.sampled_from(choices))

    def _here(self) -> int:
        return self.text.count("\n") + 1

    def _note(self, keys: Keys) -> None:
        self.lines.setdefault(keys, self._here())

    def _key(self, key: str) -> str:
        forms = [format_text(key)]
        if re.fullmatch(r"[A-Za-z0-9_-]+", key):
            forms.append(key)
        if key.isprintable() and "'" not in key:
            forms.append(f"'{key}'")
        return self._choose("", " ") + self._choose(*forms) + self._choose("", "\t")

    def _table(self, table: dict[str, Any], keys: Keys, names: tuple[str, ...]) -> None:
        """``names`` are ``keys`` without the indexes of lists, as a header has them."""
        later = {}
        for key, value in table.items():
            tables = isinstance(value, dict) or (
                isinstance(value, list) and value and all(isinstance(entry, dict) for entry in value)
            )
            if tables and self._choose("header", "here") == "header":
                later[key] = value
            else:
                self._pair(keys, [key], value)
        for key, value in later.items():
            header = ".".join(self._key(name) for name in (*names, key))
            for index, entry in enumerate(value if isinstance(value, list) else [value]):
                place: Keys = (*keys, key)
                self._note(place)
                if isinstance(value, list):
                    place = (*place, index)
                    self._note(place)
                    self.text += f"[[{header}]]"
                else:
                    self.text += f"[{header}]"
                self._end()
                self._table(entry, place, (*names, key))

    def _pair(self, keys: Keys, dotted: list[str], value: object) -> None:
        """On lines of their own; a table may be spelt with dotted keys."""
        if isinstance(value, dict) and value and self._choose("dotted", "inline") == "dotted":
            for key, below in value.items():
                self._pair(keys, [*dotted, key], below)
            return
        self.text += self._choose("", "# key = [\n", "\n", "  ")
        for length in range(1, len(dotted) + 1):
            self._note((*keys, *dotted[:length]))
        self.text += f"{'.'.join(self._key(key) for key in dotted)}={self._choose('', ' ')}"
        self._value((*keys, *dotted), value)
        self._end()

    def _end(self) -> None:
        self.text += self._choose("\n", " # 'a' = \"b\n", "\n\n", "\r\n")

    def _value(self, keys: Keys, value: object) -> None:
        match value:
            case dict():
                self.text += "{"
                for index, (key, below) in enumerate(value.items()):
                    self.text += "," if index else ""
                    self._note((*keys, key))
                    self.text += f"{self._key(key)}="
                    self._value((*keys, key), below)
                self.text += "}"
            case list():
                self.text += "["
                for index, below in enumerate(value):
                    self.text += self._choose("", "\n", " # ],\n\n")
                    self._note((*keys, index))
                    self._value((*keys, index), below)
                    self.text += self._choose("", " ", "\n") + ","
                self.text += "]"
            case str():
                self._string(value)
            case bool() | int() | float():
                self.text += str(value).lower()
            case _:
                self.text += str(value)

    def _string(self, value: str) -> None:
        forms = [
            format_text(value),
            f'"""{format_text(value)[1:-1]}"""',
            '"""\\\n  ' + format_text(value)[1:-1] + '"""',
        ]
        plain = all(char.isprintable() or char == "\n" for char in value)
        if plain and "'" not in value and "\n" not in value:
            forms.append(f"'{value}'")
        if plain and "'''" not in value and not value.endswith("'''"):
            forms.append(f"'''\n{value}'''" if not value.endswith("'") else format_text(value))
        if plain and '"' not in value and "\\" not in value:
            forms.append(f'"""\n{value}"""')
        self.text += self._choose(*forms)


def list_keys(value: object, keys: Keys = ()) -> set[Keys]:
    """Every way into a document."""
    found = {keys} if keys else set()
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in pairs:
        found |= list_keys(below, (*keys, key))
    return found


class FindLinesTests(SynchronousTestCase):
    """R1: the line that a mistake is told with is the line where the key stands."""

    @settings(deadline=None, max_examples=200)
    @given(DOCUMENTS, st.data())
    def test_every_key_of_every_document_is_on_its_line(self, document: dict[str, Any], data: st.DataObject) -> None:
        scribe = Scribe(data)
        scribe.write(document)
        parsed = tomllib.loads(scribe.text)
        found = find_lines(scribe.text)
        self.assertEqual(set(found), list_keys(parsed))
        self.assertEqual(found, scribe.lines)

    def test_each_form_of_table_is_found(self) -> None:
        text = (
            "a = 1\n"
            "[b.c]\n"
            'd.e = """\n[x]\ny = 1\n"""\n'
            "[b]\n"
            "f = { g = 1, h.i = [1, {j = 2}] }\n"
            "[[k]]\n"
            "[k.l]\n"
            "m = 1979-05-27 07:32:00 # n = 1\n"
            "[[k]]\n"
            "[[k.o]]\n"
            "p = [\n  1,\n  # two\n  2,\n]\n"
            '["q.r"."s"]\r\n'
        )
        self.assertEqual(
            find_lines(text),
            {
                ("a",): 1, ("b",): 7, ("b", "c"): 2, ("b", "c", "d"): 3, ("b", "c", "d", "e"): 3, ("b", "f"): 8,
                ("b", "f", "g"): 8, ("b", "f", "h"): 8, ("b", "f", "h", "i"): 8, ("b", "f", "h", "i", 0): 8,
                ("b", "f", "h", "i", 1): 8, ("b", "f", "h", "i", 1, "j"): 8, ("k",): 9, ("k", 0): 9, ("k", 0, "l"): 10,
                ("k", 0, "l", "m"): 11, ("k", 1): 12, ("k", 1, "o"): 13, ("k", 1, "o", 0): 13,
                ("k", 1, "o", 0, "p"): 14, ("k", 1, "o", 0, "p", 0): 15, ("k", 1, "o", 0, "p", 1): 17, ("q.r",): 19,
                ("q.r", "s"): 19,
            },
        )  # fmt: skip

    def test_quotes_at_the_end_of_a_long_text_belong_to_it(self) -> None:
        text = 'a = """x"""""\nb = \'\'\'y\'\'\'\'\'\nc = \'\'\'\'\'\'\nd = ""\nf = """\\""""\ne = 1\n'
        self.assertEqual(find_lines(text), {(key,): line for line, key in enumerate(tomllib.loads(text), 1)})

    def test_a_text_that_is_not_toml_is_refused(self) -> None:
        with self.assertRaisesRegex(ValueError, "line 2"):
            find_lines("a = 1\n!")

    def test_path_is_written_as_toml_has_it(self) -> None:
        self.assertEqual(
            format_path(("tls", "names", "mail.example.org", 0, "key")), 'tls.names."mail.example.org".key'
        )

    def test_flat_lines_are_of_the_first_element(self) -> None:
        self.assertEqual(flatten({("a",): 1, ("a", 0): 2, ("a", 1): 3, ("a", 1, "b"): 4}), {"a": 1, "a.b": 4})
