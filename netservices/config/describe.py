"""The options of a table as rows: for ``netservices kinds``, for the manual, for the starter file."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from netservices.config.docstrings import load_docstrings
from netservices.config.models import ServiceOptions
from netservices.config.shape import find_tables, list_options
from netservices.config.words import make_words
from netservices.config.writing import format_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Row:
    """One option: its dotted key, what may stand there, the default and an example in the file's form, what it means.

    ``default`` is empty where there is none: such an option is either ``required`` or may just be left out.
    """

    key: str
    type: str
    default: str
    meaning: str
    required: bool
    example: str


def list_rows(
    model: type[BaseModel], *, default: BaseModel | None = None, leave: Sequence[str] = ()
) -> tuple[Row, ...]:
    """Every option of a table, and of the tables in it; ``default`` is the instance that says what holds by default.

    ``leave`` are keys of this table that are not wanted. An option of the tables in a list is ``key[].option``, in a
    table by name ``key.NAME.option``.
    """
    return tuple(_walk(model, default or model.model_construct(), "", leave))


def list_own_rows(model: type[ServiceOptions]) -> tuple[Row, ...]:
    """The options that only this kind has, and those that every service has for which it has a default of its own."""
    common = {row.key: row.default for row in list_rows(ServiceOptions)}
    rows = list_rows(model)
    own = [row for row in rows if row.key not in common]
    return (*own, *(row for row in rows if row.key in common and common[row.key] != row.default))


def summarise(model: type[BaseModel]) -> str:
    """What a table is, from its class: the first paragraph of its docstring."""
    return " ".join((inspect.getdoc(model) or "").partition("\n\n")[0].split())


def _walk(model: type[BaseModel], default: BaseModel, prefix: str, leave: Sequence[str] = ()) -> Iterator[Row]:
    meanings = load_docstrings(model)
    shown: dict[str, Any] = default.model_dump(mode="json", by_alias=True, warnings=False)
    for key, (name, option) in list_options(model).items():
        if key in leave:
            continue
        value = getattr(default, name, None)
        tables = find_tables(model, (key,))
        if isinstance(value, BaseModel):
            yield from _walk(type(value), value, f"{prefix}{key}.")
            continue
        yield _make_row(f"{prefix}{key}", option, shown.get(key), meanings.get(key, ""))
        for table in tables:
            yield from _walk(table, table.model_construct(), f"{prefix}{key}.")
        if not tables:
            for inner in find_tables(model, (key, 0)):
                between = ".NAME." if isinstance(value, Mapping) else "[]."
                yield from _walk(inner, inner.model_construct(), f"{prefix}{key}{between}")


def _make_row(key: str, option: FieldInfo, shown: object, meaning: str) -> Row:
    words = make_words(option.annotation, tuple(option.metadata))
    default = "" if shown is None or option.is_required() else format_value(shown)
    example = format_value(option.examples[0]) if option.examples else words.example or default
    return Row(key, words.one, default, meaning, option.is_required(), default or example)
