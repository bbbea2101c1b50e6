"""Links over datagram sockets."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import succeed
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.logs.connect import connect_journal, connect_local, connect_udp
from netservices.runtime.logs.courier import FLUSH_SECONDS, Courier, Written
from netservices.runtime.logs.datagrams import DatagramLink, JournalLink
from tests.runtime.logs.fakes import FakeReactor, FakeWatcher, as_reactor

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver

    from netservices.runtime.logs.courier import Link


class Receiver:
    """A datagram socket that a test reads."""

    def __init__(self, family: socket.AddressFamily, address: str | tuple[str, int]) -> None:
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(10)

    def read(self, count: int) -> list[bytes]:
        """So many datagrams."""
        return [self.socket.recv(1 << 20) for _ in range(count)]


class DatagramCase(SynchronousTestCase):
    """What the tests below share."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.watcher = FakeWatcher()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        # trial's own folders have paths too long for a socket.
        self.path = str(Path(folder.name) / "log")

    def receive(self, path: str | None = None) -> Receiver:
        """Somebody who reads the local socket."""
        receiver = Receiver(socket.AF_UNIX, path or self.path)
        self.addCleanup(receiver.socket.close)
        return receiver

    def make_courier(self, connect: Callable[[Courier], Deferred[Link]], limit: int = 100_000) -> Courier:
        """Started, and stopped at the end."""
        courier = Courier(self.reactor, connect, limit=limit, watcher=self.watcher)
        courier.start(now=True)
        self.addCleanup(self.reactor.advance, FLUSH_SECONDS)
        self.addCleanup(courier.stop)
        return courier

    def make_local(self, limit: int = 100_000) -> Courier:
        """One for the local socket."""
        return self.make_courier(lambda courier: connect_local(as_reactor(self.reactor), self.path, courier), limit)

    def write_all(self) -> None:
        """The reactor finds every writer able to write."""
        for writer in list(self.reactor.writers):
            writer.doWrite()


class LocalTests(DatagramCase):
    """The local socket."""

    def test_a_line_is_a_datagram(self) -> None:
        """R30."""
        receiver = self.receive()
        courier = self.make_local()
        courier.put(b"1")
        courier.put(b"2")
        self.assertEqual(receiver.read(2), [b"1", b"2"])

    def test_a_full_socket_blocks_nobody_and_everything_arrives_in_order(self) -> None:
        """R32."""
        receiver = self.receive()
        courier = self.make_local()
        lines = [b"%d" % number for number in range(3000)]
        for line in lines:
            courier.put(line)
        self.assertEqual(len(self.reactor.writers), 1)
        got: list[bytes] = []
        receiver.socket.setblocking(False)
        while len(got) < len(lines):
            try:
                got.append(receiver.socket.recv(100))
            except BlockingIOError:
                self.write_all()
                self.reactor.advance(0)
        self.assertEqual(got, lines)
        self.assertEqual(self.watcher.happened, [])

    def test_a_full_queue_is_counted(self) -> None:
        """R32."""
        receiver = self.receive()
        courier = self.make_local(limit=5)
        for number in range(3000):
            courier.put(b"%d" % number)
        receiver.socket.setblocking(False)
        got: list[bytes] = []
        for _ in range(100_000):
            try:
                got.append(receiver.socket.recv(100))
            except BlockingIOError:
                if not self.reactor.writers:
                    break
                self.write_all()
        kept = got[:-1]
        self.assertEqual(kept, [b"%d" % number for number in range(len(kept))])
        self.assertEqual(got[-1], b"dropped %d\n" % (3000 - len(kept)))

    def test_a_daemon_that_restarts_is_found_again(self) -> None:
        """R32."""
        first = self.receive()
        courier = self.make_local()
        courier.put(b"1")
        self.assertEqual(first.read(1), [b"1"])
        first.socket.close()
        courier.put(b"2")
        self.assertEqual(self.watcher.happened, ["failed: Connection refused"])
        Path(self.path).unlink()
        self.reactor.advance(0.25)
        second = self.receive()
        self.reactor.advance(0.5)
        self.assertEqual(second.read(1), [b"2"])

    def test_no_socket_at_all_is_waited_for(self) -> None:
        """R32."""
        courier = self.make_local()
        courier.put(b"1")
        self.assertEqual(self.watcher.happened, ["failed: No such file or directory"])
        receiver = self.receive()
        self.reactor.advance(0.25)
        self.assertEqual(receiver.read(1), [b"1"])

    def test_a_line_too_large_for_the_socket_is_counted(self) -> None:
        """R32."""
        receiver = self.receive()
        courier = self.make_local()
        courier.put(b"x" * 10_000_000)
        self.assertEqual(receiver.read(1), [b"dropped 1\n"])

    def test_an_error_the_reactor_finds_is_a_loss(self) -> None:
        """R32."""
        receiver = self.receive()
        courier = self.make_local()
        for _ in range(3000):
            courier.put(b"x")
        for writer in list(self.reactor.writers):
            self.assertGreater(writer.fileno(), -1)
            self.assertEqual(writer.logPrefix(), "log")
            writer.connectionLost(Failure(ConnectionResetError("reset")))
        self.assertEqual(self.watcher.happened, ["failed: reset"])
        self.assertEqual(self.reactor.writers, set())
        receiver.read(1)


