"""SASL messages as lines: the base64 of SMTP, POP3 and IMAP."""

from __future__ import annotations

import base64
import binascii
from enum import Enum
from typing import Final, Literal

LONGEST_LINE = 12288
"""RFC 4954 4: octets of the longest line of an exchange, with its CRLF, that a server has to take."""


class Cancelled(Enum):
    """The client gave the exchange up."""

    CANCELLED = "*"


CANCELLED: Final = Cancelled.CANCELLED


class ResponseError(ValueError):
    """A line that is no base64; RFC 4954 4: the exchange ends, with 501."""


def decode_base64(text: bytes) -> bytes:
    """Octets of a base64 text without blanks; raises ``ResponseError`` unless it is just what encoding would give."""
    try:
        octets = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ResponseError("not base64") from None
    # RFC 4648 3.5: the unused bits must be zero, or several texts would mean the same octets.
    if base64.b64encode(octets) != text:
        raise ResponseError("not base64 in its one right form")
    return octets


def decode_response(line: bytes) -> bytes | Literal[Cancelled.CANCELLED]:
    """What a client's line within an exchange says, or ``CANCELLED`` for ``*``. The line has no CRLF.

    Raises ``ResponseError``. The line's length is limited where lines are received, at ``LONGEST_LINE``.
    """
    # RFC 4954 4: if the client wishes to cancel, it issues a line with a single "*".
    return CANCELLED if line == b"*" else decode_base64(line)


def decode_initial(argument: bytes | None) -> bytes | None:
    """An initial response as the command carries it: None for none, ``=`` for one that is empty.

    Raises ``ResponseError``.
    """
    if argument is None:
        return None
    # RFC 4954 4: an initial response of zero length is sent as a single "=".
    return b"" if argument == b"=" else decode_base64(argument)


def encode_challenge(challenge: bytes) -> bytes:
    """A challenge as its line has it, without the reply's code or ``+``."""
    return base64.b64encode(challenge)
