"""What a small server must not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import defer, reactor
from twisted.internet.address import IPv4Address as StockIPv4Address
from twisted.internet.interfaces import IReactorUDP
from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import SynchronousTestCase, TestCase

from netservices.runtime.addresses import Address, make_address
from netservices.runtime.admission.datagrams import GuardedDatagrams, may_answer

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    from twisted.internet.interfaces import IUDPTransport
    from twisted.internet.udp import Port

LOCAL = Address("0.0.0.0", 7)
LOCAL6 = Address("::", 7)
PEER = Address("192.0.2.1", 40000)


class MayAnswerTests(SynchronousTestCase):
    """S6."""

    def test_ordinary_client_is_answered(self) -> None:
        """S6."""
        assert may_answer(PEER, LOCAL)
        assert may_answer(Address("2001:db8::1", 40000), LOCAL6)
        assert may_answer(Address("127.0.0.1", 40000), Address("127.0.0.1", 8007))

    def test_ports_below_1024_are_never_answered(self) -> None:
        """S6: exactly at the boundary."""
        answered = [
            port for port in (0, 1, 7, 19, 37, 1023, 1024, 65535) if may_answer(Address("192.0.2.1", port), LOCAL)
        ]
        assert answered == [1024, 65535]

    def test_groups_and_nobody_are_never_answered(self) -> None:
        """S6: broadcast, multicast, unspecified."""
        for host in ("255.255.255.255", "224.0.0.1", "239.255.255.255", "0.0.0.0", "0.1.2.3", "ff02::1", "::"):
            local = LOCAL6 if ":" in host else LOCAL
            assert not may_answer(Address(host, 40000), local), host
        assert may_answer(Address("223.255.255.255", 40000), LOCAL)
        assert may_answer(Address("1.0.0.0", 40000), LOCAL)

    def test_socket_bound_to_a_group_never_answers(self) -> None:
        """S6: an answer from there would have no one's address."""
        for host in ("224.0.0.1", "255.255.255.255"):
            assert not may_answer(PEER, Address(host, 8007))
        assert not may_answer(Address("2001:db8::1", 40000), Address("ff02::1", 8007))

    def test_socket_itself_is_never_answered(self) -> None:
        """S6: CVE-1999-0103 with one socket."""
        assert not may_answer(Address("192.0.2.9", 8007), Address("192.0.2.9", 8007))
        assert not may_answer(Address("192.0.2.9", 8007), Address("0.0.0.0", 8007))

    def test_our_own_sockets_are_never_answered(self) -> None:
        """S6: CVE-1999-0103 with two of ours, echo and chargen, on unprivileged ports."""
        own = [Address("192.0.2.9", 8019), Address("0.0.0.0", 8013), Address("::", 8037)]
        local = Address("192.0.2.9", 8007)
        assert not may_answer(Address("192.0.2.9", 8019), local, own)
        assert not may_answer(Address("192.0.2.200", 8013), local, own)
        assert not may_answer(Address("2001:db8::9", 8037), LOCAL6, own)

    def test_others_with_the_same_port_are_answered(self) -> None:
        """S6: no more is refused than must be."""
        own = [Address("192.0.2.9", 8019), Address("::", 8037)]
        assert may_answer(Address("192.0.2.10", 8019), LOCAL, own)
        assert may_answer(Address("192.0.2.10", 8037), LOCAL, own)

    def test_unix_client_is_answered_at_its_own_path(self) -> None:
        """S6: one without a name cannot be answered."""
        local = Address("", 0, "/run/echo")
        assert may_answer(Address("", 0, "/run/client"), local)
        assert not may_answer(Address("", 0, ""), local)
        assert not may_answer(Address("", 0, "/run/echo"), local)
        assert not may_answer(Address("", 0, "/run/chargen"), local, [Address("", 0, "/run/chargen")])

    @given(st.ip_addresses(), st.integers(0, 65535))
    @settings(deadline=None, max_examples=200)
    def test_whoever_is_answered_could_be_a_client(self, ip: IPv4Address | IPv6Address, port: int) -> None:
        """S6: whatever the source, the rule's own words hold."""
        if may_answer(Address(str(ip), port), LOCAL6 if ip.version == 6 else LOCAL):
            assert port >= 1024
            assert not ip.is_multicast
            assert not ip.is_unspecified
            assert str(ip) != "255.255.255.255"