class ShortOfBuffersTests(DatagramCase):
    """ENOBUFS."""

    def test_it_is_tried_again_soon(self) -> None:
        """R32."""

        class Short(DatagramLink):
            """Has no buffers the first time."""

            tries = 0

            def _transmit(self, line: bytes) -> None:
                self.tries += 1
                if self.tries == 1:
                    raise OSError(errno.ENOBUFS, "no buffers")
                super()._transmit(line)

        receiver = self.receive()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.connect(self.path)
        links: list[Short] = []

        def connect(courier: Courier) -> Deferred[Link]:
            links.append(Short(as_reactor(self.reactor), sock, courier))
            return succeed(links[0])

        courier = self.make_courier(connect)
        courier.put(b"1")
        self.reactor.advance(0.05)
        self.assertEqual(receiver.read(1), [b"1"])
        links[0].tries = 0
        courier.put(b"2")
        links[0].abort()
        self.reactor.advance(0.05)
        links[0].abort()


class JournalLinkTests(DatagramCase):
    """The journal's socket."""

    def test_an_entry_is_a_datagram_and_a_large_one_a_sealed_file(self) -> None:
        """R34."""
        receiver = self.receive()
        courier = self.make_courier(lambda courier: connect_journal(as_reactor(self.reactor), self.path, courier))
        courier.put(b"MESSAGE=1\n")
        courier.put(b"MESSAGE=" + b"x" * 5_000_000 + b"\n")
        self.assertEqual(receiver.read(1), [b"MESSAGE=1\n"])
        data, descriptors, _flags, _address = socket.recv_fds(receiver.socket, 100, 2)
        self.assertEqual((data, len(descriptors)), (b"", 1))
        self.addCleanup(os.close, descriptors[0])
        self.assertEqual(os.fstat(descriptors[0]).st_size, 5_000_009)
        self.assertEqual(os.pread(descriptors[0], 10, 0), b"MESSAGE=xx")
        seals = fcntl.fcntl(descriptors[0], fcntl.F_GET_SEALS)
        for seal in (fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW, fcntl.F_SEAL_WRITE, fcntl.F_SEAL_SEAL):
            self.assertTrue(seals & seal)

    def test_a_journal_that_is_gone_is_waited_for(self) -> None:
        """R32."""
        courier = self.make_courier(lambda courier: connect_journal(as_reactor(self.reactor), self.path, courier))
        self.assertEqual(self.watcher.happened, ["failed: No such file or directory"])
        receiver = self.receive()
        courier.retry()
        receiver.socket.close()
        courier.put(b"MESSAGE=1\n")
        self.assertTrue(courier.away)

    def test_any_other_error_is_the_couriers(self) -> None:
        receiver = self.receive()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.connect(self.path)
        courier = self.make_local()
        link = JournalLink(as_reactor(self.reactor), sock, courier)
        self.assertIs(link.write(b"A=b\n"), Written.TAKEN)
        receiver.socket.close()
        self.assertRaises(ConnectionRefusedError, link.write, b"A=b\n")
        link.abort()


