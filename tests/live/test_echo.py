"""Echo by every transport."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import time
from typing import TYPE_CHECKING

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.live.clients import (
    CONFIG,
    TlsClient,
    connect,
    exchange,
    make_config,
    make_context,
    read_cpu,
    read_exactly,
    read_resident,
    read_to_end,
    wait_for_events,
)
from tests.live.harness import Daemon, make_directory, require, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.harness import DaemonProcess


def require_ipv6() -> None:
    """Skip the test on a machine without IPv6."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        raise SkipTest("this machine has no IPv6") from error


def require_root() -> None:
    """Skip the test for other users."""
    if os.geteuid() != 0:
        raise SkipTest("only root may use ports below 1024 and raw sockets")


def ask_udp(daemon: DaemonProcess, data: bytes, service: str = "echo", timeout: float = 10.0) -> bytes:
    """Send one datagram and read one."""
    found = daemon.find_listener(service, "udp")
    family = socket.AF_INET6 if ":" in found["address"] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        sock.connect((found["address"], found["port"]))
        sock.send(data)
        return sock.recv(65536)


class StreamTests(SynchronousTestCase):
    """RFC 862, TCP: any data received is sent back."""

    def test_netcat_gets_back_what_it_sent(self) -> None:
        """``printf hello | nc -N`` prints hello."""
        nc = require("nc")
        daemon = Daemon(self, CONFIG)
        ended = run(nc, "-N", "127.0.0.1", str(daemon.port("echo")), input=b"hello", timeout=10)
        self.assertEqual((ended.returncode, ended.stdout), (0, b"hello"))
        # Silence first is an answer of nothing.
        ended = run(nc, "-N", "127.0.0.1", str(daemon.port("echo")), timeout=10)
        self.assertEqual((ended.returncode, ended.stdout), (0, b""))
        every_byte = bytes(range(256)) * 4000
        self.assertEqual(run(nc, "-N", "127.0.0.1", str(daemon.port("echo")), input=every_byte).stdout, every_byte)
        # What is on its way is waited for, however many there are.
        for size in (0, 1, 65535, 65536, 65537):
            self.assertEqual(exchange(daemon, "echo", b"x" * size), b"x" * size)
        events = wait_for_events(daemon, "daemon.session.closed", 8)
        self.assertEqual(
            [(event["bytes_in"], event["bytes_out"]) for event in events[:3]], [(5, 5), (0, 0), (1024000,) * 2]
        )

    def test_tls_half_close_is_answered(self) -> None:
        """A close_notify ends one direction only: the rest of the echo still comes, then the daemon's own."""
        daemon = Daemon(self, CONFIG)
        sent = bytes(range(256)) * 800
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = make_context(daemon.authority)
            context.minimum_version = context.maximum_version = version
            with TlsClient(connect(daemon, "echo", "tls"), context) as client:
                client.send(sent)
                client.say_all()
                self.assertEqual(client.read_to_end(), sent, version)
            with TlsClient(connect(daemon, "echo", "tls"), context) as client:
                client.say_all()
                self.assertEqual(client.read_to_end(), b"", version)
        events = wait_for_events(daemon, "daemon.session.closed", 4)
        self.assertEqual([event["tls"] for event in events], ["TLSv1.2", "TLSv1.2", "TLSv1.3", "TLSv1.3"])
        self.assertEqual([(event["bytes_in"], event["bytes_out"]) for event in events], [(len(sent),) * 2, (0, 0)] * 2)
        self.assertNotIn("TLS failed", str(events))

    def test_ipv6_and_both_families_on_one_port(self) -> None:
        require_ipv6()
        text = """
[log]
to = ["file"]
[services.six]
kind = "echo"
listen = ["tcp:0:interface=[::1]", "udp:0:interface=[::1]", "tls:0:interface=[::1]"]
[services.both]
kind = "echo"
listen = ["tcp:0", "udp:0"]
"""
        daemon = Daemon(self, text)
        self.assertEqual(exchange(daemon, "six", b"hello"), b"hello")
        self.assertEqual(ask_udp(daemon, b"hello", "six"), b"hello")
        with TlsClient(connect(daemon, "six", "tls"), make_context(daemon.authority), "::1") as client:
            client.send(b"hello")
            self.assertEqual(client.read(), b"hello")
        ports = {(found["transport"], found["port"]) for found in daemon.listeners["both"]}
        self.assertEqual(len(daemon.listeners["both"]), 4)
        self.assertEqual(len(ports), 2)
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, daemon.port("both")), 10) as sock:
                sock.sendall(b"hello")
                self.assertEqual(read_exactly(sock, 5), b"hello")
        events = wait_for_events(daemon, "daemon.session.closed", 4)
        self.assertTrue(events[0]["peer"].startswith("[::1]:"), events[0])

    def test_unix_socket_has_its_mode(self) -> None:
        path = make_directory(self) / "echo"
        daemon = Daemon(self, f'[log]\nto = ["file"]\n[services.echo]\nlisten = ["unix:{path}:mode=640"]\n')
        self.assertEqual(path.stat().st_mode & 0o777, 0o640)
        self.assertEqual(exchange(daemon, "echo", b"hello" * 50000, "unix"), b"hello" * 50000)
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(path.exists())

    def test_peer_that_never_reads_is_bounded_and_ended(self) -> None:
        """R14: it holds no more than the stated buffer, and no longer than ``timeouts.write``."""
        daemon = Daemon(self, make_config('timeouts.write = "1s"', 'timeouts.idle = "5m"'))
        self.assertEqual(exchange(daemon, "echo", b"x" * 300000), b"x" * 300000)
        before = read_resident(daemon.pid)
        sent = 0
        with connect(daemon, "echo", timeout=0.4) as sock:
            block = b"x" * 2**20
            began = time.monotonic()
            try:
                while sent < 50 * 2**20:
                    sent += sock.send(block)
            except TimeoutError:
                pass
            self.assertLess(sent, 50 * 2**20)
            self.assertLess(read_resident(daemon.pid) - before, 8 * 2**20)
            # It is the stall that ends it: nothing has been lost yet.
            events = wait_for_events(daemon, "daemon.session.closed", 2, 4.0)
            took = time.monotonic() - began
        self.assertEqual([event["reason"] for event in events[1:]], ["the peer stopped reading"])
        self.assertLess(took, 3.5)
        self.assertGreater(took, 0.9)
        self.assertEqual(exchange(daemon, "echo", b"next"), b"next")

    def test_peer_that_never_reads_is_bounded_over_tls(self) -> None:
        """R14, the same over TLS, where two layers have buffers."""
        daemon = Daemon(self, make_config('timeouts.write = "1s"'))
        with TlsClient(connect(daemon, "echo", "tls"), make_context(daemon.authority)) as client:
            client.send(b"x" * 100000)
            before = read_resident(daemon.pid)
            client.sock.settimeout(0.4)
            sent = 0
            try:
                while sent < 50 * 2**20:
                    client.send(b"x" * 65536)
                    sent += 65536
            except TimeoutError:
                pass
            self.assertLess(sent, 50 * 2**20)
            self.assertLess(read_resident(daemon.pid) - before, 12 * 2**20)
            events = wait_for_events(daemon, "daemon.session.closed", 1, 4.0)
        self.assertEqual([event["reason"] for event in events], ["the peer stopped reading"])

    def test_slow_reader_within_the_timeout_loses_nothing(self) -> None:
        """A pause in reading shorter than ``timeouts.write`` costs the peer nothing."""
        daemon = Daemon(self, make_config('timeouts.write = "2s"'))
        data = os.urandom(2**20) * 6
        with connect(daemon, "echo") as sock:
            sock.setblocking(False)
            at = 0
            received = bytearray()
            end = time.monotonic() + 15
            # Only every other turn reads, and little: both directions back up.
            while len(received) < len(data) and time.monotonic() < end:
                try:
                    if at < len(data):
                        at += sock.send(data[at : at + 2**18])
                        if at == len(data):
                            sock.shutdown(socket.SHUT_WR)
                        continue
                except BlockingIOError:
                    pass
                try:
                    received += sock.recv(2**16)
                except BlockingIOError:
                    continue
        self.assertEqual(bytes(received), data)

    def test_idle_session_is_closed(self) -> None:
        """R14."""
        daemon = Daemon(self, make_config('timeouts.idle = "300ms"'))
        with connect(daemon, "echo") as sock:
            sock.sendall(b"hello")
            self.assertEqual(read_to_end(sock), b"hello")
        with TlsClient(connect(daemon, "echo", "tls"), make_context(daemon.authority)) as client:
            self.assertEqual(client.read_to_end(), b"")
        events = wait_for_events(daemon, "daemon.session.closed", 2)
        self.assertEqual([event["reason"] for event in events], ["idle timeout"] * 2)

    def test_whole_session_has_an_end(self) -> None:
        """R14: however busy it is."""
        daemon = Daemon(self, make_config('timeouts.session = "500ms"'))
        with connect(daemon, "echo") as plain, TlsClient(connect(daemon, "echo", "tls"), make_context(None)) as client:
            began = time.monotonic()
            received = b"?"
            while received and time.monotonic() - began < 5:
                plain.sendall(b"x")
                received = plain.recv(10)
                if received:
                    client.send(b"x")
                    client.read()
            took = time.monotonic() - began
        self.assertGreater(took, 0.4)
        self.assertLess(took, 2.0)
        events = wait_for_events(daemon, "daemon.session.closed", 2)
        self.assertEqual([event["reason"] for event in events], ["session timeout"] * 2)

    def test_reset_connections_leave_nothing(self) -> None:
        """A peer that resets in the middle ends its own session only; its descriptor is given back."""
        daemon = Daemon(self, CONFIG)
        for _ in range(20):
            with connect(daemon, "echo") as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.sendall(b"x" * 10000)
        events = wait_for_events(daemon, "daemon.session.closed", 20)
        self.assertEqual(len(events), 20)
        self.assertLessEqual({event["reason"] for event in events}, {"connection lost", "closed by the peer"})
        self.assertEqual(exchange(daemon, "echo", b"hello"), b"hello")