class Echo(DatagramProtocol):
    """Answers everything."""

    noisy = False

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.stopped = 0
        self.refused = 0

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        self.taken.append(datagram)
        cast("IUDPTransport", self.transport).write(datagram, addr)

    def stopProtocol(self) -> None:
        self.stopped += 1

    def connectionRefused(self) -> None:
        self.refused += 1


class Socket:
    """A datagram socket that notes what it is to send."""

    def __init__(self) -> None:
        self.written: list[tuple[bytes, tuple[str, int]]] = []

    def getHost(self) -> StockIPv4Address:
        return StockIPv4Address("UDP", "192.0.2.9", 8007)

    def write(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """Note it."""
        self.written.append((datagram, addr))


class GuardedDatagramsTests(SynchronousTestCase):
    """S6: the guard in front of a server."""

    def setUp(self) -> None:
        self.inner = Echo()
        self.own: list[Address] = []
        self.guarded = GuardedDatagrams(self.inner, lambda: self.own)
        self.socket = Socket()
        self.guarded.makeConnection(cast("IUDPTransport", self.socket))

    def test_client_is_answered_with_what_the_server_says(self) -> None:
        """S6."""
        self.guarded.datagramReceived(b"hello", ("192.0.2.1", 40000))
        assert self.socket.written == [(b"hello", ("192.0.2.1", 40000))]

    def test_server_never_sees_what_it_must_not_answer(self) -> None:
        """S6."""
        for addr in (("192.0.2.1", 19), ("255.255.255.255", 40000), ("192.0.2.9", 8007)):
            self.guarded.datagramReceived(b"hello", addr)
        assert self.inner.taken == []

    def test_own_sockets_are_those_of_the_moment(self) -> None:
        """S6, R5: a listener that a reload adds is known at once."""
        self.guarded.datagramReceived(b"one", ("192.0.2.9", 8019))
        self.own.append(Address("192.0.2.9", 8019))
        self.guarded.datagramReceived(b"two", ("192.0.2.9", 8019))
        assert self.inner.taken == [b"one"]

    def test_end_and_refusal_reach_the_server(self) -> None:
        """S6: the guard hides nothing else."""
        self.guarded.connectionRefused()
        self.guarded.doStop()
        assert (self.inner.stopped, self.inner.refused) == (1, 1)
        assert self.inner.transport is None


class LoopTests(TestCase):
    """S6 over real sockets."""

    async def test_two_guarded_echo_servers_do_not_talk_to_each_other(self) -> None:
        """S6: CVE-1999-0103; a datagram forged to start the loop is taken once, and not answered."""
        udp = IReactorUDP(reactor)
        own: list[Address] = []
        received = defer.Deferred[bytes]()

        class Client(DatagramProtocol):
            noisy = False

            def datagramReceived(self, datagram: bytes, _addr: tuple[str, int]) -> None:
                received.callback(datagram)

        inner = [Echo(), Echo()]
        ports = [udp.listenUDP(0, GuardedDatagrams(echo, lambda: own), "127.0.0.1", 8192) for echo in inner]
        ports.append(udp.listenUDP(0, Client(), "127.0.0.1", 8192))
        for port in ports:
            self.addCleanup(port.stopListening)
        one, two, client = (cast("Port", port) for port in ports)
        own += [make_address(one.getHost()), make_address(two.getHost())]
        # What a forger would send: to one server, from the other's address.
        two.write(b"loop", ("127.0.0.1", one.getHost().port))
        client.write(b"hello", ("127.0.0.1", one.getHost().port))
        assert await received == b"hello"
        assert [echo.taken for echo in inner] == [[b"hello"], []]