class FakeResolver:
    """Knows some names; keeps who asks for others."""

    def __init__(self, **names: list[IAddress]) -> None:
        self.names = names
        self.waiting: list[IResolutionReceiver] = []

    def resolveHostName(self, receiver: IResolutionReceiver, host: str, port: int = 0, **_options: object) -> None:
        """As Twisted's."""
        del port
        if host not in self.names:
            self.waiting.append(receiver)
            return
        receiver.resolutionBegan(cast("IHostResolution", None))
        for address in self.names[host]:
            receiver.addressResolved(address)
        receiver.resolutionComplete()


class UdpTests(DatagramCase):
    """UDP."""

    def setUp(self) -> None:
        super().setUp()
        self.receiver = Receiver(socket.AF_INET, ("127.0.0.1", 0))
        self.addCleanup(self.receiver.socket.close)
        self.port: int = self.receiver.socket.getsockname()[1]

    def make_udp(self, host: str) -> Courier:
        """One for UDP."""
        return self.make_courier(lambda courier: connect_udp(as_reactor(self.reactor), host, self.port, courier))

    def resolve_with(self, **names: list[IAddress]) -> FakeResolver:
        """What names mean."""
        resolver = FakeResolver(**names)
        self.reactor.nameResolver = resolver  # type: ignore[attr-defined] # an attribute of the stand-in
        return resolver

    def test_a_line_is_a_datagram(self) -> None:
        """R30."""
        self.make_udp("127.0.0.1").put(b"1")
        self.assertEqual(self.receiver.read(1), [b"1"])

    def test_ipv6(self) -> None:
        """R30."""
        receiver = Receiver(socket.AF_INET6, ("::1", 0))
        self.addCleanup(receiver.socket.close)
        self.port = receiver.socket.getsockname()[1]
        self.make_udp("::1").put(b"1")
        self.assertEqual(receiver.read(1), [b"1"])

    def test_a_name_is_looked_up_and_the_first_address_that_works_is_used(self) -> None:
        """R30."""
        self.resolve_with(logs=[
            UNIXAddress(b"/x"), IPv4Address("UDP", "255.255.255.255", 1), IPv4Address("UDP", "127.0.0.1", 1),
        ])  # fmt: skip
        self.make_udp("logs").put(b"1")
        self.assertEqual(self.receiver.read(1), [b"1"])

    def test_a_name_without_an_address_is_an_outage(self) -> None:
        """R32."""
        self.resolve_with(logs=[])
        self.make_udp("logs")
        self.assertEqual(self.watcher.happened, ["failed: logs has no address"])

    def test_a_name_that_is_never_answered_is_an_outage_and_a_late_answer_nothing(self) -> None:
        """R32."""
        resolver = self.resolve_with()
        self.make_udp("logs")
        self.reactor.advance(15)
        self.assertEqual(self.watcher.happened, ["failed: no answer"])
        resolver.waiting[0].resolutionComplete()

    def test_a_collector_that_is_gone_costs_one_line_an_attempt(self) -> None:
        """R32."""
        self.receiver.socket.close()
        courier = self.make_udp("127.0.0.1")
        for number in range(5):
            courier.put(b"%d" % number)
        self.assertEqual(self.watcher.happened, ["failed: Connection refused"])
        self.receiver = Receiver(socket.AF_INET, ("127.0.0.1", self.port))
        self.addCleanup(self.receiver.socket.close)
        self.reactor.advance(0.25)
        self.assertEqual(self.receiver.read(4), [b"1", b"2", b"3", b"4"])