class DatagramTests(SynchronousTestCase):
    """RFC 862, UDP: the data of a datagram is sent back in another."""

    def test_datagrams_come_back_whatever_their_size(self) -> None:
        daemon = Daemon(self, CONFIG)
        for size in (1, 512, 1472, 9000, 65507):
            data = os.urandom(size)
            self.assertEqual(ask_udp(daemon, data), data)
        # An empty datagram has an empty answer.
        self.assertEqual(ask_udp(daemon, b""), b"")

    def test_source_ports_below_1024_get_no_answer(self) -> None:
        """Where another server may listen, two echoes would talk for ever."""
        require_root()
        daemon = Daemon(self, CONFIG)
        address = ("127.0.0.1", daemon.port("echo", "udp"))
        for port in find_low_ports():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as low:
                try:
                    low.bind(("127.0.0.1", port))
                except OSError:
                    continue
                low.sendto(b"from below", address)
                # One socket answers in order: what this one gets comes after what the other would have got.
                self.assertEqual(ask_udp(daemon, b"from above"), b"from above")
                low.setblocking(False)
                self.assertRaises(BlockingIOError, low.recv, 100)
                return
        raise SkipTest("no port below 1024 is free")

    def test_own_sockets_never_talk_to_each_other(self) -> None:
        """A datagram with the address of one of our sockets as its source starts no endless exchange."""
        require_root()
        text = '[log]\nto = ["file"]\n' + "".join(
            f'[services.{name}]\nkind = "echo"\nlimits.rate = "1000000/s"\nlisten = ["udp:0:interface=127.0.0.1"]\n'
            for name in ("one", "two")
        )
        daemon = Daemon(self, text)
        one, two = daemon.port("one", "udp"), daemon.port("two", "udp")
        with (
            socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as watching,
            socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as forging,
        ):
            watching.setblocking(False)
            for source, target in ((two, one), (one, two), (one, one)):
                data = b"echo, echo"
                # RFC 791 3.1 and RFC 768; a checksum of zero is none.
                head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(data), 1, 0, 64, 17, 0, *[b"\x7f\0\0\1"] * 2)
                forging.sendto(head + struct.pack("!HHHH", source, target, 8 + len(data), 0) + data, ("127.0.0.1", 0))
            # Both have read what came before.
            self.assertEqual(ask_udp(daemon, b"hello", "one"), b"hello")
            self.assertEqual(ask_udp(daemon, b"hello", "two"), b"hello")
            seen = list(read_datagrams(watching))
        between = [ports for ports in seen if set(ports) <= {one, two}]
        self.assertEqual(between, [(two, one), (one, two), (one, one)])
        before = read_cpu(daemon.pid)
        self.assertEqual(ask_udp(daemon, b"hello", "one"), b"hello")
        self.assertLess(read_cpu(daemon.pid) - before, 0.1)


def find_low_ports() -> Iterator[int]:
    """Ports that only root may use, the least used first."""
    return iter(range(1023, 600, -1))


def read_datagrams(sock: socket.socket) -> Iterator[tuple[int, int]]:
    """Source and target port of each UDP datagram that came to a raw socket so far."""
    while True:
        try:
            packet = sock.recv(65536)
        except BlockingIOError:
            return
        start = (packet[0] & 15) * 4
        yield struct.unpack("!HH", packet[start : start + 4])
