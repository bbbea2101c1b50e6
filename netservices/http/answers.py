"""What a handler gives back: an answer as a value, and the head it is sent with.

Both paths to a client, the fast one and the full one, build their heads here, so that they cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netservices.runtime.confined import Opened

Fields = tuple[tuple[bytes, bytes], ...]
"""Field names and values in the order they are sent."""

SERVER = b"netservices"
KEEP_ALIVE = b"keep-alive"
CLOSE = b"close"

_REASONS = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}
# RFC 9110 15.5.14, 15.5.17, 15.5.21 renamed what some Pythons still call otherwise.
_REASONS.update({413: b"Content Too Large", 414: b"URI Too Long", 416: b"Range Not Satisfiable"})


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a file: ``length`` of them from ``offset``."""

    offset: int
    length: int


@dataclass(frozen=True)
class FileContent:
    """A body out of an open file: its pieces in order, each literal bytes or a span of the file.

    Whoever sends the answer closes the file, sent or not.
    """

    file: Opened
    pieces: tuple[bytes | Span, ...]

    @property
    def length(self) -> int:
        """In bytes."""
        return sum(len(piece) if isinstance(piece, bytes) else piece.length for piece in self.pieces)


@dataclass(frozen=True)
class Answer:
    """One final response.

    ``fields`` lack what every answer has: Server, Date, Content-Length, Connection. ``length`` is what Content-Length
    says where that is not the length of ``content`` (an answer prepared for HEAD). ``close`` ends the connection.
    """

    status: int
    fields: Fields = ()
    content: bytes | FileContent = b""
    length: int | None = None
    close: bool = False

    @property
    def said_length(self) -> int:
        """What Content-Length says."""
        if self.length is not None:
            return self.length
        return len(self.content) if isinstance(self.content, bytes) else self.content.length

    def discard(self) -> None:
        """It will not be sent."""
        if isinstance(self.content, FileContent):
            self.content.file.close()


def has_body(status: int) -> bool:
    """RFC 9110 6.4.1: 1xx, 204 and 304 have none, whatever their fields say."""
    return status >= 200 and status not in {204, 304}


def make_lead(status: int) -> bytes:
    """The head up to the value of Date."""
    return b"HTTP/1.1 %d %b\r\nServer: %b\r\nDate: " % (status, _REASONS.get(status, b"Unknown"), SERVER)


def make_rest(answer: Answer, connection: bytes = b"") -> bytes:
    """The head after the value of Date, with the empty line. Raises ``ValueError`` for a value that would split it."""
    lines = [b""]
    lines += [b"%b: %b" % each for each in answer.fields]
    # RFC 9110 8.6: no Content-Length with 204; with 304 only the one of the 200 it stands for.
    if has_body(answer.status) or answer.length is not None:
        lines.append(b"Content-Length: %d" % answer.said_length)
    if connection:
        lines.append(b"Connection: " + connection)
    if any(len(line.translate(None, b"\r\n\0")) != len(line) for line in lines):
        raise ValueError("CR, LF or NUL in a field of an answer")
    return b"\r\n".join([*lines, b"", b""])


def make_head(answer: Answer, date: bytes, connection: bytes = b"") -> bytes:
    """The whole head. ``date`` is as ``format_date`` makes it."""
    return make_lead(answer.status) + date + make_rest(answer, connection)
