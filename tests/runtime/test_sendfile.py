"""Parts of files, sent to peers."""

from __future__ import annotations

import os
import socket
from array import array
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import SSL4ClientEndpoint, TCP4ClientEndpoint, UNIXClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock, deferLater
from twisted.internet.tcp import Server
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import classImplements, directlyProvides

from netservices.runtime.files import FilePool, ImmediateFiles, PoolFull
from netservices.runtime.sendfile import CopyProducer, FileShrank, SendfileProducer, can_sendfile, make_sender
from netservices.runtime.transport import ISessionTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IProducer, IPullProducer
    from twisted.python.failure import Failure

    from netservices.runtime.sendfile import Sender
    from netservices.runtime.transport import StreamTransport

reactor: Any = global_reactor

MIB = 1 << 20


class Plain(StringTransport):
    """A plain transport over one end of a socket pair, which does what Twisted's does with a pull producer."""

    def __init__(self, room: int | None = None) -> None:
        super().__init__()
        self.ours, self.peer = socket.socketpair()
        self.ours.setblocking(False)
        self.peer.setblocking(False)
        if room is not None:
            self.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
        self.writing = False
        self.aborted = False
        self.counted = 0

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:  # noqa: FBT001 - Twisted's signature
        super().registerProducer(producer, streaming)
        if not streaming:
            cast("IPullProducer", producer).resumeProducing()

    def fileno(self) -> int:
        return self.ours.fileno()

    def startWriting(self) -> None:
        self.writing = True

    def count_sent(self, count: int) -> None:
        self.counted += count

    def abortConnection(self) -> None:
        self.aborted = True

    def turn(self) -> bool:
        """One turn of the reactor in which the socket is writable; whether there was anything to do."""
        if not self.writing:
            return False
        self.writing = False
        if self.value():
            self.ours.sendall(self.value())
            self.clear()
        if self.producer is not None:
            self.producer.resumeProducing()
        return True

    def received(self) -> bytes:
        """What the peer can read now."""
        data = b""
        while True:
            try:
                chunk = self.peer.recv(1 << 16)
            except BlockingIOError:
                return data
            data += chunk

    def close(self) -> None:
        """Both ends."""
        self.ours.close()
        self.peer.close()


# As much of it as is used here.
classImplements(Plain, ISessionTransport)  # type: ignore[misc]


