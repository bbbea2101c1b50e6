"""Who is let in, over real connections: every address of 127.0.0.0/8 is a peer of its own."""

from __future__ import annotations

import socket
import struct
from contextlib import ExitStack
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from tests.live.clients import (
    PATIENCE,
    TlsClient,
    connect,
    exchange,
    is_turned_away,
    make_config,
    make_context,
    parse_response,
    read_events,
    read_exactly,
    read_to_end,
    wait_for_events,
    wait_until,
)
from tests.live.harness import Daemon, make_directory

if TYPE_CHECKING:
    from tests.live.harness import DaemonProcess

REFUSED = "daemon.peer.refused"
CLOSED = "daemon.session.closed"
PROXY_REFUSED = "daemon.proxy.refused"
V2 = b"\r\n\r\n\0\r\nQUIT\n"


def open_from(daemon: DaemonProcess, host: str, service: str = "echo", transport: str = "tcp") -> socket.socket:
    """A connection from ``host``, which is admitted or not; the caller closes it."""
    return socket.create_connection(("127.0.0.1", daemon.port(service, transport)), PATIENCE, (host, 0))


def hold(stack: ExitStack, daemon: DaemonProcess, host: str = "127.0.0.1", service: str = "echo") -> socket.socket:
    """An echo session that is known to be open."""
    sock = stack.enter_context(open_from(daemon, host, service))
    sock.sendall(b"x")
    if read_exactly(sock, 1) != b"x":
        raise AssertionError(f"{host} was not admitted")
    return sock


class AccessTests(SynchronousTestCase):
    """R10."""

    def test_longest_prefix_decides_and_deny_on_a_tie(self) -> None:
        """R10: and a peer that is not let in is told nothing."""
        directory = make_directory(self)
        (directory / "www").mkdir()
        lists = 'deny = ["127.0.0.0/24", "127.0.0.7/32"]\nallow = ["127.0.0.0/8", "127.0.0.4/30", "127.0.0.7/32"]\n'
        daemon = Daemon(self, make_config(lists, root=directory / "www") + lists, directory=directory)
        admitted = {
            host: not is_turned_away(daemon, "echo", host=host)
            for host in ("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.6", "127.0.0.7", "127.0.0.8", "127.0.1.2")
        }
        self.assertEqual([host for host, is_in in admitted.items() if is_in], ["127.0.0.4", "127.0.0.6", "127.0.1.2"])
        self.assertTrue(is_turned_away(daemon, "web", host="127.0.0.2", data=b"GET / HTTP/1.0\r\n\r\n"))
        self.assertFalse(is_turned_away(daemon, "web", host="127.0.0.4", data=b"GET / HTTP/1.0\r\n\r\n"))
        self.assertTrue(is_turned_away(daemon, "echo", "tls", host="127.0.0.2"))
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as denied,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as allowed,
        ):
            for sock, host in ((denied, "127.0.0.2"), (allowed, "127.0.0.4")):
                sock.settimeout(PATIENCE)
                sock.bind((host, 0))
                sock.sendto(b"hello", ("127.0.0.1", daemon.port("echo", "udp")))
            self.assertEqual(allowed.recv(100), b"hello")
            denied.setblocking(False)
            self.assertRaises(BlockingIOError, denied.recv, 100)
        # A refused peer costs no session.
        events = wait_for_events(daemon, CLOSED, 4)
        self.assertEqual(sorted(event["peer"].partition(":")[0] for event in events),
                         ["127.0.0.4", "127.0.0.4", "127.0.0.6", "127.0.1.2"])  # fmt: skip

    def test_refusals_are_logged_once_with_count_rule_and_place(self) -> None:
        """R12."""
        text = make_config("limits.per_peer = 1", 'deny = ["127.0.0.9"]')
        daemon = Daemon(self, text)
        for _ in range(6):
            self.assertTrue(is_turned_away(daemon, "echo", host="127.0.0.9"))
        with ExitStack() as stack:
            hold(stack, daemon, "127.0.0.8")
            for _ in range(3):
                self.assertTrue(is_turned_away(daemon, "echo", host="127.0.0.8"))
        self.assertEqual(len(wait_for_events(daemon, REFUSED, 2)), 2)
        self.assertEqual(daemon.stop(), 0)
        events = read_events(daemon, REFUSED)
        self.assertEqual({event["level"] for event in events}, {"warn"})
        self.assertEqual({event["service"] for event in events}, {"echo"})
        counts = {
            host: [event["count"] for event in events if event["peer"] == host] for host in ("127.0.0.9", "127.0.0.8")
        }
        # The first at once, the others of its minute together, here when the daemon ends.
        self.assertEqual(counts, {"127.0.0.9": [1, 5], "127.0.0.8": [1, 2]})
        lines = text.splitlines()
        for event in events:
            option = 'deny = ["127.0.0.9"]' if event["peer"] == "127.0.0.9" else "limits.per_peer = 1"
            self.assertIn(f"{daemon.config}:{lines.index(option) + 1}", event["rule"])
            self.assertIn("127.0.0.9" if option.startswith("deny") else "limits.per_peer = 1", event["rule"])


