"""The daemon's words to a spawner, and the spawner's to the daemon. Pure."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from netservices.runtime.children.command import ExitStatus
from netservices.runtime.children.fields import (
    LONGEST,
    MOST_VARIABLES,
    MessageError,
    decode,
    pack,
    pack_number,
    parse_number,
    parse_optional,
    unpack,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


class Ready(NamedTuple):
    """The spawner knows its commands."""


class Started(NamedTuple):
    """There is a process for the child."""

    serial: int
    pid: int


class Refused(NamedTuple):
    """There is none, and why."""

    serial: int
    reason: str


class Ended(NamedTuple):
    """The child is gone, and reaped."""

    serial: int
    status: ExitStatus


Answer = Ready | Started | Refused | Ended

_TIMES = struct.Struct("!dddQ")


def pack_spawn(serial: int, entry: int, program: bytes | None, environment: Sequence[bytes]) -> bytes:
    """Run command number ``entry`` with the three descriptors sent along; ``serial`` names the child from now on.

    Raises ``MessageError`` when the environment is too large.
    """
    named = [] if program is None else [program]
    fields = [b"spawn", *map(pack_number, (serial, entry, len(named))), *named, *environment]
    return _bound(pack(fields), len(fields))


def pack_signal(serial: int, number: int) -> bytes:
    """Send a signal to the process group of a child."""
    return pack([b"signal", pack_number(serial), pack_number(number)])


def pack_register(entry: int, command: bytes) -> bytes:
    """Only to a spawner without rights of its own: this is command number ``entry``. Raises ``MessageError``."""
    return _bound(pack([b"register", pack_number(entry), command]), 3)


def parse_answer(octets: bytes) -> Answer:
    """What a spawner says. Raises ``MessageError``."""
    match unpack(octets, 8):
        case [b"ready"]:
            return Ready()
        case [b"started", serial, pid]:
            return Started(parse_number(serial), parse_number(pid))
        case [b"refused", serial, reason]:
            return Refused(parse_number(serial), decode(reason))
        case [b"ended", serial, code, number, times, failure] if len(times) == _TIMES.size:
            duration, user, system, memory = _TIMES.unpack(times)
            codes = parse_optional(code), parse_optional(number)
            return Ended(parse_number(serial), ExitStatus(*codes, duration, user, system, memory, decode(failure)))
    raise MessageError("no such answer")


def _bound(octets: bytes, fields: int) -> bytes:
    if len(octets) > LONGEST or fields > MOST_VARIABLES:
        raise MessageError("the environment or the arguments are too large")
    return octets
