"""Answers out of files, over real sockets."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from twisted.internet import reactor as global_reactor
from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from netservices.config import Timeouts
from netservices.http.answers import Answer, FileContent, Span
from netservices.http.fastpath import FastTable, Prepared
from netservices.http.site import Site
from netservices.runtime import Address, EventLog, Session
from netservices.runtime.confined import Opened
from netservices.runtime.files import FilePool
from netservices.runtime.transport import TcpSessionTransport
from tests.http.doubles import StubHandler, body_of, head_of

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress
    from twisted.python.failure import Failure

    from netservices.http.request import HttpRequest

reactor: Any = global_reactor

SIZE = 3_000_000
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


class FileHandler(StubHandler):
    """Opens the file anew for every request."""

    path: Path
    pieces: tuple[bytes | Span, ...] = (Span(0, SIZE),)
    opened: Opened | None = None

    def handle(self, request: HttpRequest) -> Answer | Deferred[Answer]:
        fd = os.open(self.path, os.O_RDONLY)
        self.opened = Opened(fd, os.fstat(fd))
        return Answer(200, content=FileContent(self.opened, self.pieces))


@implementer(IHalfCloseableProtocol)
class Listened(Protocol):
    """Between a transport and the protocol of its session, as the listener has it."""

    def __init__(self, test: SenderTests) -> None:
        self.test = test
        self.session = Session(
            "s-1", "web", peer=Address("127.0.0.1", 1), local=Address("127.0.0.1", 2), clock=reactor,
            timeouts=Timeouts(), log=EventLog(cast("Any", test.events.append)),
        )  # fmt: skip
        self.inner = test.site.make_protocol(self.session)

    def connectionMade(self) -> None:
        self.session.transport = cast("Any", self.transport)
        self.inner.makeConnection(cast("Any", self.transport))

    def dataReceived(self, data: bytes) -> None:
        self.inner.dataReceived(data)

    def readConnectionLost(self) -> None:
        self.inner.readConnectionLost()

    def writeConnectionLost(self) -> None:
        self.inner.writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.inner.connectionLost(reason)
        self.session.end("lost")
        self.test.ended_once()


class SenderTests(TestCase):
    """What a client of a loopback socket gets."""

    def setUp(self) -> None:
        self.handler = FileHandler()
        self.handler.path = Path(self.mktemp())
        self.content = os.urandom(SIZE)
        self.handler.path.write_bytes(self.content)
        self.files = FilePool(reactor)
        self.files.start()
        self.addCleanup(self.files.stop)
        self.events: list[dict[str, Any]] = []
        self.lines: list[bytes] = []
        self.ended: Deferred[None] = Deferred()
        test = self

        class Log:
            """Remembers lines."""

            def add(self, line: bytes) -> None:
                test.lines.append(line)

        self.site = Site(self.handler, clock=reactor, files=self.files, access_log=cast("Any", Log()))

        class Factory(ServerFactory):
            """Does the least that a listener does."""

            noisy = False

            def buildProtocol(self, addr: IAddress | None) -> Protocol:
                return Listened(test)

        port = cast("tcp.Port", reactor.listenTCP(0, Factory(), interface="127.0.0.1"))
        port.transport = TcpSessionTransport
        self.addCleanup(port.stopListening)
        self.port = port.getHost().port

    def ended_once(self) -> None:
        """A session is over."""
        ended, self.ended = self.ended, Deferred()
        ended.callback(None)

    def fetch(self, request: bytes, *, most: int | None = None, window: int = 65536) -> Deferred[bytes]:
        """All that comes for ``request``, or ``most`` bytes of it before the client hangs up."""

        def client() -> bytes:
            with socket.socket() as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
                connection.settimeout(10)
                connection.connect(("127.0.0.1", self.port))
                connection.sendall(request)
                received = bytearray()
                try:
                    while data := connection.recv(65536):
                        received += data
                        if most is not None and len(received) >= most:
                            break
                except ConnectionResetError:
                    pass
                return bytes(received)

        return deferToThread(client)

    async def test_file_is_sent_whole_and_the_connection_goes_on(self) -> None:
        """Three on one connection, asked for at once; the descriptors are given back, the bytes logged."""
        received = await self.fetch(GET + GET + LAST)
        for _ in range(3):
            self.assertIn(b"Content-Length: %d" % SIZE, head_of(received))
            self.assertEqual(body_of(received)[:SIZE], self.content)
            received = body_of(received)[SIZE:]
        self.assertEqual(received, b"")
        assert self.handler.opened is not None
        self.assertEqual(self.handler.opened.fd, -1)
        self.assertEqual([line.split()[9] for line in self.lines], [b"%d" % SIZE] * 3)

    async def test_slow_client_gets_every_ready_answer(self) -> None:
        """R14: forty answers from memory at once, to a client whose window is far smaller than one of them."""
        content = self.content[:200_000]
        prepared = Prepared(Answer(200, content=content), lambda: None)
        prepared.confirm(reactor.seconds())
        prepared.fresh_until += 60
        prepared.renew_at += 60
        self.site.fast = FastTable()
        self.site.fast.put(b"GET", b"/", prepared)
        # What is not ready when its turn comes is answered from the file, the last one always.
        self.handler.pieces = (Span(0, 200_000),)
        received = await self.fetch(GET * 40 + LAST, window=4096)
        self.assertEqual(received.count(content), 41)
        self.assertEqual(len(self.lines), 41)

    async def test_pieces_come_in_order(self) -> None:
        """Literal bytes and spans in turn, as a multipart body has them."""
        self.handler.pieces = (b"one", Span(10, 100_000), b"two", Span(5, 5), b"end")
        expected = b"one" + self.content[10:100_010] + b"two" + self.content[5:10] + b"end"
        self.assertEqual(body_of(await self.fetch(LAST)), expected)

    async def test_file_that_shrinks_cuts_the_connection(self) -> None:
        """H15: never a clean end of a body that is not whole."""
        self.handler.pieces = (Span(0, SIZE + 1000),)
        received = await self.fetch(GET)
        self.assertLess(len(body_of(received)), SIZE + 1000)
        self.assertIn("http.file.failed", [event["event"] for event in self.events])

    async def test_client_that_goes_away_costs_nothing(self) -> None:
        """The descriptor is given back; what was sent is logged."""
        self.handler.pieces = (Span(0, SIZE),) * 20
        ended = self.ended
        await self.fetch(GET, most=1000)
        await ended
        assert self.handler.opened is not None
        self.assertEqual(self.handler.opened.fd, -1)
        self.assertEqual(len(self.lines), 1)
        self.assertLess(int(self.lines[0].split()[9]), SIZE * 20)
        self.assertNotIn("http.file.failed", [event["event"] for event in self.events])
