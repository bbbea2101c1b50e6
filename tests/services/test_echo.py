"""Echo, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from netservices.config import ServiceOptions, parse_listen
from netservices.runtime import Address
from netservices.services.echo import KIND, EchoOptions
from tests.doubles import FakeDatagrams, make_runtime, make_session

if TYPE_CHECKING:
    from twisted.internet.interfaces import IUDPTransport

    from netservices.runtime.transport import BackPressure, StreamTransport
    from netservices.services.echo import EchoProtocol


class EchoTestCase(SynchronousTestCase):
    """What the kind makes of a plain section."""

    def setUp(self) -> None:
        self.own: list[Address] = []
        options = EchoOptions(kind="echo", listen=(parse_listen("tcp:7"), parse_listen("udp:7")))
        self.assertIsInstance(options, ServiceOptions)
        self.parts = KIND.make(options, make_runtime(datagram_addresses=lambda: self.own))


class StreamTests(EchoTestCase):
    """RFC 862, TCP."""

    def setUp(self) -> None:
        super().setUp()
        self.transport = StringTransport()
        clock = Clock()
        session = self.session = make_session(clock)
        session.transport = cast("StreamTransport", self.transport)
        self.addCleanup(session.deadlines.cancel)
        self.protocol = cast("EchoProtocol", self.parts.streams["listen"](session))
        self.protocol.makeConnection(self.transport)

    def test_what_is_sent_comes_back(self) -> None:
        self.protocol.dataReceived(b"hello\0\xff")
        self.protocol.dataReceived(b" again")
        self.assertEqual(self.transport.value(), b"hello\0\xff again")

    def test_end_of_input_closes_after_the_rest(self) -> None:
        self.protocol.dataReceived(b"last")
        self.protocol.readConnectionLost()
        self.assertIsNone(self.transport.producer)
        self.assertTrue(self.transport.disconnecting)

    def test_peer_that_does_not_read_is_not_read(self) -> None:
        """Back-pressure: nothing is read until everything was taken."""
        producer = cast("BackPressure", self.transport.producer)
        producer.pauseProducing()
        self.assertEqual(self.transport.producerState, "paused")
        producer.resumeProducing()
        self.assertEqual(self.transport.producerState, "producing")

    def test_session_that_is_closed_lets_go_of_the_transport(self) -> None:
        """A TLS layer waits for its producer before it says goodbye, and for the peer's goodbye it must read."""
        producer = cast("BackPressure", self.transport.producer)
        producer.pauseProducing()
        self.session.close("enough")
        self.assertIsNone(self.transport.producer)
        self.assertEqual(self.transport.producerState, "producing")
        self.assertTrue(self.transport.disconnecting)

    def test_closing_our_side_is_the_end_of_both(self) -> None:
        self.protocol.writeConnectionLost()
        self.assertFalse(self.transport.disconnecting)


class DatagramTests(EchoTestCase):
    """RFC 862, UDP, and S6."""

    def exchange(self, datagram: bytes, source: tuple[str, int]) -> list[tuple[bytes, object]]:
        protocol = self.parts.datagrams["listen"]()
        transport = FakeDatagrams()
        protocol.makeConnection(cast("IUDPTransport", transport))
        protocol.datagramReceived(datagram, source)
        protocol.doStop()
        return transport.written

    def test_datagram_comes_back_to_its_sender(self) -> None:
        self.assertEqual(self.exchange(b"ping", ("192.0.2.9", 5000)), [(b"ping", ("192.0.2.9", 5000))])

    def test_empty_datagram_comes_back_empty(self) -> None:
        self.assertEqual(self.exchange(b"", ("192.0.2.9", 5000)), [(b"", ("192.0.2.9", 5000))])

    def test_low_port_is_not_answered(self) -> None:
        """S6: 19 is chargen's, which would answer."""
        for port in (0, 7, 19, 1023):
            self.assertEqual(self.exchange(b"ping", ("192.0.2.9", port)), [])

    def test_own_socket_is_not_answered(self) -> None:
        self.own = [Address("127.0.0.1", 8019)]
        self.assertEqual(self.exchange(b"ping", ("127.0.0.1", 8019)), [])

    def test_broadcast_is_not_answered(self) -> None:
        self.assertEqual(self.exchange(b"ping", ("255.255.255.255", 5000)), [])
