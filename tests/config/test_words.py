"""What values are called."""

from __future__ import annotations

import tomllib
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal, Optional

from annotated_types import Ge, Le, Lt
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.config import Duration, Limits, Network, Rate, Secret, Size
from netservices.config.words import format_scalar, format_text, join_words, make_words, name_type


class Colour(Enum):
    """An option may be one."""

    RED = "red"
    BLUE = "blue"


class MakeWordsTests(SynchronousTestCase):
    """R1: what was wanted, in plain words."""

    def test_every_type_has_its_words(self) -> None:
        for annotation, words in (
            (bool, "true or false"), (int, "a whole number"), (float, "a number"), (str, "a text"), (Path, "a path"),
            (Annotated[int, Ge(1), Le(9)], "a whole number (at least 1, at most 9)"),
            (Annotated[float, Lt(1)], "a number (below 1)"), (Duration, "a duration"), (Size, "a size"),
            (Rate, "a rate"),
            (Network, "a network"), (Secret, 'a text, { file = "…" } or { env = "…" }'),
            (Literal["a"], '"a"'), (Literal["a", "b"], '"a" or "b"'), (Literal["a", "b", 3], 'one of "a", "b" or 3'),
            (Colour, '"red" or "blue"'), (Limits, "a table"), (dict[str, int], "a table of whole numbers"),
            (tuple[str, ...], "a list of texts"), (list[Limits], "a list of tables"),
            (frozenset[Path], "a list of paths"),
            (int | None, "a whole number"), (Optional[Duration], "a duration"),  # noqa: UP045 - the old form counts too
            (int | Literal["auto"], 'a whole number or "auto"'),
            (Annotated[int | None, Ge(2)], "a whole number (at least 2)"), (object, "a value"), ("Later", "a value"),
        ):  # fmt: skip
            self.assertEqual(make_words(annotation).one, words)

    def test_every_value_has_a_name(self) -> None:
        for value, name in (
            (True, "true"), (1, "a whole number"), (1.0, "a number with a fraction"), ("", "a text"), ([], "a list"),
            ({}, "a table"), (date(2000, 1, 1), "a date or time"), (None, "nothing"),
        ):  # fmt: skip
            self.assertEqual(name_type(value), name)

    def test_words_are_joined(self) -> None:
        self.assertEqual(
            [join_words(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])], ["", "a", "a or b", "a, b or c"]
        )


class FormatTests(SynchronousTestCase):
    """Values as TOML has them."""

    def test_scalars_are_written(self) -> None:
        self.assertEqual(
            [format_scalar(value) for value in (True, False, 5, 1.5, 'a"b')], ["true", "false", "5", "1.5", '"a\\"b"']
        )

    @settings(deadline=None, max_examples=200)
    @given(st.text(st.characters(exclude_categories=["Cs"])))
    def test_any_text_is_read_back(self, text: str) -> None:
        self.assertEqual(tomllib.loads(f"a = {format_text(text)}"), {"a": text})
