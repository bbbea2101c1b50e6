"""Links over streams, with real sockets on loopback."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

from OpenSSL.SSL import TLS_METHOD
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from netservices.config.log_address import LogAddress, parse_log_address
from netservices.runtime.logs.connect import connect_local, load_authority, make_connect
from netservices.runtime.logs.courier import Courier, Written
from netservices.runtime.logs.streams import StreamLink, frame_local
from tests.runtime.logs.certificates import make_certificate
from tests.runtime.logs.fakes import FakeWatcher, as_reactor

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from twisted.internet.address import IPv4Address
    from twisted.internet.interfaces import IListeningPort
    from twisted.python.failure import Failure

    from netservices.runtime.logs.courier import Link

reactor = as_reactor(global_reactor)


class Collector(ServerFactory):
    """Keeps what comes; ``until`` fires when enough has."""

    noisy = False

    def __init__(self, *, reads: bool = True) -> None:
        self.received = b""
        self.reads = reads
        self.connections: list[_Connection] = []
        self._waiting: list[tuple[Callable[[], object], Deferred[None]]] = []

    def buildProtocol(self, _addr: object) -> Protocol:
        """As Twisted's."""
        return _Connection(self)

    def until(self, done: Callable[[], object]) -> Deferred[None]:
        """Fires when ``done`` is true after something happened here."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append((done, waiting))
        self.check()
        return waiting

    def check(self) -> None:
        """Something happened."""
        for done, waiting in self._waiting[:]:
            if done():
                self._waiting.remove((done, waiting))
                waiting.callback(None)


class _Connection(Protocol):
    def __init__(self, collector: Collector) -> None:
        self.collector = collector

    def connectionMade(self) -> None:
        """As Twisted's."""
        if not self.collector.reads:
            self.transport.pauseProducing()  # type: ignore[union-attr]
        self.collector.connections.append(self)
        self.collector.check()

    def dataReceived(self, data: bytes) -> None:
        """As Twisted's."""
        self.collector.received += data
        self.collector.check()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """As Twisted's."""
        del reason
        self.collector.connections.remove(self)
        self.collector.check()


class Told(FakeWatcher):
    """A watcher one can wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.first_failure: Deferred[None] = Deferred()

    def failed(self, reason: str, lines: object) -> None:
        """Written down."""
        super().failed(reason, lines)  # type: ignore[arg-type]
        self.first_failure.callback(None)


class StreamCase(TestCase):
    """What the tests below share."""

    def setUp(self) -> None:
        self.watcher = Told()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def listen(self, collector: Collector) -> int:
        """Over TCP; the port."""
        port = reactor.listenTCP(0, collector, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.addCleanup(lambda: [connection.transport.abortConnection() for connection in collector.connections])  # type: ignore[union-attr]
        return cast("IPv4Address", port.getHost()).port

    def listen_tls(self, collector: Collector) -> tuple[int, Path]:
        """Over TLS; the port and the authority."""
        authority, certificate, key = make_certificate(self.folder)
        options = DefaultOpenSSLContextFactory(str(key), str(certificate), TLS_METHOD)
        port = cast("IListeningPort", global_reactor.listenSSL(0, collector, options, interface="127.0.0.1"))  # type: ignore[attr-defined] # the real one has it
        self.addCleanup(port.stopListening)
        self.addCleanup(lambda: [connection.transport.abortConnection() for connection in collector.connections])  # type: ignore[union-attr]
        return cast("IPv4Address", port.getHost()).port, authority

    def make_courier(self, connect: Callable[[Courier], Deferred[Link]], limit: int = 10_000) -> Courier:
        """Started, and stopped at the end."""
        courier = Courier(reactor, connect, limit=limit, watcher=self.watcher)
        courier.start(now=True)
        self.addCleanup(courier.stop)
        return courier

    def make_tcp(self, port: int, host: str = "127.0.0.1") -> Courier:
        """One for TCP."""
        return self.make_courier(make_connect(reactor, parse_log_address(f"tcp:{host}:{port}"), None))


def count_lines(octets: bytes) -> tuple[int, int]:
    """Whole lines of x in octet-counted ``octets``, and how many others were dropped."""
    received = dropped = 0
    while octets:
        size, _, octets = octets.partition(b" ")
        line, octets = octets[: int(size)], octets[int(size) :]
        if line.startswith(b"dropped "):
            dropped += int(line.split()[1])
        elif line == b"x" * 8000:
            received += 1
    return received, dropped


class TcpTests(StreamCase):
    """TCP."""

    @inlineCallbacks
    def test_lines_are_octet_counted(self) -> Generator[Deferred[None], None, None]:
        """R30: a name is looked up."""
        collector = Collector()
        courier = self.make_tcp(self.listen(collector), "localhost")
        courier.put("né".encode())
        courier.put(b"second")
        yield collector.until(lambda: collector.received == b"3 n\xc3\xa96 second")

    @inlineCallbacks
    def test_stop_sends_everything_and_closes(self) -> Generator[Deferred[None], None, None]:
        collector = Collector()
        courier = self.make_tcp(self.listen(collector))
        courier.put(b"x" * 8000)
        yield courier.stop()
        yield collector.until(lambda: len(collector.received) == 8005 and not collector.connections)

    @inlineCallbacks
    def test_a_collector_that_goes_is_found_again(self) -> Generator[Deferred[None], None, None]:
        """R32."""
        collector = Collector()
        courier = self.make_tcp(self.listen(collector))
        yield collector.until(lambda: collector.connections)
        collector.connections[0].transport.abortConnection()  # type: ignore[union-attr]
        yield self.watcher.first_failure
        self.assertEqual(len(self.watcher.happened), 1)
        courier.put(b"1")
        yield collector.until(lambda: collector.received == b"1 1")

    @inlineCallbacks
    def test_a_collector_that_does_not_read_holds_nobody(self) -> Generator[Deferred[None], None, None]:
        """R32: what is in flight is bounded, the rest waits, then is counted; then all of it arrives in order."""
        collector = Collector(reads=False)
        port = self.listen(collector)
        courier = self.make_courier(make_connect(reactor, parse_log_address(f"tcp:127.0.0.1:{port}"), None), limit=50)
        yield collector.until(lambda: collector.connections)
        for _ in range(200):
            for _ in range(20):
                courier.put(b"x" * 8000)
            yield deferLater(reactor, 0, lambda: None)
        collector.connections[0].transport.resumeProducing()  # type: ignore[union-attr]
        yield collector.until(lambda: sum(count_lines(collector.received)) == 4000)
        received, dropped = count_lines(collector.received)
        self.assertGreater(received, 50)
        self.assertGreater(dropped, 2000)
        self.assertEqual(self.watcher.happened, [])


class LocalStreamTests(StreamCase):
    """A local stream socket."""

    @inlineCallbacks
    def test_the_local_socket_may_be_a_stream(self) -> Generator[Deferred[None], None, None]:
        """R30: as syslog(3) does."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = str(Path(folder.name) / "log")
        collector = Collector()
        port = reactor.listenUNIX(path, collector)
        self.addCleanup(port.stopListening)
        courier = self.make_courier(lambda courier: connect_local(reactor, path, courier))
        courier.put(b"1")
        courier.put(b"2")
        yield collector.until(lambda: collector.received == b"1\x002\x00")
        yield courier.stop()
        yield collector.until(lambda: not collector.connections)

    def test_a_nul_ends_a_line(self) -> None:
        self.assertEqual(frame_local(b"1"), b"1\0")


