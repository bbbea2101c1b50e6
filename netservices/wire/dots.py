r"""Text that ends with a line of one dot: how SMTP and POP3 send a message, and both directions of it.

    RFC 5321 4.5.2: before sending a line of mail text, the SMTP client checks the first character of the line. If it is
    a period, one additional period is inserted at the beginning of the line. When a line of mail text is received by
    the SMTP server, it checks the line. If the line is composed of a single period, it is treated as the end of mail
    indicator. If the first character is a period and there are other characters on the line, the first character is
    deleted.
    RFC 1939 3: the response is terminated with the final octet and a CRLF pair; hence a multi-line response is
    terminated with the five octets "CRLF.CRLF".

Both machines work on whole chunks of any size and hold at most four octets between them. This file does not know about
commands, replies, sizes of messages, or whose text it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

_TERMINATOR = b"\r\n.\r\n"
_STARTS_OF_TERMINATOR = tuple(_TERMINATOR[:length] for length in (4, 3, 2, 1))

_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)")
# A line's end of any kind, and the dot after it where more follows on that line.
_ANY_END = re.compile(rb"(?:\r\n|\r|\n)(?:\.(?=[^\r\n]))?")
# What cannot be judged yet at the end of a chunk, where each of CRLF, CR and LF ends a line.
_UNDECIDED = re.compile(rb"(?:\r\n?|\n)\.?\r?\Z")


class BareNewlines(Enum):
    """What becomes of a CR or LF that stands alone; it never ends the text."""

    REJECT = auto()
    """It is told once, as ``BareNewline``, and kept: the message is to be refused at its end."""
    NORMALISE = auto()
    """It ends a line, which is given with CRLF; a dot is taken from the start of the next one."""
    KEEP = auto()
    """It is a character like any other."""


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the text, of any length but 0, as it was before the dots were added."""

    data: bytes


@dataclass(frozen=True, slots=True)
class BareNewline:
    """``octet``, CR or LF, stood alone; told once for the first one, before the ``Text`` that it is in."""

    octet: bytes


@dataclass(frozen=True, slots=True)
class LongLine:
    """A line of the text was over the limit; told once, at the latest before the ``Text`` with that line's end."""


@dataclass(frozen=True, slots=True)
class End:
    """The text is over; ``rest`` is what came after it."""

    rest: bytes


DotEvent = Text | BareNewline | LongLine | End


class DotStuffer:
    """Text to what is sent; the text's lines end with CRLF, and every other octet is sent as it is."""

    def __init__(self) -> None:
        # An empty text is nothing but the terminator, whose first CRLF is the one of the line before.
        self._tail = b"\r\n"
        self._finished = False

    def feed(self, data: bytes) -> bytes:
        """What to send for ``data``."""
        if self._finished:
            raise RuntimeError("the text was finished already")
        if not data:
            return b""
        tail = self._tail
        self._tail = data[-2:] if len(data) > 1 else tail[-1:] + data
        stuffed = data.replace(b"\r\n.", b"\r\n..")
        if tail == b"\r\n" and data.startswith(b"."):
            return b"." + stuffed
        if tail.endswith(b"\r") and data.startswith(b"\n."):
            return b"\n." + stuffed[1:]
        return stuffed

    def finish(self) -> bytes:
        """The end of what is sent: a CRLF where the text does not end with one, and the line with the dot."""
        if self._finished:
            raise RuntimeError("the text was finished already")
        self._finished = True
        # RFC 5321 4.1.1.4: an extra CRLF MUST NOT be added, unless the final line did not end in CRLF.
        return b".\r\n" if self._tail == b"\r\n" else _TERMINATOR


class DotUnstuffer:
    """What was received to text; only CRLF, dot, CRLF ends it.

    ``longest_line`` counts octets with the line's CRLF, without the added dot; None: any. A line over it is told, and
    given like the others.
    """

    def __init__(self, bare: BareNewlines = BareNewlines.REJECT, *, longest_line: int | None = None) -> None:
        if longest_line is not None and longest_line < 2:
            raise ValueError("a line has two octets at least: its CRLF")
        self._bare = bare
        self._longest_line = longest_line
        # RFC 5321 4.1.1.4: the first CRLF of the terminator is also the one that ends the line before the text. So it
        # is put before the text here, and taken off when it comes out.
        self._held = b"\r\n"
        self._unsent = len(self._held)
        self._column = 0
        self._told_bare = bare is not BareNewlines.REJECT
        self._ended = False

    def feed(self, data: bytes) -> list[DotEvent]:
        """What ``data`` completes; after ``End``, feed no more."""
        if self._ended:
            raise RuntimeError("the text has ended already")
        data = self._held + data
        end = data.find(_TERMINATOR)
        if end < 0:
            held = self._count_undecided(data)
            body = data[:-held] if held else data
            self._held = data[-held:] if held else b""
            return self._take(body)
        self._ended = True
        self._held = b""
        events = self._take(data[: end + 2])
        events.append(End(data[end + len(_TERMINATOR) :]))
        return events

    def _count_undecided(self, data: bytes) -> int:
        if self._bare is BareNewlines.NORMALISE:
            # Four octets hold the longest case, CRLF, dot, CR; what stands before them does not matter.
            found = _UNDECIDED.search(data[-4:])
            return len(found[0]) if found else 0
        for start in _STARTS_OF_TERMINATOR:
            if data.endswith(start):
                return len(start)
        return 0

    def _take(self, body: bytes) -> list[DotEvent]:
        # A body never ends with a CR whose LF may follow, and so no CRLF is ever cut in two.
        events: list[DotEvent] = []
        if not self._told_bare and _has_bare(body) and (found := _BARE.search(body)):
            self._told_bare = True
            events.append(BareNewline(found[0]))
        text = self._unstuff(body)
        if self._unsent and text:
            text = text[self._unsent :]
            self._unsent = 0
        if text:
            if self._longest_line is not None and self._find_long_line(text, self._longest_line):
                self._longest_line = None
                events.append(LongLine())
            events.append(Text(text))
        return events

    def _unstuff(self, body: bytes) -> bytes:
        # A dot at the very end of a body is a line of its own: what is held back after it is the line's end.
        if self._bare is BareNewlines.NORMALISE and (body.endswith(b"\r\n.") or _has_bare(body)):
            # Whoever ends lines with LF adds the dots after LF too. A line of a lone dot that is no terminator is kept
            # as it is: sent on, it is stuffed again, and can end nobody's text.
            return _ANY_END.sub(b"\r\n", body)
        return body.replace(b"\r\n.", b"\r\n")

    def _find_long_line(self, text: bytes, limit: int) -> bool:
        # From line to line would cost a step for each; instead, as far as the limit reaches and back to the last CRLF.
        start, room = 0, limit - self._column
        while len(text) - start > room - 2:
            end = text.rfind(b"\r\n", start, start + room)
            if end < 0:
                return True
            start, room = end + 2, limit
        end = text.rfind(b"\r\n", start)
        self._column = len(text) - end - 2 if end >= 0 else limit - room + len(text) - start
        return False


def _has_bare(body: bytes) -> bool:
    pairs = body.count(b"\r\n")
    return body.count(b"\n") != pairs or body.count(b"\r") != pairs
