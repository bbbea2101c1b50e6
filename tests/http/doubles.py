"""A connection without a network: what the listener gives an HTTP protocol, and what came out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, ITransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer, implementer_only

from netservices.config import Timeouts
from netservices.http.answers import Answer
from netservices.http.site import HttpLimits, Site
from netservices.runtime import Address, EventLog, Session
from netservices.runtime.files import ImmediateFiles
from netservices.runtime.transport import ISessionTransport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.defer import Deferred

    from netservices.http.accesslog import AccessLog
    from netservices.http.channel import HttpProtocol
    from netservices.http.fastpath import FastTable
    from netservices.http.request import HttpRequest
    from netservices.http.site import BodySink, Handler


@implementer_only(ITransport)
class TlsTransport(StringTransport):
    """What stock transports do, which is all a TLS layer has; like ours, it declares no more than it must."""

    aborted = False
    disconnecting = False

    def loseConnection(self) -> None:
        self.disconnecting = True

    def abortConnection(self) -> None:
        self.aborted = True

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    half_closed = False

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: FBT001 - Twisted's signature
        """Nothing waits here."""

    def getTcpNoDelay(self) -> bool:
        """Nothing waits here."""
        return True

    def setTcpKeepAlive(self, enabled: bool) -> None:  # noqa: FBT001 - Twisted's signature
        """There is no peer to lose."""

    def getTcpKeepAlive(self) -> bool:
        """There is no peer to lose."""
        return False

    def clear_producer(self) -> None:
        """As if the peer had taken everything."""
        producer = cast("Any", self.producer)
        producer.resumeProducing()


@implementer(ISessionTransport)
class PlainTransport(TlsTransport):
    """A plain one: it sends at once, too. ``now`` counts how often."""

    now = 0

    def write_now(self, parts: Sequence[bytes]) -> None:
        self.now += 1
        self.writeSequence(parts)

    def count_sent(self, count: int) -> None:
        """Nobody asks."""


@dataclass
class StubHandler:
    """Answers with ``answer``, whatever is asked; remembers what was."""

    answer: Answer | Deferred[Answer] = field(default_factory=lambda: Answer(200, (), b"hello"))
    sink: BodySink | None = None
    seen: list[HttpRequest] = field(default_factory=list)

    def open_body(self, request: HttpRequest) -> BodySink | None:
        return self.sink

    def handle(self, request: HttpRequest) -> Answer | Deferred[Answer]:
        self.seen.append(request)
        return self.answer


class Connection:
    """One session of a site, over a transport in memory."""

    def __init__(
        self, handler: Handler | None = None, *, transport: TlsTransport | None = None, clock: Clock | None = None,
        fast: FastTable | None = None, access_log: AccessLog | None = None, limits: HttpLimits | None = None,
        site: Site | None = None,
    ) -> None:  # fmt: skip
        self.clock = clock or Clock()
        self.events: list[dict[str, Any]] = []
        self.handler = handler or StubHandler()
        self.transport = transport or PlainTransport()
        self.files = ImmediateFiles()
        self.site = site or Site(
            self.handler, clock=self.clock, files=self.files, limits=limits, access_log=access_log, fast=fast
        )
        self.session = Session(
            "s-1",
            "web",
            peer=Address("192.0.2.1", 40000),
            local=Address("192.0.2.2", 80),
            clock=self.clock,
            timeouts=Timeouts(idle=15.0, write=30.0),
            log=EventLog(cast("Any", self.events.append)),
        )
        self.session.transport = cast("Any", self.transport)
        self.protocol: HttpProtocol = self.site.make_protocol(self.session)
        self.protocol.makeConnection(cast("Any", self.transport))

    def send(self, data: bytes) -> bytes:
        """Let the peer send ``data``; what it gets for it."""
        self.send_only(data)
        return self.take()

    def send_only(self, data: bytes) -> None:
        """Let the peer send ``data``."""
        if data:
            self.session.deadlines.active()
            self.protocol.dataReceived(data)

    def take(self) -> bytes:
        """What was sent since the last time."""
        data = bytes(self.transport.value())
        self.transport.clear()
        return data

    def end_input(self) -> None:
        """The peer has said all."""
        IHalfCloseableProtocol(self.protocol).readConnectionLost()

    def lose(self) -> None:
        """The connection is gone."""
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.session.end("lost")


def status_of(data: bytes) -> int:
    """The status of the first answer in ``data``."""
    return int(data.split(b" ", 2)[1])


def head_of(data: bytes) -> list[bytes]:
    """The lines of the first answer's head."""
    return data.partition(b"\r\n\r\n")[0].split(b"\r\n")


def body_of(data: bytes) -> bytes:
    """What follows the first answer's head."""
    return data.partition(b"\r\n\r\n")[2]
