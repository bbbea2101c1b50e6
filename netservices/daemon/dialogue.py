"""What a session says and hears, line by line, for a section whose ``log_level`` is debug; secrets are masked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from twisted.logger import LogLevel

from netservices.runtime import Event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netservices.runtime import EventLog
    from netservices.runtime.transport import StreamTransport

HEARD = Event(
    "daemon.line.received",
    LogLevel.debug,
    "{service} session {session} < {line}",
    'What a peer of a section with `log_level = "debug"` sent, a line at a time; secrets are masked.',
)
SAID = Event(
    "daemon.line.sent",
    LogLevel.debug,
    "{service} session {session} > {line}",
    "What such a section answered.",
)

_LONGEST = 512
_MASK = rb"\1***"
# The commands and fields of our protocols whose argument is a secret: PASS of POP3, FTP and IRC, APOP's digest, SASL's
# responses, IRC's OPER, HTTP's credentials and cookies.
_SECRETS = re.compile(
    rb"(?i)^((?:[@:]\S+ +)*(?:PASS|ACCT|APOP +\S+|AUTH +\S+|AUTHENTICATE|OPER +\S+) +"
    rb"|(?:Proxy-)?Authorization: *|(?:Set-)?Cookie: *|X-Api-Key: *).*"
)
# RFC 4954 4: after a 334, and after a bare AUTH of POP3 or IRC, lines of base64 follow that carry names and passwords.
_CHALLENGE = re.compile(rb"^(?:334(?: |$)|\+ |\+$|AUTHENTICATE \+)")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")


class Dialogue:
    """Writes both sides of one session to its log."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._challenged = False

    def heard(self, data: bytes) -> None:
        """Bytes from the peer."""
        for line in _split(data):
            secret = self._challenged and _BASE64.fullmatch(line)
            self._challenged = False
            self._log.emit(HEARD, line="***" if secret else mask(line))

    def said(self, data: bytes) -> None:
        """Bytes to the peer."""
        for line in _split(data):
            self._challenged = bool(_CHALLENGE.match(line))
            self._log.emit(SAID, line=mask(line))


def mask(line: bytes) -> str:
    """A line as it may be logged: without secrets, cut, decoded in whatever way."""
    shown = _SECRETS.sub(_MASK, line)
    text = shown[:_LONGEST].decode("utf-8", "backslashreplace")
    return f"{text}… ({len(line)} bytes)" if len(shown) > _LONGEST else text


def _split(data: bytes) -> list[bytes]:
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix(b"\r") for line in lines]


class DialogueTransport:
    """In front of a session's transport: hands everything on, and shows what is written.

    It is no plain transport (``is_plain``), so that nothing is sent past it.
    """

    def __init__(self, transport: StreamTransport, dialogue: Dialogue) -> None:
        self._transport = transport
        self._dialogue = dialogue

    def write(self, data: bytes) -> None:
        """Show, then write."""
        self._dialogue.said(data)
        self._transport.write(data)

    def writeSequence(self, data: Sequence[bytes]) -> None:
        """Show, then write."""
        self.write(b"".join(data))

    def __getattr__(self, name: str) -> object:
        """Everything else is the transport's."""
        return getattr(self._transport, name)


EVENTS = (HEARD, SAID)
