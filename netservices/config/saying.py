"""pydantic's errors in the house's plain words: what is wrong, what was wanted."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from netservices.config.shape import find_tables, find_type, list_options
from netservices.config.units import format_duration, format_size
from netservices.config.words import branches, format_text, join_words, make_words, name_type, unwrap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

    from netservices.config.positions import Keys

_SPELT_OUT = 12
"""A choice of more than these is not listed in a message."""


def say_errors(error: ValidationError, model: type[BaseModel], data: object) -> Iterator[tuple[Keys, str]]:
    """Each mistake once: the way to it from ``data``, which ``model`` refused, and the sentence."""
    grouped: dict[Keys, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        grouped.setdefault(_find_place(detail, data), []).append(detail)
    for keys, details in grouped.items():
        yield keys, _say_all(details, keys, model)


def suggest(word: str, known: Iterable[str]) -> str:
    """`` did you mean "x"?`` after a comma, or nothing where nothing is near."""
    # What holds no letter, a version for one, is no slip of the finger.
    lowered = {name.lower(): name for name in known if re.search("[A-Za-z]", name)}
    near = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return f", did you mean {format_text(lowered[near[0]])}?" if near else ""


def say_unknown(word: str, what: str, known: Sequence[str]) -> str:
    """``"ftpp" is not WHAT, wanted one of …, did you mean "ftp"?``."""
    wanted = ""
    if 0 < len(known) <= _SPELT_OUT:
        wanted = f", wanted {'one of ' if len(known) > 2 else ''}{join_words([format_text(name) for name in known])}"
    return f"{format_text(word)} is not {what}{wanted}{suggest(word, known)}"


def _find_place(detail: ErrorDetails, data: object) -> Keys:
    """Where pydantic's location is in the file: it has the branches of unions between the keys."""
    keys: list[str | int] = []
    for position, key in enumerate(detail["loc"]):
        last = position == len(detail["loc"]) - 1
        if _holds(data, key):
            data = data[key]  # type: ignore[index]  # as _holds has found
        elif not (last and detail["type"] == "missing"):
            continue
        keys.append(key)
    return tuple(keys)


def _holds(data: object, key: str | int) -> bool:
    if isinstance(key, int):
        return isinstance(data, list) and key < len(data)
    return isinstance(data, dict) and key in data


def _say_all(details: Sequence[ErrorDetails], keys: Keys, model: type[BaseModel]) -> str:
    if len(details) == 1 or {detail["type"] for detail in details} <= {"extra_forbidden", "missing"}:
        return _say(details[0], keys, model)
    # Several answers about one value are the branches of a union, none of which took it.
    return f"is {name_type(details[0]['input'])}, wanted {_wanted(model, keys)}"


def _say(detail: ErrorDetails, keys: Keys, model: type[BaseModel]) -> str:
    context: Mapping[str, Any] = detail.get("ctx", {})
    choices = _list_choices(find_type(model, keys))
    match detail["type"]:
        case "missing":
            return f"is missing, wanted {_wanted(model, keys)}"
        case "extra_forbidden":
            return _say_key(str(keys[-1]), find_tables(model, keys[:-1]))
        case "value_error" | "assertion_error":
            return str(context["error"])
        case "literal_error" | "enum" if isinstance(detail["input"], str) and choices:
            return say_unknown(detail["input"], "known here", choices)
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            size = "small" if detail["type"].startswith("greater") else "large"
            return f"is too {size}, wanted {_bound(context, find_type(model, keys))}"
        case "too_short" | "too_long" | "string_too_short" | "string_too_long":
            return _say_length(detail)
        case "union_tag_invalid" | "union_tag_not_found":
            # pydantic quotes both as Python does.
            tag, known = context["discriminator"].strip("'"), context.get("expected_tags", "one").replace("'", '"')
            return f"has no known {tag}, wanted {known}"
        case "string_pattern_mismatch":
            return f"does not have the right form, wanted {context['pattern']}"
        case kind if not kind.endswith(("_type", "_parsing", "_error", "enum")):
            message = detail["msg"].removeprefix("Input should be ").rstrip(".")
            return f"is not accepted, wanted {message}"
    return f"is {name_type(detail['input'])}, wanted {_wanted(model, keys)}"


def _say_key(key: str, tables: Sequence[type[BaseModel]]) -> str:
    # Of a choice of tables only those count that refused the key.
    tables = [table for table in tables if key not in list_options(table)]
    known = list(dict.fromkeys(option for table in tables for option in list_options(table)))
    near = suggest(key, known)
    if near:
        return f"is not a key of this table{near}"
    for table in tables:
        for outer in list_options(table):
            if any(key in list_options(below) for below in find_tables(table, (outer,))):
                return f"is not a key of this table, did you mean {format_text(f'{outer}.{key}')}?"
    wanted = f"wanted one of {join_words(sorted(known))}" if known else "wanted none"
    return f"is not a key of this table, {wanted}"


def _wanted(model: type[BaseModel], keys: Keys) -> str:
    found = find_type(model, keys)
    if found is None:
        return "another value"
    words = make_words(*found)
    helpful = words.example and words.example.startswith('"') and words.example not in {'"…"', '"/path"'}
    return f"{words.one} such as {words.example}" if helpful and '"' not in words.one else words.one


def _list_choices(found: tuple[Any, tuple[object, ...]] | None) -> list[str]:
    if found is None:
        return []
    choices: list[str] = []
    for part in branches(found[0]):
        inner, _ = unwrap(part)
        if get_origin(inner) is Literal:
            choices += [choice for choice in get_args(inner) if isinstance(choice, str)]
        elif isinstance(inner, type) and hasattr(inner, "__members__"):
            choices += [str(member.value) for member in inner.__members__.values()]
    return choices


_BOUNDS = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}


def _bound(context: Mapping[str, Any], found: tuple[Any, tuple[object, ...]] | None) -> str:
    word = make_words(*found).one if found else ""
    shape = {"a size": format_size, "a duration": format_duration}.get(word, str)
    return next(f"{words} {shape(context[key])}" for key, words in _BOUNDS.items() if key in context)


def _say_length(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    one, many = ("character", "characters") if detail["type"].startswith("string") else ("entry", "entries")
    if "min_length" in context:
        count = context["min_length"]
        fault = "too short" if detail["input"] else "empty"
        return f"is {fault}, wanted at least {count} {one if count == 1 else many}"
    count = context["max_length"]
    return f"is too long, wanted at most {count} {one if count == 1 else many}"
