r"""Lines out of a stream: bounded, in linear time, with stretches of raw octets between them.

The machine is pulled: octets go in by ``feed``, and an event is parsed only when the loop over the events asks for it.
So a service may change the mode in the middle of a buffer (after ``BDAT 300`` come 300 octets of message), and may
pause and leave what a peer has pipelined unparsed.

What a line is:

    RFC 5321 2.3.8: lines consist of zero or more data characters terminated by the sequence CR LF; the characters CR
    and LF MUST NOT be transmitted except when intended as that sequence.
    RFC 2812 2.3: messages are always lines of characters terminated with a CR-LF pair, and these messages SHALL NOT
    exceed 512 characters in length, counting all characters including the trailing CR-LF.

The states, and what leads from one to another:

    LINES    -- a line longer than the limit, discard --> DISCARD   -- that line's end --> LINES
    LINES    -- a line longer than the limit, close   --> CLOSED
    LINES    -- read_octets(count)                    --> COUNTED   -- the last of them --> LINES
    LINES    -- read_stream()                         --> STREAM    -- end_stream(unused) --> LINES

This file does not know about commands, replies, encodings, dots or TLS.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FIRST_STREAM_CHUNK = 4096
_LARGEST_CHUNK = 65536


class LineEnds(Enum):
    """What ends a line."""

    CRLF = auto()
    CRLF_OR_LF = auto()


class Overflow(Enum):
    """What becomes of the stream after a line that is too long."""

    DISCARD = auto()
    """The line is thrown away up to its end; the next one is read."""
    CLOSE = auto()
    """Nothing more is read."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its end.

    ``bare_cr`` and ``bare_lf`` tell, where ``report_bare`` asks for it, that a CR or LF stood alone: inside the line,
    or as its end.
    """

    content: bytes
    bare_cr: bool = False
    bare_lf: bool = False


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line over the limit, told once, as soon as it is certain; ``start`` is its first ``limit - 2`` octets."""

    start: bytes


@dataclass(frozen=True, slots=True)
class Octets:
    """Some of the raw octets, never more than 64 KiB; ``left`` is how many are still to come, None in a stream."""

    data: bytes
    left: int | None


Event = Line | TooLong | Octets