class Wrapped(StringTransport):
    """A transport that can only be written to."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class TransferTestCase(SynchronousTestCase):
    """A file of three MiB, all of it different, and file threads that are none."""

    def setUp(self) -> None:
        self.data = array("I", range(3 * MIB // 4)).tobytes()
        self.assertEqual(len(self.data), 3 * MIB)
        path = Path(self.mktemp())
        path.write_bytes(self.data)
        self.fd = os.open(path, os.O_RDWR)
        self.addCleanup(os.close, self.fd)
        self.files = ImmediateFiles()
        self.clock = Clock()
        self.sent: list[int] = []

    def begin(
        self,
        kind: type[SendfileProducer | CopyProducer],
        transport: StringTransport,
        *,
        offset: int = 0,
        count: int | None = None,
        sent: Callable[[int], object] | None = None,
    ) -> Deferred[None]:
        """Start to send a part of the file, all of it by default."""
        return kind(
            cast("StreamTransport", transport),
            self.fd,
            offset,
            len(self.data) - offset if count is None else count,
            files=self.files,
            clock=self.clock,
            sent=sent or self.sent.append,
        ).start()


class SendfileProducerTests(TransferTestCase):
    """``SendfileProducer`` over a socket that a test empties."""

    def make_transport(self, room: int | None = None) -> Plain:
        """One that is closed afterwards."""
        transport = Plain(room)
        self.addCleanup(transport.close)
        return transport

    def pump(self, transport: Plain, deferred: Deferred[None], *, read: bool = True) -> bytes:
        """Read until the transfer is over."""
        data = b""
        for _ in range(10_000):
            if not transport.turn() and deferred.called:
                return data + (transport.received() if read else b"")
            data += transport.received() if read else b""
        raise AssertionError("it goes on and on")

    def test_whole_file_arrives_after_what_was_written_before(self) -> None:
        transport = self.make_transport()
        transport.write(b"head")
        deferred = self.begin(SendfileProducer, transport)
        self.assertNoResult(deferred)
        self.assertEqual(self.pump(transport, deferred), b"head" + self.data)
        self.successResultOf(deferred)
        self.assertIsNone(transport.producer)

    def test_part_arrives_and_nothing_else(self) -> None:
        transport = self.make_transport()
        deferred = self.begin(SendfileProducer, transport, offset=5, count=MIB + 1)
        self.assertEqual(self.pump(transport, deferred), self.data[5 : MIB + 6])

    def test_each_number_of_bytes_is_told(self) -> None:
        transport = self.make_transport(room=4096)
        deferred = self.begin(SendfileProducer, transport)
        self.pump(transport, deferred)
        self.assertGreater(len(self.sent), 3)
        self.assertEqual(sum(self.sent), len(self.data))
        self.assertEqual(transport.counted, len(self.data))

    def test_nothing_to_send_is_done_at_once(self) -> None:
        transport = self.make_transport()
        self.successResultOf(self.begin(SendfileProducer, transport, count=0))
        self.assertIsNone(transport.producer)

    def test_full_socket_is_waited_for(self) -> None:
        transport = self.make_transport(room=4096)
        deferred = self.begin(SendfileProducer, transport)
        for _ in range(20):
            # The socket takes less than the file, and soon nothing at all.
            self.assertTrue(transport.turn())
        self.assertNoResult(deferred)
        self.assertFalse(transport.aborted)
        self.assertEqual(self.pump(transport, deferred), self.data)

    def test_file_that_shrinks_aborts_the_connection(self) -> None:
        """A short body must never look whole."""
        transport = self.make_transport(room=4096)
        deferred = self.begin(SendfileProducer, transport)
        transport.turn()
        transport.turn()
        os.ftruncate(self.fd, 10)
        self.pump(transport, deferred)
        self.failureResultOf(deferred, FileShrank)
        self.assertTrue(transport.aborted)

    def test_more_than_there_is_aborts_the_connection(self) -> None:
        """A short body must never look whole."""
        transport = self.make_transport()
        deferred = self.begin(SendfileProducer, transport, count=len(self.data) + 1)
        self.assertEqual(self.pump(transport, deferred), self.data)
        self.failureResultOf(deferred, FileShrank)

    def test_lost_connection_ends_it(self) -> None:
        transport = self.make_transport(room=4096)
        deferred = self.begin(SendfileProducer, transport)
        transport.turn()
        producer = transport.producer
        assert producer is not None
        producer.stopProducing()
        self.failureResultOf(deferred, ConnectionLost)
        producer.stopProducing()
        producer.resumeProducing()
        self.assertLess(len(transport.received()), len(self.data))

    def test_peer_that_is_gone_ends_it(self) -> None:
        transport = self.make_transport()
        deferred = self.begin(SendfileProducer, transport)
        transport.peer.close()
        self.pump(transport, deferred, read=False)
        self.failureResultOf(deferred, ConnectionLost)
        self.assertTrue(transport.aborted)

    def test_error_of_the_disk_aborts_the_connection(self) -> None:
        transport = self.make_transport()
        nothing = os.open(self.mktemp(), os.O_WRONLY | os.O_CREAT)
        self.addCleanup(os.close, nothing)
        self.fd = nothing
        deferred = self.begin(SendfileProducer, transport, count=5)
        transport.turn()
        self.failureResultOf(deferred, OSError)
        self.assertTrue(transport.aborted)

    def test_want_of_descriptors_aborts_the_connection(self) -> None:
        transport = self.make_transport()
        self.fd = -1
        deferred = self.begin(SendfileProducer, transport, count=5)
        transport.turn()
        self.failureResultOf(deferred, OSError)
        self.assertTrue(transport.aborted)

    def test_error_of_the_socket_aborts_the_connection(self) -> None:
        transport = self.make_transport()
        deferred = self.begin(SendfileProducer, transport)
        transport.ours.close()
        self.pump(transport, deferred, read=False)
        self.failureResultOf(deferred, OSError)
        self.assertTrue(transport.aborted)

    def test_nobody_need_be_told_how_much_was_sent(self) -> None:
        transport = self.make_transport()
        sender = SendfileProducer(cast("StreamTransport", transport), self.fd, 0, 5, files=self.files, clock=self.clock)
        self.assertEqual(self.pump(transport, sender.start()), self.data[:5])

    def test_cancelling_aborts_the_connection(self) -> None:
        transport = self.make_transport()
        deferred = self.begin(SendfileProducer, transport)
        deferred.cancel()
        self.failureResultOf(deferred, CancelledError)
        self.assertTrue(transport.aborted)
        transport.turn()
        self.assertEqual(transport.received(), b"")

    def test_callback_that_aborts_is_obeyed(self) -> None:
        transport = self.make_transport(room=4096)
        deferred = self.begin(SendfileProducer, transport, sent=lambda _: deferred.cancel())
        self.pump(transport, deferred)
        self.failureResultOf(deferred, CancelledError)
        self.assertFalse(transport.writing)


class ColdFileTests(SendfileProducerTests):
    """The same, and more, with a file that has to come from the disk."""

    def setUp(self) -> None:
        super().setUp()
        os.fsync(self.fd)
        os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def hold_until_cold(self, transport: Plain) -> Deferred[None]:
        """A transfer that waits for a file thread."""
        self.files.hold()
        deferred = self.begin(SendfileProducer, transport)
        transport.turn()
        if self.sent:
            self.skipTest("this file system keeps what it was asked to drop")
        return deferred

    def test_reactor_does_not_wait_for_the_disk(self) -> None:
        transport = self.make_transport()
        deferred = self.hold_until_cold(transport)
        self.assertFalse(transport.writing)
        self.assertEqual(transport.received(), b"")
        self.files.release()
        self.assertTrue(transport.writing)
        self.assertEqual(self.pump(transport, deferred), self.data)

    def test_file_that_shrinks_while_the_disk_reads_aborts_the_connection(self) -> None:
        """A short body must never look whole."""
        transport = self.make_transport()
        deferred = self.hold_until_cold(transport)
        os.ftruncate(self.fd, 0)
        self.files.release()
        self.assertEqual(self.pump(transport, deferred), b"")
        self.failureResultOf(deferred, FileShrank)

    def test_connection_lost_while_the_disk_reads_leaves_nothing_open(self) -> None:
        before = len(list(Path("/proc/self/fd").iterdir()))
        transport = Plain()
        deferred = self.hold_until_cold(transport)
        producer = transport.producer
        assert producer is not None
        producer.stopProducing()
        self.failureResultOf(deferred, ConnectionLost)
        transport.close()
        self.files.release()
        self.assertFalse(transport.writing)
        self.assertEqual(len(list(Path("/proc/self/fd").iterdir())), before)

    def test_busy_file_threads_are_asked_again(self) -> None:
        self.files = ImmediateFiles(size=1, queue=0)
        transport = self.make_transport()
        self.files.hold()
        other = self.files.run(int, "1")
        deferred = self.begin(SendfileProducer, transport)
        transport.turn()
        if self.sent:
            self.skipTest("this file system keeps what it was asked to drop")
        self.assertFalse(transport.writing)
        self.files.release()
        self.successResultOf(other)
        self.clock.advance(0.1)
        self.assertEqual(self.pump(transport, deferred), self.data)


class CopyProducerTests(TransferTestCase):
    """``CopyProducer``."""

    def test_whole_file_is_written(self) -> None:
        transport = Wrapped()
        transport.write(b"head")
        deferred = self.begin(CopyProducer, transport)
        self.successResultOf(deferred)
        self.assertEqual(transport.value(), b"head" + self.data)
        self.assertEqual(sum(self.sent), len(self.data))
        self.assertIsNone(transport.producer)

    def test_part_is_written_and_nothing_else(self) -> None:
        transport = Wrapped()
        self.successResultOf(self.begin(CopyProducer, transport, offset=7, count=MIB))
        self.assertEqual(transport.value(), self.data[7 : MIB + 7])

    def test_nothing_to_send_is_done_at_once(self) -> None:
        transport = Wrapped()
        self.successResultOf(self.begin(CopyProducer, transport, count=0))
        self.assertIsNone(transport.producer)

    def test_paused_it_writes_one_piece_at_most(self) -> None:
        transport = Wrapped()
        self.files.hold()
        deferred = self.begin(CopyProducer, transport)
        producer = transport.producer
        assert producer is not None
        producer.pauseProducing()
        self.files.release()
        first = len(transport.value())
        self.assertLessEqual(first, 256 << 10)
        self.assertNoResult(deferred)
        producer.resumeProducing()
        self.successResultOf(deferred)
        self.assertEqual(transport.value(), self.data)

    def test_resumed_while_it_reads_it_reads_once(self) -> None:
        transport = Wrapped()
        self.files.hold()
        deferred = self.begin(CopyProducer, transport)
        producer = transport.producer
        assert producer is not None
        producer.pauseProducing()
        producer.resumeProducing()
        self.files.release()
        self.successResultOf(deferred)
        self.assertEqual(transport.value(), self.data)

    def test_file_that_shrinks_aborts_the_connection(self) -> None:
        """A short body must never look whole."""
        transport = Wrapped()
        self.failureResultOf(self.begin(CopyProducer, transport, count=len(self.data) + 1), FileShrank)
        self.assertTrue(transport.aborted)

    def test_lost_connection_ends_it(self) -> None:
        transport = Wrapped()
        before = len(list(Path("/proc/self/fd").iterdir()))
        self.files.hold()
        deferred = self.begin(CopyProducer, transport)
        producer = transport.producer
        assert producer is not None
        producer.stopProducing()
        self.failureResultOf(deferred, ConnectionLost)
        self.files.release()
        self.assertEqual(transport.value(), b"")
        self.assertEqual(len(list(Path("/proc/self/fd").iterdir())), before)

    def test_error_of_the_disk_aborts_the_connection(self) -> None:
        transport = Wrapped()
        nothing = os.open(self.mktemp(), os.O_WRONLY | os.O_CREAT)
        self.addCleanup(os.close, nothing)
        self.fd = nothing
        deferred = self.begin(CopyProducer, transport, count=5)
        self.failureResultOf(deferred, OSError)
        self.assertTrue(transport.aborted)

    def test_error_of_the_disk_after_the_end_is_nobodys(self) -> None:
        nothing = os.open(self.mktemp(), os.O_WRONLY | os.O_CREAT)
        self.addCleanup(os.close, nothing)
        self.fd = nothing
        self.files.hold()
        deferred = self.begin(CopyProducer, Wrapped(), count=5)
        deferred.cancel()
        self.files.release()
        self.failureResultOf(deferred, CancelledError)

    def test_want_of_descriptors_aborts_the_connection(self) -> None:
        transport = Wrapped()
        self.fd = -1
        deferred = self.begin(CopyProducer, transport, count=5)
        self.failureResultOf(deferred, OSError)
        self.assertTrue(transport.aborted)

    def test_busy_file_threads_are_asked_again(self) -> None:
        self.files = ImmediateFiles(size=1, queue=0)
        transport = Wrapped()
        self.files.hold()
        self.files.run(int, "1")
        self.failureResultOf(self.files.run(int, "2"), PoolFull)
        deferred = self.begin(CopyProducer, transport)
        self.assertNoResult(deferred)
        self.files.release()
        self.assertNoResult(deferred)
        self.clock.advance(0.1)
        self.successResultOf(deferred)
        self.assertEqual(transport.value(), self.data)

    def test_cancelling_aborts_the_connection(self) -> None:
        transport = Wrapped()
        self.files.hold()
        deferred = self.begin(CopyProducer, transport)
        deferred.cancel()
        self.failureResultOf(deferred, CancelledError)
        self.files.release()
        self.assertTrue(transport.aborted)
        self.assertEqual(transport.value(), b"")


def make_certificate() -> CertificateOptions:
    """A key and a certificate that it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    return CertificateOptions(privateKey=cast("Any", key), certificate=cast("Any", certificate))


