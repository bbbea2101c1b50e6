"""What a value of a type is called, in the words that errors, tables and the manual share."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import Enum
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel


@dataclass(frozen=True)
class Worded:
    """What one value of an annotated type is called, what several are, and one as the file would have it.

    Put it among a type's metadata, or on a class as ``worded``.
    """

    one: str
    many: str
    example: str | None = None


_PLAIN = {
    bool: Worded("true or false", "true or false"),
    int: Worded("a whole number", "whole numbers", "1"),
    float: Worded("a number", "numbers", "1.5"),
    str: Worded("a text", "texts", '"…"'),
}
_PATH = Worded("a path", "paths", '"/path"')
_TABLE = Worded("a table", "tables")
_UNKNOWN = Worded("a value", "values")


def unwrap(annotation: object) -> tuple[Any, tuple[object, ...]]:
    """``Annotated[T, …]`` to T and its metadata; anything else has none."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        return inner, tuple(metadata)
    return annotation, ()


def branches(annotation: object) -> tuple[object, ...]:
    """The types that a union offers, None left out; of anything else, itself."""
    inner, _ = unwrap(annotation)
    if get_origin(inner) in {Union, types.UnionType}:
        return tuple(part for part in get_args(inner) if part is not type(None))
    return (annotation,)


def make_words(annotation: object, metadata: Sequence[object] = ()) -> Worded:
    """What a value of this type is called; ``metadata`` is what pydantic has taken off the annotation."""
    inner, inside = unwrap(annotation)
    marks = (*inside, *metadata)
    given = next((mark for mark in marks if isinstance(mark, Worded)), None) or getattr(inner, "worded", None)
    if isinstance(given, Worded):
        return given
    parts = branches(inner)
    if len(parts) > 1:
        words = [make_words(part) for part in parts]
        return Worded(
            " or ".join(dict.fromkeys(word.one for word in words)),
            " or ".join(dict.fromkeys(word.many for word in words)),
            next((word.example for word in words if word.example), None),
        )
    if parts[0] is not inner:
        return make_words(parts[0], marks)
    return _word_one(inner, marks)


def _word_one(inner: object, marks: Sequence[object]) -> Worded:
    origin = get_origin(inner)
    if origin is Literal:
        return _word_choice(get_args(inner))
    if origin is not None and issubclass(origin, Sequence | AbstractSet):
        element = make_words(get_args(inner)[0])
        example = f"[{element.example}]" if element.example else "[]"
        return Worded(f"a list of {element.many}", f"lists of {element.many}", example)
    if origin is not None and issubclass(origin, Mapping):
        element = make_words(get_args(inner)[1])
        return Worded(f"a table of {element.many}", f"tables of {element.many}")
    if not isinstance(inner, type):
        return _UNKNOWN
    if issubclass(inner, Enum):
        return _word_choice([member.value for member in inner])
    if issubclass(inner, BaseModel):
        return _TABLE
    if issubclass(inner, PurePath):
        return _PATH
    plain = _PLAIN.get(inner, _UNKNOWN)
    return Worded(plain.one + _word_bounds(marks), plain.many + _word_bounds(marks), plain.example)


def _word_choice(choices: Sequence[object]) -> Worded:
    shown = [format_scalar(choice) for choice in choices]
    if len(shown) == 1:
        return Worded(shown[0], shown[0], shown[0])
    return Worded(("one of " if len(shown) > 2 else "") + join_words(shown), join_words(shown), shown[0])


def _word_bounds(marks: Sequence[object]) -> str:
    low = high = ""
    for mark in marks:
        match mark:
            case Gt(gt=value):
                low = f"above {value}"
            case Ge(ge=value):
                low = f"at least {value}"
            case Lt(lt=value):
                high = f"below {value}"
            case Le(le=value):
                high = f"at most {value}"
    return f" ({', '.join(filter(None, (low, high)))})" if low or high else ""


def join_words(words: Sequence[str]) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else "".join(words)


def format_scalar(value: object) -> str:
    """A text, number or truth value as TOML has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return format_text(value)
    return str(value)


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


def format_text(text: str) -> str:
    """A TOML basic string, in quotes."""
    return f'"{"".join(_escape(char) for char in text)}"'


def _escape(char: str) -> str:
    if ord(char) < 0x20 or ord(char) == 0x7F:
        return _ESCAPES.get(char) or f"\\u{ord(char):04X}"
    return _ESCAPES.get(char, char)


def name_type(value: object) -> str:
    """What a value out of a TOML file is, said of the value: ``a text``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    names: list[tuple[type | tuple[type, ...], str]] = [
        (str, "a text"),
        (int, "a whole number"),
        (float, "a number with a fraction"),
        (list, "a list"),
        (dict, "a table"),
        ((date, datetime, time), "a date or time"),
    ]
    return next((name for kind, name in names if isinstance(value, kind)), "nothing")