class NotEmptyError(Exception):
    """Octets came before their time: they were sent in plain text, to be read as if TLS had protected them."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} octets came with the command that ends the plain part of the session")
        self.count = count


class _Mode(Enum):
    LINES = auto()
    DISCARD = auto()
    COUNTED = auto()
    STREAM = auto()
    CLOSED = auto()


class LinesState:
    """A stream's lines.

    ``limit`` is in octets and counts a line's end. ``waiting_limit`` is how many octets may wait before ``wants_more``
    turns false; None: 64 KiB, or the line's limit if that is more. A line of just the limit always fits.
    """

    def __init__(
        self, limit: int, *, overflow: Overflow = Overflow.DISCARD, ends: LineEnds = LineEnds.CRLF,
        report_bare: bool = False, waiting_limit: int | None = None,
    ) -> None:  # fmt: skip
        self._waiting_limit = max(limit, _LARGEST_CHUNK) if waiting_limit is None else waiting_limit
        self._limit = self._check_limit(limit)
        self._overflow = overflow
        self._end = b"\r\n" if ends is LineEnds.CRLF else b"\n"
        self._report_bare = report_bare
        self._buffer = bytearray()
        self._start = 0  # of what has not become an event
        self._searched = 0  # how far there is no line's end
        self._mode = _Mode.LINES
        self._left = 0
        self._chunk = 0
        self._given = 0
        self._paused = False
        self._looping = False
        # Each state's way to the next event; None where it has none, or has only led to another state.
        self._steps: dict[_Mode, Callable[[], Event | None]] = {
            _Mode.LINES: self._next_line,
            _Mode.DISCARD: self._discard,
            _Mode.COUNTED: self._next_counted,
            _Mode.STREAM: self._next_of_stream,
            _Mode.CLOSED: lambda: None,
        }

    def _check_limit(self, limit: int) -> int:
        if not 2 < limit <= self._waiting_limit:
            raise ValueError(f"a line's limit is 3 octets or more and at most the waiting limit, not {limit}")
        return limit

    @property
    def limit(self) -> int:
        """Octets of the longest line, with its end; a new value holds from the next event on."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = self._check_limit(limit)

    @property
    def waiting(self) -> int:
        """Octets that have not become an event."""
        return len(self._buffer) - self._start

    @property
    def wants_more(self) -> bool:
        """Whether the transport should be read: false from ``waiting_limit`` on, and when the stream is over."""
        return self._mode is not _Mode.CLOSED and self.waiting < self._waiting_limit

    @property
    def paused(self) -> bool:
        """Whether events wait."""
        return self._paused

    def feed(self, data: bytes) -> Iterator[Event]:
        """Take octets at once; give the events they complete, as ``events`` does."""
        if self._mode is not _Mode.CLOSED:
            self._buffer += data
        return self.events()

    def events(self) -> Iterator[Event]:
        """Each event that is complete, until one is not or ``pause`` was called.

        Within a loop over the events a second one finds nothing: the loop that runs goes on after ``resume``, so that
        answers that are ready at once never nest.
        """
        if self._looping:
            return
        self._looping = True
        try:
            while not self._paused:
                mode = self._mode
                event = self._steps[mode]()
                if event is not None:
                    yield event
                elif mode is self._mode:
                    break
        finally:
            self._looping = False
            self._compact()

    def pause(self) -> None:
        """Give no event after this one."""
        self._paused = True

    def resume(self) -> None:
        """Give events again: the loop that runs goes on; where none runs, loop over ``events``."""
        self._paused = False

    def read_octets(self, count: int) -> None:
        """The next ``count`` octets are raw, then lines follow; 0 gives one empty ``Octets`` all the same.

        Outside a loop over the events, loop over ``events`` after this.
        """
        if count < 0:
            raise ValueError(f"{count} octets")
        self._leave_lines(_Mode.COUNTED)
        self._left = count

    def read_stream(self) -> None:
        """All that follows is raw, until ``end_stream``."""
        self._leave_lines(_Mode.STREAM)
        self._chunk = _FIRST_STREAM_CHUNK
        self._given = 0

    def end_stream(self, unused: int = 0) -> None:
        """Lines follow again; the last ``unused`` octets of the last ``Octets`` are theirs."""
        if self._mode is not _Mode.STREAM:
            raise RuntimeError("no stream is being read")
        if not 0 <= unused <= self._given:
            raise ValueError(f"{unused} octets given back of {self._given}")
        self._start -= unused
        self._searched = self._start
        self._given = 0
        self._mode = _Mode.LINES

    def take_rest(self) -> bytes:
        """All octets that wait, for whoever reads the stream from now on; nothing is left here."""
        rest = bytes(self._buffer[self._start :])
        self._forget()
        return rest

    def require_empty(self) -> None:
        """Raise ``NotEmptyError`` if octets wait: before a TLS handshake they would be an injected command.

        The octets are dropped either way, and the session must end.
        """
        # RFC 3207 4.2: the server MUST discard any knowledge obtained from the client that was not obtained from the
        # TLS negotiation itself.
        count = self.waiting
        self._forget()
        if count:
            raise NotEmptyError(count)

    def _leave_lines(self, mode: _Mode) -> None:
        # A line that is being thrown away has to end first, or its rest would be taken for the octets.
        if self._mode is not _Mode.LINES:
            raise RuntimeError(f"raw octets cannot begin in the state {self._mode.name}")
        self._mode = mode

    def _forget(self) -> None:
        self._buffer.clear()
        self._start = self._searched = self._given = 0

    def _compact(self) -> None:
        # The end of a bytearray moves for free and so does its start, but not for each line. What a stream gave last
        # may come back.
        used = self._start - self._given
        if used:
            del self._buffer[:used]
            self._start -= used
            self._searched -= used

    def _next_line(self) -> Event | None:
        buffer, start = self._buffer, self._start
        end = self._end
        found = buffer.find(end, self._searched)
        if found < 0:
            # A CR at the very end may be half of a line's end.
            self._searched = max(start, len(buffer) - len(end) + 1)
            missing = 1 if end == b"\n" or buffer.endswith(b"\r", start) else 2
            return self._overflowed() if len(buffer) - start + missing > self._limit else None
        stop = found + len(end)
        if stop - start > self._limit:
            self._searched = found
            return self._overflowed()
        self._start = self._searched = stop
        content = bytes(buffer[start:found])
        if end == b"\r\n":
            bare_lf = self._report_bare and b"\n" in content
        elif content.endswith(b"\r"):
            content = content[:-1]
            bare_lf = False
        else:
            bare_lf = self._report_bare
        return Line(content, self._report_bare and b"\r" in content, bare_lf)

    def _overflowed(self) -> TooLong:
        event = TooLong(bytes(self._buffer[self._start : self._start + self._limit - 2]))
        if self._overflow is Overflow.DISCARD:
            self._mode = _Mode.DISCARD
        else:
            self._mode = _Mode.CLOSED
            self._forget()
        return event

    def _discard(self) -> None:
        found = self._buffer.find(self._end, self._searched)
        if found >= 0:
            self._start = found + len(self._end)
            self._mode = _Mode.LINES
        else:
            half = self._end == b"\r\n" and self._buffer.endswith(b"\r", self._start)
            self._start = len(self._buffer) - half
        self._searched = self._start

    def _next_counted(self) -> Event | None:
        count = min(self._left, self.waiting, _LARGEST_CHUNK)
        if self._left and not count:
            return None
        self._left -= count
        if not self._left:
            self._mode = _Mode.LINES
        return Octets(self._advance(count), self._left)

    def _next_of_stream(self) -> Event | None:
        # Chunks begin small and double: what is given back was copied in vain, and a peer that pipelines many short
        # texts must not make that more than twice their length and one first chunk each.
        count = min(self.waiting, self._chunk)
        self._given = count
        if not count:
            return None
        self._chunk = min(self._chunk * 2, _LARGEST_CHUNK)
        return Octets(self._advance(count), None)

    def _advance(self, count: int) -> bytes:
        start = self._start
        self._start = self._searched = start + count
        return bytes(self._buffer[start : self._start])
