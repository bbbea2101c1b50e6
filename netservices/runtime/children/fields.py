"""What the daemon and a spawner say to each other: datagrams of fields, each a length and octets. Pure.

The spawner may be root's, and whoever has taken the daemon over writes to it: anything but the exact form is refused
whole. This module and what else the spawner is made of import next to nothing, since every child begins as a copy.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST = 131_072
"""Octets of one datagram at most; the kernel's own bound for a socket pair is above it (net.core.wmem_default)."""
MOST_FIELDS = 1024
MOST_VARIABLES = 512

_LENGTH = struct.Struct("!I")
_NUMBER = struct.Struct("!Q")
_NONE = 2**64 - 1


class MessageError(ValueError):
    """Not a message; whoever sent it can't be trusted."""


def pack(fields: Iterable[bytes]) -> bytes:
    """Fields to a datagram."""
    return b"".join([_LENGTH.pack(len(field)) + field for field in fields])


def unpack(octets: bytes, most: int = MOST_FIELDS) -> list[bytes]:
    """A datagram to its fields. Raises ``MessageError``."""
    fields: list[bytes] = []
    at, end = 0, len(octets)
    while at < end:
        if at + 4 > end or len(fields) >= most:
            raise MessageError("cut short, or too many fields")
        (length,) = _LENGTH.unpack_from(octets, at)
        at += 4 + length
        if at > end:
            raise MessageError("a field is cut short")
        fields.append(octets[at - length : at])
    return fields


def pack_number(value: int | None) -> bytes:
    """A number below 2**64 - 1, or None."""
    return _NUMBER.pack(_NONE if value is None else value)


def parse_optional(field: bytes) -> int | None:
    """A number or None. Raises ``MessageError``."""
    if len(field) != _NUMBER.size:
        raise MessageError("no number")
    value: int = _NUMBER.unpack(field)[0]
    return None if value == _NONE else value


def parse_number(field: bytes) -> int:
    """A number. Raises ``MessageError``."""
    value = parse_optional(field)
    if value is None:
        raise MessageError("no number")
    return value


def encode(text: str) -> bytes:
    """As the file system has names: octets that are no UTF-8 survive. Raises ``MessageError`` for a lone surrogate."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise MessageError("not a text that a program can be given") from None


def decode(field: bytes) -> str:
    """What ``encode`` made of it."""
    return field.decode("utf-8", "surrogateescape")
