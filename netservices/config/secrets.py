"""Secrets, given in place, in a file of their own or in the environment; never shown."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

from pydantic import PlainSerializer, PlainValidator, SecretStr, ValidationInfo, WithJsonSchema

from netservices.config.paths import find_base, read_file
from netservices.config.words import Worded

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST = 65_536


def load_secret(value: object, base: Path) -> SecretStr:
    """A text, ``{ file = "…" }`` or ``{ env = "…" }`` to the secret itself; a relative file is below ``base``.

    A file is UTF-8, and one newline at its end does not count. Raises ``ValueError`` naming the place, never the value.
    """
    match value:
        case SecretStr():
            return value
        case str():
            return SecretStr(value)
        case {"file": str(path), **rest} if not rest:
            return SecretStr(_read(base / path))
        case {"env": str(name), **rest} if not rest:
            if name not in os.environ:
                raise ValueError(f"the environment has no {name}, wanted the secret there")
            return SecretStr(os.environ[name])
    raise ValueError('not a secret, wanted a text, { file = "/path" } or { env = "NAME" }')


def _read(path: Path) -> str:
    try:
        octets = read_file(path, _LARGEST)
        text = octets.decode()
    except UnicodeDecodeError:
        raise ValueError(f"the secret's file {path} is not UTF-8, wanted text") from None
    except ValueError as error:
        raise ValueError(f"the secret's file {path} {error}, wanted a file that can be read") from None
    return text.removesuffix("\n").removesuffix("\r")


def _load(value: object, info: ValidationInfo) -> SecretStr:
    return load_secret(value, find_base(info.context))


Secret = Annotated[
    SecretStr,
    PlainValidator(_load),
    PlainSerializer(str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {"file": {"type": "string"}},
                    "required": ["file"],
                    "additionalProperties": False,
                },
                {
                    "type": "object",
                    "properties": {"env": {"type": "string"}},
                    "required": ["env"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
    Worded('a text, { file = "…" } or { env = "…" }', "secrets", '{ file = "/path/file" }'),
]
"""A password or key; read once, when the configuration is loaded."""
