"""Tests of the whole of netservices.runtime.tls over real sockets, with the standard library's client in a thread."""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from netservices.config import TlsOptions
from netservices.runtime.tls import ServerTls, SessionTlsFactory, describe_tls_failure, make_server_tls
from tests.runtime.tls.memory import make_client_context, make_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IAddress, IProtocol
    from twisted.python.failure import Failure

    from netservices.runtime import Session

_PATIENCE = 10.0


@implementer(IHalfCloseableProtocol)
class Reverse(Protocol):
    """Answers, reversed, when its input has ended; then closes."""

    def __init__(self) -> None:
        self.received = b""
        self.reason: Failure = connectionDone
        self.lost: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def readConnectionLost(self) -> None:
        transport = cast("Any", self.transport)
        transport.write(self.received[::-1])
        transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Nothing is half-closed here."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason
        self.lost.callback(None)


class Client:
    """TLS over a blocking socket, so that each end of each direction is said by itself."""

    def __init__(self, port: int, context: ssl.SSLContext, name: str = "localhost") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)

    def flush(self) -> None:
        self.socket.sendall(self.outgoing.read())

    def fill(self) -> None:
        octets = self.socket.recv(65_536)
        if octets:
            self.incoming.write(octets)
        else:
            self.incoming.write_eof()

    def handshake(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.flush()
                self.fill()
            else:
                self.flush()
                return

    def write(self, data: bytes) -> None:
        self.tls.write(data)
        self.flush()

    def close_notify(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.flush()

    def read_all(self) -> bytes:
        """Up to the server's close_notify, and then TCP's end; raises ``SSLEOFError`` when the first is missing."""
        octets = b""
        while True:
            try:
                more = self.tls.read(65_536)
            except ssl.SSLWantReadError:
                self.fill()
                continue
            except ssl.SSLZeroReturnError:
                more = b""
            if not more:
                return octets
            octets += more


class SocketTests(TestCase):
    """A listener, and one client at a time."""

    def setUp(self) -> None:
        state = Path(self.mktemp())
        state.mkdir()
        self.tls: ServerTls = make_server_tls(TlsOptions(), state=state, hostname="localhost")
        self.layers = SessionTlsFactory(self.tls.creator(), cast("Any", reactor))
        self.services: list[Reverse] = []
        self.sessions: list[Session] = []
        port = cast("Any", reactor).listenTCP(0, self.make_factory(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.port = port.getHost().port
        self.context = ssl.create_default_context(cafile=str(self.tls.authority))

    def make_factory(self) -> Factory:
        test = self

        class Layers(Factory):
            noisy = False

            def buildProtocol(self, addr: IAddress | None) -> Any:  # noqa: ANN401 - Twisted's signature
                return test.make_layer()

        return Layers()

    def make_layer(self) -> IProtocol:
        service, session = Reverse(), make_session(Clock())
        self.services.append(service)
        self.sessions.append(session)
        return self.layers.wrap(cast("Any", service), session)

    async def run_client(self, steps: Callable[[Client], bytes], context: ssl.SSLContext | None = None) -> bytes:
        """What ``steps`` read; the server has then lost the connection."""

        def blocking() -> bytes:
            client = Client(self.port, context or self.context)
            try:
                return steps(client)
            finally:
                client.socket.close()

        answer: bytes = await deferToThread(blocking)
        await self.services[-1].lost
        self.reason = self.services[-1].reason
        return answer

    async def test_the_client_ends_its_half_and_reads_on(self) -> None:
        """R17."""

        def steps(client: Client) -> bytes:
            client.handshake()
            client.write(b"desserts")
            client.close_notify()
            answer = client.read_all()
            self.assertEqual(client.socket.recv(1), b"")
            return answer

        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.context.minimum_version = self.context.maximum_version = version
            self.assertEqual(await self.run_client(steps), b"stressed")
            self.assertIsNotNone(self.reason.check(ConnectionDone))
            self.assertEqual(self.sessions[-1].bytes_out, 8)

    async def test_it_may_end_tcps_half_after(self) -> None:
        def steps(client: Client) -> bytes:
            client.handshake()
            client.write(b"x" * 300_000)
            client.close_notify()
            client.socket.shutdown(socket.SHUT_WR)
            return client.read_all()

        self.assertEqual(len(await self.run_client(steps)), 300_000)
        self.assertIsNotNone(self.reason.check(ConnectionDone))

    async def test_all_at_once_is_answered_too(self) -> None:
        def steps(client: Client) -> bytes:
            client.handshake()
            client.tls.write(b"desserts")
            with contextlib.suppress(ssl.SSLWantReadError):
                client.tls.unwrap()
            client.flush()
            client.socket.shutdown(socket.SHUT_WR)
            return client.read_all()

        self.assertEqual(await self.run_client(steps), b"stressed")

    async def test_the_end_of_tcp_alone_is_a_loss(self) -> None:
        def steps(client: Client) -> bytes:
            client.handshake()
            client.write(b"desserts")
            client.socket.shutdown(socket.SHUT_WR)
            return client.read_all()

        # The client's OpenSSL may be told to overlook that we hang up as well; what counts is what we saw.
        with contextlib.suppress(ssl.SSLEOFError):
            self.assertEqual(await self.run_client(steps), b"")
        await self.services[-1].lost
        reason = self.services[-1].reason
        self.assertIsNotNone(reason.check(ConnectionLost))
        self.assertEqual(describe_tls_failure(reason), "the peer closed the connection without ending TLS")
        self.assertEqual(self.services[-1].received, b"desserts")

    async def test_a_client_that_trusts_nobody_is_named_so(self) -> None:
        """R35."""

        def steps(client: Client) -> bytes:
            with self.assertRaises(ssl.SSLCertVerificationError):
                client.handshake()
            client.flush()
            return b""

        distrusting = make_client_context()
        distrusting.verify_mode = ssl.CERT_REQUIRED
        await self.run_client(steps, distrusting)
        self.assertEqual(describe_tls_failure(self.reason), "unknown ca alert from the peer")
        self.assertIsNone(self.sessions[-1].tls)

    async def test_an_ordinary_client_verifies_and_resumes(self) -> None:
        """R23."""

        def talk(session: ssl.SSLSession | None) -> tuple[bytes, bool | None, ssl.SSLSession | None]:
            plain = socket.create_connection(("127.0.0.1", self.port), timeout=_PATIENCE)
            with self.context.wrap_socket(plain, server_hostname="localhost", session=session) as tls:
                tls.sendall(b"ab")
                with contextlib.suppress(OSError):
                    tls.unwrap()
                return b"", tls.session_reused, tls.session

        self.context.minimum_version = self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        _, reused, session = await deferToThread(talk, None)
        self.assertFalse(reused)
        _, reused, _ = await deferToThread(talk, session)
        self.assertTrue(reused)
        for service in self.services:
            await service.lost
        assert self.sessions[1].tls is not None
        self.assertTrue(self.sessions[1].tls.resumed)
