"""pydantic's errors in plain words; what a whole file shows of it is in test_loading."""

from __future__ import annotations

import json
from datetime import date
from enum import Enum
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator
from twisted.trial.unittest import SynchronousTestCase

from netservices.config import Table
from netservices.config.saying import say_errors, say_unknown, suggest


class Colour(Enum):
    """An option may be one."""

    RED = "red"
    BLUE = "blue"


class Square(Table):
    """A square."""

    shape: Literal["square"] = "square"
    """Which it is."""
    side: int
    """How long."""


class Circle(Table):
    """A circle."""

    shape: Literal["circle"] = "circle"
    """Which it is."""
    radius: int
    """How far."""


class Odd(Table):
    """What kinds may come up with."""

    colour: Colour = Colour.RED
    """A colour."""
    many: Colour | Literal["none", 3] = "none"
    """A colour, or not."""
    either: Annotated[Square | Circle, Field(discriminator="shape")] | None = None
    """One of two tables."""
    guess: Square | Circle | None = None
    """One of two tables, without a word which."""
    deep: tuple[tuple[Square, ...], ...] = ()
    """Lists in a list."""
    by_name: dict[str, Circle] | None = None
    """Tables by name."""
    number: Annotated[int, Field(multiple_of=3)] = 3
    """A multiple."""
    day: date | None = None
    """A day, which JSON has as a text."""
    even: int = 2
    """An even number."""

    @field_validator("even")
    @classmethod
    def _require_even(cls, value: int) -> int:
        assert value % 2 == 0, "is odd, wanted an even number"
        return value


class SayErrorsTests(SynchronousTestCase):
    """R1: whatever pydantic may find is said in plain words."""

    def say(self, data: dict[str, object]) -> list[tuple[str, str]]:
        error = self.assertRaises(ValidationError, Odd.model_validate_json, json.dumps(data), strict=True)
        return [(".".join(str(key) for key in keys), text) for keys, text in say_errors(error, Odd, data)]

    def test_each_mistake_has_its_place_and_its_words(self) -> None:
        cases: list[tuple[dict[str, object], str, str]] = [
            ({"colour": "rde"}, "colour", '"rde" is not known here, wanted "red" or "blue", did you mean "red"?'),
            ({"colour": 5}, "colour", 'is a whole number, wanted "red" or "blue"'),
            ({"many": "x"}, "many", 'is a text, wanted "red" or "blue" or "none" or 3'),
            ({"either": {"shape": "oval"}}, "either", 'has no known shape, wanted "square", "circle"'),
            ({"either": {}}, "either", "has no known shape, wanted one"),
            ({"either": {"shape": "circle"}}, "either.radius", "is missing, wanted a whole number"),
            ({"either": {"shape": "circle", "radius": 1, "side": 1}}, "either.side",
             "is not a key of this table, wanted one of radius or shape"),
            ({"either": 5}, "either", "is a whole number, wanted a table"),
            ({"guess": 5}, "guess", "is a whole number, wanted a table"),
            ({"deep": [[{"side": 1}], [{"side": "x"}]]}, "deep.1.0.side", "is a text, wanted a whole number"),
            ({"deep": [5]}, "deep.0", "is a whole number, wanted a list of tables"),
            ({"by_name": {"a": {"radius": "x"}}}, "by_name.a.radius", "is a text, wanted a whole number"),
            ({"number": 4}, "number", "is not accepted, wanted a multiple of 3"),
            ({"day": "noday"}, "day", "is a text, wanted a value"),
            ({"even": 3}, "even", "is odd, wanted an even number"),
            ({"side": 3}, "side", 'is not a key of this table, did you mean "either.side"?'),
        ]  # fmt: skip
        for data, place, text in cases:
            self.assertEqual(self.say(data), [(place, text)])

    def test_key_unknown_to_every_choice_is_told_once(self) -> None:
        told = dict(self.say({"guess": {"side": 1, "radius": 1, "x": 1}}))
        self.assertEqual(told["guess.x"], "is not a key of this table, wanted one of radius, shape or side")


class SuggestTests(SynchronousTestCase):
    """R1: a near miss adds "did you mean"."""

    def test_near_miss_is_named(self) -> None:
        self.assertEqual(suggest("LISTEM", ["listen", "limits"]), ', did you mean "listen"?')

    def test_what_is_far_or_has_no_letter_is_not(self) -> None:
        self.assertEqual(suggest("xyz", ["listen"]), "")
        self.assertEqual(suggest("1.1", ["1.2"]), "")

    def test_long_choices_are_not_listed(self) -> None:
        self.assertEqual(say_unknown("x", "good", [f"choice{number}" for number in range(13)]), '"x" is not good')
        self.assertEqual(say_unknown("x", "good", []), '"x" is not good')
        self.assertEqual(say_unknown("x", "good", ["a"]), '"x" is not good, wanted "a"')
