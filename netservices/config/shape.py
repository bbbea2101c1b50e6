"""A walk over models by the keys a file has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel

from netservices.config.words import branches, unwrap

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from netservices.config.positions import Keys

Typed = tuple[Any, tuple[object, ...]]
"""An annotation, and the metadata that pydantic has taken off it."""


def list_options(model: type[BaseModel]) -> Mapping[str, tuple[str, FieldInfo]]:
    """The options of a table: by their key in the file, the attribute's name and pydantic's word on it."""
    return {option.alias or name: (name, option) for name, option in model.model_fields.items()}


def find_type(model: type[BaseModel], keys: Keys) -> Typed | None:
    """What may stand at ``keys`` below a table, or None where the table says nothing of it."""
    here: list[Typed] = [(model, ())]
    for key in keys:
        here = [below for annotation, _ in here for below in _step(annotation, key)]
    return here[0] if here else None


def find_tables(model: type[BaseModel], keys: Keys) -> list[type[BaseModel]]:
    """The tables that may stand at ``keys``; several where there is a choice."""
    found = find_type(model, keys)
    return [] if found is None else list(_tables(found[0]))


def walk_values(value: object, annotation: object, metadata: tuple[object, ...] = (), path: str = "") -> Iterator[
    tuple[str, object, tuple[object, ...]]
]:  # fmt: skip
    """Every value in a model, with its dotted path and the metadata of its type, the branches of unions included."""
    inner, inside = unwrap(annotation)
    marks = (*inside, *metadata)
    for part in branches(inner):
        marks += unwrap(part)[1]
    yield path, value, marks
    if isinstance(value, BaseModel):
        for key, (name, option) in list_options(type(value)).items():
            below = f"{path}.{key}" if path else key
            yield from walk_values(getattr(value, name), option.annotation, tuple(option.metadata), below)
    elif isinstance(value, tuple | list | frozenset):
        element = _element(inner)
        for entry in value:
            yield from walk_values(entry, element, (), path)
    elif isinstance(value, Mapping):
        element = _element(inner)
        for key, entry in value.items():
            yield from walk_values(entry, element, (), f"{path}.{key}")


def _element(annotation: object) -> object:
    for part in branches(annotation):
        inner, _ = unwrap(part)
        origin, arguments = get_origin(inner), get_args(inner)
        if origin is not None and arguments and isinstance(origin, type):
            return arguments[1] if issubclass(origin, Mapping) and len(arguments) > 1 else arguments[0]
    return None


def _tables(annotation: object) -> Iterator[type[BaseModel]]:
    for part in branches(annotation):
        inner, _ = unwrap(part)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield inner
        elif len(branches(inner)) > 1:
            yield from _tables(inner)


def _step(annotation: object, key: str | int) -> Iterator[Typed]:
    for part in branches(annotation):
        inner, _ = unwrap(part)
        origin = get_origin(inner)
        if len(branches(inner)) > 1:
            yield from _step(inner, key)
        elif isinstance(inner, type) and issubclass(inner, BaseModel):
            option = list_options(inner).get(str(key))
            if option is not None:
                yield option[1].annotation, tuple(option[1].metadata)
        elif isinstance(origin, type) and issubclass(origin, Mapping):
            yield get_args(inner)[1], ()
        elif isinstance(origin, type) and issubclass(origin, Sequence | AbstractSet):
            arguments = [argument for argument in get_args(inner) if argument is not ...]
            if arguments:
                index = key if isinstance(key, int) and key < len(arguments) else 0
                yield arguments[index], ()