class TlsTests(StreamCase):
    """TLS."""

    def make_tls(self, port: int, authority: Path | None, host: str = "localhost") -> Courier:
        """One for TLS."""
        return self.make_courier(make_connect(reactor, LogAddress("tls", host, port), authority))

    @inlineCallbacks
    def test_lines_arrive_from_a_verified_collector(self) -> Generator[Deferred[None], None, None]:
        """R30: RFC 5425."""
        collector = Collector()
        port, authority = self.listen_tls(collector)
        for host in ("localhost", "127.0.0.1"):
            collector.received = b""
            courier = self.make_tls(port, authority, host)
            courier.put(b"1")
            yield collector.until(lambda: collector.received == b"1 1")
            yield courier.stop()
        yield collector.until(lambda: not collector.connections)

    @inlineCallbacks
    def test_an_unknown_authority_is_refused_and_nothing_is_sent(self) -> Generator[Deferred[None], None, None]:
        """R24, R32."""
        collector = Collector()
        port, _authority = self.listen_tls(collector)
        other = self.folder / "other"
        other.mkdir()
        courier = self.make_tls(port, make_certificate(other)[0])
        courier.put(b"1")
        yield self.watcher.first_failure
        self.assertTrue(courier.away)
        self.assertEqual((collector.received, self.watcher.waiting), (b"", (b"1",)))
        self.assertIn("certificate verify failed", self.watcher.happened[0])
        yield collector.until(lambda: not collector.connections)

    @inlineCallbacks
    def test_another_name_is_refused_and_nothing_is_sent(self) -> Generator[Deferred[None], None, None]:
        """R24, R32."""
        collector = Collector()
        port, authority = self.listen_tls(collector)
        courier = self.make_tls(port, authority, "127.0.0.2")
        courier.put(b"1")
        yield self.watcher.first_failure
        self.assertEqual(collector.received, b"")

    @inlineCallbacks
    def test_a_collector_that_never_shakes_hands_holds_nothing_up(self) -> Generator[Deferred[None], None, None]:
        """R32: stopping ends the attempt and its connection."""
        collector = Collector()
        port = self.listen(collector)
        courier = self.make_tls(port, make_certificate(self.folder)[0])
        yield collector.until(lambda: collector.received)
        yield courier.stop()
        yield collector.until(lambda: not collector.connections)


class AuthorityTests(SynchronousTestCase):
    """``load_authority``."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def test_every_certificate_of_the_file_is_read(self) -> None:
        authority, certificate, _key = make_certificate(self.folder)
        authority.write_bytes(authority.read_bytes() + certificate.read_bytes())
        self.assertEqual(len(load_authority(authority)), 2)

    def test_a_file_without_one_says_so(self) -> None:
        path = self.folder / "x"
        path.write_bytes(b"")
        self.assertIn("has no certificate", str(self.assertRaises(ValueError, load_authority, path)))
        path.write_bytes(b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
        self.assertIn("can't be read", str(self.assertRaises(ValueError, load_authority, path)))
        self.assertRaises(FileNotFoundError, load_authority, self.folder / "none")


class UnconnectedTests(SynchronousTestCase):
    """A link before its connection."""

    def test_writing_is_an_error_and_a_pause_is_heeded(self) -> None:
        courier = Courier(reactor, lambda _: Deferred(), limit=1, watcher=FakeWatcher())
        link = StreamLink(courier, frame_local, Deferred())
        self.assertRaises(OSError, link.write, b"1")
        link.pauseProducing()
        self.assertIs(link.write(b"1"), Written.FULL)
        link.stopProducing()
