"""Anything a peer sent, as text that is safe to show: one line, no control of the terminal, valid UTF-8.

A backslash stays as it is, so that what is harmless reads as it was written; an exact copy of a value is in the places
that can hold one (the journal's fields, JSON).
"""

from __future__ import annotations

import re

# Unicode 15 UAX #9: the bidirectional controls reorder what stands after them on the screen; U+2028 and U+2029 end a
# line; U+FEFF is a byte order mark; U+206A-206F and U+FFF9-FFFB are unseen formatting; U+D800-DFFF are no characters.
_UNSAFE = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u206f\\ufeff\\ufff9-\\ufffb\\ud800-\\udfff]"
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if code < 0x80:
        return f"\\x{code:02x}"
    # PEP 383: an octet that is not UTF-8 was decoded to U+DC80-DCFF; it is shown as the octet it was.
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}"


def _escape_for_json(match: re.Match[str]) -> str:
    code = ord(match[0])
    # RFC 8259 8.2: readers do not agree on what a lone surrogate means; it is shown as text instead.
    return f"\\{_escape(match)}" if 0xD800 <= code <= 0xDFFF else f"\\u{code:04x}"


def decode_octets(octets: bytes) -> str:
    """Octets as text: UTF-8 where it is, and a lone surrogate (PEP 383) for each octet that is not."""
    return octets.decode("utf-8", "surrogateescape")


def escape_line(text: str | bytes) -> str:
    r"""``text`` as one line of valid Unicode without control characters.

    ``\n``, ``\r`` and ``\t`` are named; other ASCII controls become ``\x1b``, other characters ``\u009b`` or
    ``\u2028``; an octet that is not UTF-8 becomes ``\x9b``.
    """
    if isinstance(text, bytes):
        text = decode_octets(text)
    # Everything that _UNSAFE matches is unprintable, and almost every text is printable.
    if text.isprintable():
        return text
    return _UNSAFE.sub(_escape, text)


def escape_lines(text: str) -> list[str]:
    """Text of several lines, each escaped by itself; only LF ends a line."""
    return [escape_line(line) for line in text.removesuffix("\n").split("\n")]


def escape_surrogates(text: str) -> str:
    r"""``text`` with what UTF-8 can't hold shown as ``\x9b`` or ``\ud800``; everything else as it is."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return re.sub("[\\ud800-\\udfff]", _escape, text)
    return text


def escape_json(document: str) -> str:
    r"""One JSON document, which has no control character below U+0020, with every other unsafe one as ``\uXXXX``.

    They can only stand inside its strings, so a reader gets the same values, but for lone surrogates: those are shown
    as ``escape_line`` shows them.
    """
    return document if document.isprintable() else _UNSAFE.sub(_escape_for_json, document)


def cut_octets(text: str, limit: int, mark: str = "…") -> bytes:
    """``text`` in UTF-8, at most ``limit`` octets; what is longer ends with ``mark``, at the border of a character."""
    octets = text.encode()
    if len(octets) <= limit:
        return octets
    tail = mark.encode()
    if len(tail) > limit:
        return b""
    head = octets[: limit - len(tail)].decode("utf-8", "ignore").encode()
    return head + tail


def shorten_middle(text: str, limit: int, mark: str = "…") -> str:
    """``text``, at most ``limit`` characters: a quarter from its start and the rest from its end, ``mark`` between.

    For tracebacks, whose ends tell most.
    """
    if len(text) <= limit:
        return text
    room = max(limit - len(mark), 0)
    head = room // 4
    return text[:head] + mark + text[len(text) - (room - head) :]