class LimitTests(SynchronousTestCase):
    """R11: exactly at the boundary, and given back."""

    def test_sessions_and_per_peer(self) -> None:
        """R11."""
        daemon = Daemon(self, make_config("limits = { sessions = 5, per_peer = 2 }"))
        with ExitStack() as stack:
            first = hold(stack, daemon, "127.0.0.2")
            second = hold(stack, daemon, "127.0.0.2")
            self.assertTrue(is_turned_away(daemon, "echo", host="127.0.0.2"))
            hold(stack, daemon, "127.0.0.3")
            # A place is given back by a clean end and by a reset alike.
            first.shutdown(socket.SHUT_WR)
            self.assertEqual(read_to_end(first), b"")
            wait_for_events(daemon, CLOSED, 1)
            hold(stack, daemon, "127.0.0.2")
            self.assertTrue(is_turned_away(daemon, "echo", host="127.0.0.2"))
            second.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            second.close()
            wait_for_events(daemon, CLOSED, 2)
            hold(stack, daemon, "127.0.0.2")
            # All listeners of a section count together; the fifth is the last, whoever it is.
            hold(stack, daemon, "127.0.0.4")
            stack.enter_context(
                TlsClient(open_from(daemon, "127.0.0.5", "echo", "tls"), make_context(daemon.authority))
            )
            self.assertTrue(is_turned_away(daemon, "echo", host="127.0.0.6"))
            self.assertTrue(is_turned_away(daemon, "echo", "tls", host="127.0.0.6"))
        wait_for_events(daemon, CLOSED, 7)
        self.assertEqual(exchange(daemon, "echo", b"room again"), b"room again")
        self.assertEqual({event["count"] for event in read_events(daemon, REFUSED)}, {1})

    def test_rate_and_total_rate(self) -> None:
        """R11."""
        text = make_config('limits.rate = "3/1h"')
        text += '[services.other]\nkind = "echo"\nlisten = ["tcp:0:interface=127.0.0.1"]\n'
        text += 'limits = { total_rate = "4/1h", pause = "500ms" }\n'
        daemon = Daemon(self, text)
        for host in ("127.0.0.2", "127.0.0.3"):
            admitted = [not is_turned_away(daemon, "echo", host=host) for _ in range(5)]
            self.assertEqual(admitted, [True, True, True, False, False], host)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(PATIENCE)
            sock.bind(("127.0.0.2", 0))
            for number in range(5):
                sock.sendto(b"%d" % number, ("127.0.0.1", daemon.port("echo", "udp")))
            # Datagrams have a count of their own.
            self.assertEqual([sock.recv(100) for _ in range(3)], [b"0", b"1", b"2"])
            sock.settimeout(0.2)
            self.assertRaises(TimeoutError, sock.recv, 100)
        admitted = [not is_turned_away(daemon, "other", host=f"127.0.0.{n}") for n in range(10, 16)]
        self.assertEqual(admitted, [True] * 4 + [False] * 2)
        paused = wait_for_events(daemon, "daemon.service.paused", 1)
        self.assertEqual((len(paused), paused[0]["service"]), (1, "other"))
        self.assertIn("total_rate", paused[0]["rule"])
        self.assertEqual(exchange(daemon, "echo", b"hello"), b"hello")

    def test_rate_recovers_with_time(self) -> None:
        """R11."""
        daemon = Daemon(self, make_config('limits.rate = "2/500ms"'))
        self.assertEqual([is_turned_away(daemon, "echo") for _ in range(3)], [False, False, True])
        self.assertTrue(wait_until(lambda: not is_turned_away(daemon, "echo"), 3.0))

    def test_web_says_503_on_a_plain_listener_and_nothing_under_tls(self) -> None:
        """R12, R9."""
        directory = make_directory(self)
        (directory / "www").mkdir()
        daemon = Daemon(self, make_config(root=directory / "www") + "limits.sessions = 1\n", directory=directory)
        with connect(daemon, "web") as held:
            held.sendall(b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertTrue(held.recv(65536).startswith(b"HTTP/1.1 404 "))
            for request in (b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /" + b"x" * 50000):
                with connect(daemon, "web") as sock:
                    try:
                        sock.sendall(request)
                        octets = read_to_end(sock)
                    except (BrokenPipeError, ConnectionResetError):
                        self.fail(f"the answer was lost to a reset, {len(request)} bytes sent")
                response, rest = parse_response(octets)
                self.assertEqual((response.status, rest), (503, b""))
                self.assertIn("retry-after", response.fields)
                self.assertEqual(response.fields["connection"], "close")
            # A refused peer costs no handshake: not even an alert comes back.
            self.assertTrue(is_turned_away(daemon, "web", "tls"))
            self.assertTrue(is_turned_away(daemon, "web", "tls", data=b"GET / HTTP/1.0\r\n\r\n"))
        self.assertEqual(len(wait_for_events(daemon, CLOSED, 1)), 1)


class ProxyTests(SynchronousTestCase):
    """R9, R15: the header of a listed proxy."""

    def start(self, *lines: str) -> Daemon:
        """127.0.0.2 is a proxy."""
        return Daemon(self, make_config('proxies = ["127.0.0.2/31"]', *lines))

    def ask(
        self, daemon: DaemonProcess, header: bytes, host: str = "127.0.0.2", *, byte_by_byte: bool = False
    ) -> bytes:
        """The header and a word, together or each byte alone; what comes back."""
        with open_from(daemon, host) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                for piece in [bytes([byte]) for byte in header] if byte_by_byte else [header]:
                    sock.sendall(piece)
                sock.sendall(b"hello")
                sock.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                return b""
            except OSError as error:
                # Linux's word for a connection that has been reset in the meantime.
                self.assertEqual(error.strerror, "Transport endpoint is not connected")
                return b""
            return read_to_end(sock)

    def test_true_peer_is_the_one_of_the_header(self) -> None:
        """R9, R15."""
        daemon = self.start()
        four = socket.inet_aton("192.0.2.8") + socket.inet_aton("192.0.2.1") + struct.pack("!HH", 4000, 7)
        six = socket.inet_pton(socket.AF_INET6, "2001:db8::9") + socket.inet_pton(socket.AF_INET6, "::1")
        six += struct.pack("!HH", 4000, 7)
        headers = {
            b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 7\r\n": "192.0.2.7:4000",
            b"PROXY TCP6 2001:db8::7 ::1 4000 7\r\n": "[2001:db8::7]:4000",
            V2 + struct.pack("!BBH", 0x21, 0x11, len(four)) + four: "192.0.2.8:4000",
            V2 + struct.pack("!BBH", 0x21, 0x21, len(six)) + six: "[2001:db8::9]:4000",
            # A TLV behind the addresses is skipped.
            V2 + struct.pack("!BBH", 0x21, 0x11, len(four) + 8) + four + b"\x04\x00\x05extra": "192.0.2.8:4000",
        }
        for header in headers:
            for byte_by_byte in (False, True):
                self.assertEqual(self.ask(daemon, header, byte_by_byte=byte_by_byte), b"hello", header)
        # What the proxy says for itself, and of a peer that it does not know.
        for header in (V2 + struct.pack("!BBH", 0x20, 0, 0), b"PROXY UNKNOWN\r\n"):
            self.assertEqual(self.ask(daemon, header), b"hello", header)
        with open_from(daemon, "127.0.0.2", "echo", "tls") as sock:
            sock.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 7\r\n")
            client = TlsClient(sock, make_context(daemon.authority))
            client.send(b"hello")
            self.assertEqual(client.read(), b"hello")
            client.say_all()
            client.read_to_end()
        events = wait_for_events(daemon, CLOSED, 13)
        wanted = [peer for peer in headers.values() for _ in (False, True)]
        self.assertEqual([event["peer"] for event in events[:10]], wanted)
        self.assertEqual({event["peer"].partition(":")[0] for event in events[10:12]}, {"127.0.0.2"})
        self.assertEqual((events[12]["peer"], events[12]["tls"]), ("192.0.2.7:4000", "TLSv1.3"))
        self.assertEqual({event["bytes_in"] for event in events}, {5})

    def test_header_of_anybody_else_is_data(self) -> None:
        """R15."""
        daemon = self.start()
        header = b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 7\r\n"
        self.assertEqual(self.ask(daemon, header, "127.0.0.4"), header + b"hello")
        self.assertTrue(wait_for_events(daemon, CLOSED, 1)[0]["peer"].startswith("127.0.0.4:"))

    def test_bad_or_missing_header_closes(self) -> None:
        """R15: no session is made, and the log says so in one line, escaped."""
        daemon = self.start('timeouts.handshake = "500ms"')
        bad = [
            b"GET / HTTP/1.1\r\n", b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 70000\r\n", b"PROXY TCP4 \x1b[2J\x9b evil\r\n",
            b"PROXY " + b"x" * 200, V2[:-1] + b"X" + b"\0" * 20,
            V2 + struct.pack("!BBH", 0x21, 0x11, 65535) + b"\0" * 2000,
            V2 + struct.pack("!BBH", 0x31, 0x11, 12) + b"\0" * 12, V2 + struct.pack("!BBH", 0x21, 0x11, 4) + b"\0" * 4,
        ]  # fmt: skip
        for header in bad:
            self.assertEqual(self.ask(daemon, header), b"", header)
        # One that says nothing is closed when the time for a handshake is over, by bytes now and then as well.
        with open_from(daemon, "127.0.0.2") as sock:
            self.assertEqual(read_to_end(sock), b"")
        events = wait_for_events(daemon, PROXY_REFUSED, len(bad) + 1)
        self.assertEqual(len(events), len(bad) + 1)
        self.assertIn("no PROXY header in time", events[-1]["reason"])
        log = (daemon.state / "netservices.log").read_bytes()
        self.assertNotIn(b"\x1b", log)
        self.assertNotIn(b"\x9b", log.decode().encode("latin-1", "ignore"))
        self.assertEqual(read_events(daemon, CLOSED), [])

    def test_admission_is_by_the_true_peer(self) -> None:
        """R9: lists and limits look at who is behind the proxy."""
        daemon = self.start('deny = ["192.0.2.0/24"]', 'allow = ["0.0.0.0/0", "192.0.2.7"]', "limits.per_peer = 1")
        header = "PROXY TCP4 {} 192.0.2.1 4000 7\r\n"
        self.assertEqual(self.ask(daemon, header.format("192.0.2.6").encode()), b"")
        self.assertEqual(self.ask(daemon, header.format("192.0.2.7").encode()), b"hello")
        wait_for_events(daemon, CLOSED, 1)
        with ExitStack() as stack:
            for peer in ("198.51.100.1", "198.51.100.2"):
                sock = stack.enter_context(open_from(daemon, "127.0.0.2"))
                sock.sendall(header.format(peer).encode() + b"x")
                self.assertEqual(read_exactly(sock, 1), b"x")
            self.assertEqual(self.ask(daemon, header.format("198.51.100.1").encode()), b"")
            # IPv4 in IPv6 is the same peer.
            mapped = "PROXY TCP6 ::ffff:198.51.100.1 ::1 4000 7\r\n"
            self.assertEqual(self.ask(daemon, mapped.encode()), b"")
        peers = {event["peer"] for event in wait_for_events(daemon, REFUSED, 2)}
        self.assertEqual(peers, {"192.0.2.6", "198.51.100.1"})

    def test_ipv6_peers_are_counted_by_their_network(self) -> None:
        """R10: whoever has a /64 has all its addresses."""
        daemon = self.start("limits.per_peer = 1")
        header = "PROXY TCP6 {} ::1 4000 7\r\n"
        with ExitStack() as stack:
            for peer in ("2001:db8:0:1::1", "2001:db8:0:2::1"):
                sock = stack.enter_context(open_from(daemon, "127.0.0.2"))
                sock.sendall(header.format(peer).encode() + b"x")
                self.assertEqual(read_exactly(sock, 1), b"x")
            self.assertEqual(self.ask(daemon, header.format("2001:db8:0:1:ffff::2").encode()), b"")
            self.assertEqual(self.ask(daemon, header.format("2001:db8:0:3::2").encode()), b"hello")