class Source(Protocol):
    """Sends a file after a head to whoever connects, and a tail after it."""

    def __init__(self, test: LoopbackTests) -> None:
        self.test = test

    def connectionMade(self) -> None:
        transport = cast("Any", self.transport)
        self.test.assertEqual(can_sendfile(transport), not self.test.tls)
        transport.write(b"head")
        sender = make_sender(
            transport,
            self.test.fd,
            0,
            self.test.count,
            files=self.test.files,
            clock=reactor,
            sent=self.test.sent.append,
        )
        sender.start().addCallback(lambda _: (transport.write(b"tail"), transport.loseConnection())).addErrback(
            self.test.failures.append
        )


class Sink(Protocol):
    """Reads all there is; told to, it stops reading after the first bytes and goes away."""

    def __init__(self, *, leave: bool = False) -> None:
        self.leave = leave
        self.data = bytearray()
        self.done: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        if self.leave:
            cast("Any", self.transport).abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason
        self.done.callback(bytes(self.data))


class LoopbackTests(TestCase):
    """Twisted's own transports, file threads and the kernel's sockets."""

    timeout = 60

    def setUp(self) -> None:
        self.data = os.urandom(MIB) * 9
        self.count = len(self.data)
        path = Path(self.mktemp())
        path.write_bytes(self.data)
        self.fd = os.open(path, os.O_RDWR)
        self.addCleanup(os.close, self.fd)
        self.files = FilePool(reactor, size=2)
        self.files.start()
        self.addCleanup(self.files.stop)
        self.tls = False
        self.sent: list[int] = []
        self.failures: list[Failure] = []

    async def receive(self, sink: Sink, *, unix: bool = False) -> bytes:
        """What a client gets until the connection is gone."""
        factory = Factory.forProtocol(lambda: Source(self))
        client: Any
        if unix:
            name = f"\0{self.id()}.{os.getpid()}"
            port = reactor.listenUNIX(name, factory)
            client = UNIXClientEndpoint(reactor, name)
        elif self.tls:
            port = reactor.listenSSL(0, factory, make_certificate(), interface="127.0.0.1")
            client = SSL4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port, CertificateOptions())
        else:
            port = reactor.listenTCP(0, factory, interface="127.0.0.1")
            client = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        self.addCleanup(port.stopListening)
        await connectProtocol(client, sink)
        return await sink.done

    async def test_whole_file_arrives_between_head_and_tail(self) -> None:
        received = await self.receive(Sink())
        self.assertTrue(received == b"head" + self.data + b"tail")
        self.assertEqual(sum(self.sent), self.count)
        self.assertEqual(self.failures, [])

    async def test_cold_file_arrives_whole(self) -> None:
        os.fsync(self.fd)
        os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_DONTNEED)
        received = await self.receive(Sink())
        self.assertTrue(received == b"head" + self.data + b"tail")

    async def test_unix_socket_carries_it_too(self) -> None:
        received = await self.receive(Sink(), unix=True)
        self.assertTrue(received == b"head" + self.data + b"tail")

    async def test_tls_carries_it_too(self) -> None:
        self.tls = True
        received = await self.receive(Sink())
        self.assertTrue(received == b"head" + self.data + b"tail")
        self.assertEqual(sum(self.sent), self.count)

    async def test_peer_that_leaves_tls_ends_it(self) -> None:
        self.tls = True
        await self.receive(Sink(leave=True))
        while not self.failures:
            await deferLater(reactor, 0.01)
        self.assertIsNotNone(self.failures[0].check(ConnectionLost))

    async def test_missing_end_of_the_file_is_no_clean_end(self) -> None:
        """A short body must never look whole."""
        self.count += 1
        sink = Sink()
        received = await self.receive(sink)
        self.assertNotIn(b"tail", received[-10:])
        self.assertFalse(sink.reason.check(ConnectionDone))
        self.assertEqual(len(self.failures), 1)
        self.assertIsNotNone(self.failures[0].check(FileShrank))

    async def test_peer_that_leaves_ends_it(self) -> None:
        await self.receive(Sink(leave=True))
        while not self.failures:
            await deferLater(reactor, 0.01)
        self.assertIsNotNone(self.failures[0].check(ConnectionLost))


class MakeSenderTests(SynchronousTestCase):
    """Which way is taken."""

    def make(self, transport: object) -> Sender:
        """A sender for that transport; it is not started."""
        return make_sender(cast("StreamTransport", transport), -1, 0, 1, files=ImmediateFiles(), clock=Clock())

    def make_server(self) -> Server:
        """Twisted's own plain transport."""
        ours, peer = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(peer.close)
        return Server(ours, Protocol(), ("127.0.0.1", 1), cast("Any", None), 1, cast("Any", MemoryReactorClock()))

    def test_plain_transport_takes_sendfile(self) -> None:
        self.assertIsInstance(self.make(self.make_server()), SendfileProducer)

    def test_tls_and_wrappers_take_copies(self) -> None:
        upgraded = self.make_server()
        directlyProvides(upgraded, ISSLTransport)
        for transport in (upgraded, StringTransport()):
            self.assertFalse(can_sendfile(transport))
            self.assertIsInstance(self.make(transport), CopyProducer)
