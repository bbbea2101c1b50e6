"""Tests of netservices.runtime.tls.transport, in memory with the standard library's client."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path
from typing import Any, cast

from OpenSSL import SSL
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, ISSLTransport
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides, implementedBy

from netservices.config import TlsOptions
from netservices.runtime.tls import describe_tls_failure, make_server_tls
from netservices.runtime.transport import ISessionTransport, TcpSessionTransport
from tests.runtime.tls.memory import Echo, HalfClosingService, Pair, Service, make_client_context


class HalfClosingEcho(Echo, HalfClosingService):
    """Answers also after its input has ended."""


class LayerTestCase(SynchronousTestCase):
    """With a server of its own."""

    def setUp(self) -> None:
        state = Path(self.mktemp())
        state.mkdir()
        self.tls = make_server_tls(TlsOptions(), state=state, hostname="host.example.org")
        self.creator = self.tls.creator()

    def pair(
        self,
        service: Service | None = None,
        *,
        context: ssl.SSLContext | None = None,
        server_name: str | None = None,
    ) -> Pair:
        """A pair whose handshake is done."""
        pair = Pair(self.creator, service, context=context, server_name=server_name)
        pair.handshake()
        return pair


class HandshakeTests(LayerTestCase):
    """The beginning."""

    def test_the_session_knows_what_was_agreed_before_the_service_hears(self) -> None:
        """R35."""
        pair = self.pair(server_name="host.example.org")
        self.assertEqual(pair.service.happened, ["made", "handshake"])
        self.assertIs(pair.service.tls_at_handshake, pair.session.tls)
        assert pair.session.tls is not None
        self.assertEqual(pair.session.tls.version, "TLSv1.3")
        self.assertTrue(pair.session.tls.cipher.startswith("TLS_"))
        self.assertEqual(pair.session.tls.server_name, "host.example.org")
        self.assertFalse(pair.session.tls.resumed)

    def test_the_handshakes_deadline_ends_with_it(self) -> None:
        """R14."""
        pair = self.pair()
        pair.clock.advance(11)
        self.assertEqual(pair.session.deadlines._due.keys(), {"session"})

    def test_until_then_nothing_is_known_and_the_deadline_runs(self) -> None:
        """R14."""
        pair = Pair(self.creator)
        self.assertIsNone(pair.session.tls)
        self.assertIn("handshake", pair.session.deadlines._due)

    def test_what_is_written_before_it_arrives_after_it(self) -> None:
        pair = Pair(self.creator)
        pair.layer.write(b"220 ")
        pair.clock.advance(0)
        pair.layer.write(b"ready\r\n")
        pair.handshake()
        pair.clock.advance(0)
        self.assertEqual(pair.read(), b"220 ready\r\n")

    def test_the_layer_is_a_tls_transport_and_never_a_plain_one(self) -> None:
        pair = Pair(self.creator)
        transport = StringTransport()
        directlyProvides(transport, *implementedBy(TcpSessionTransport))
        pair.layer.makeConnection(transport)
        self.assertTrue(ISSLTransport.providedBy(pair.layer))
        self.assertFalse(ISessionTransport.providedBy(pair.layer))

    def test_a_greeting_of_a_coupled_session_does_not_stop_the_handshake(self) -> None:
        """R14: what waits for the handshake is no reason not to read."""

        class Greeter(Service):
            def connectionMade(self) -> None:
                super().connectionMade()
                assert self.session is not None
                self.session.transport = cast("Any", self.transport)
                self.session.couple()
                cast("Any", self.transport).write(b"220 ready\r\n")

        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            pair = Pair(self.creator, Greeter(), context=make_client_context(version=version))
            while pair.session.tls is None:
                pair.clock.advance(0)
                with contextlib.suppress(ssl.SSLWantReadError):
                    pair.client.do_handshake()
                pair.layer.dataReceived(pair.outgoing.read())
                self.assertEqual(pair.transport.producerState, "producing")
                pair.incoming.write(pair.transport.value())
                pair.transport.clear()
            pair.handshake()
            self.assertEqual(pair.read(), b"220 ready\r\n")
            pair.end_tcp(ConnectionDone())

    def test_a_producer_of_its_own_waits_for_the_handshake(self) -> None:
        """R14: what it sends is bounded."""

        class Producer:
            paused = 0

            def pauseProducing(self) -> None:
                self.paused += 1

            def resumeProducing(self) -> None:
                self.paused -= 1

            def stopProducing(self) -> None:
                self.paused = 0

        pair = Pair(self.creator)
        producer = Producer()
        pair.layer.registerProducer(producer, True)
        pair.layer.write(b"x" * 70_000)
        self.assertEqual(producer.paused, 1)
        pair.handshake()
        self.assertEqual(producer.paused, 0)
        pair.layer.unregisterProducer()

    def test_the_greeting_of_a_service_that_ends_at_once_arrives(self) -> None:
        class Brief(Service):
            def connectionMade(self) -> None:
                super().connectionMade()
                assert self.session is not None
                self.session.transport = cast("Any", self.transport)
                self.session.couple()
                cast("Any", self.transport).write(b"220 ready\r\n")
                self.session.close()

        pair = Pair(self.creator, Brief())
        pair.handshake()
        self.assertEqual(pair.read(), b"220 ready\r\n")


class FailureTests(LayerTestCase):
    """How it fails, in words."""

    def words(self, pair: Pair) -> str:
        self.assertIsNone(pair.session.tls)
        self.assertTrue(pair.transport.disconnecting)
        pair.end_tcp(ConnectionDone())
        self.assertEqual(pair.service.happened, ["made", "lost"])
        assert pair.service.lost is not None
        return describe_tls_failure(pair.service.lost)

    def refused(self, context: ssl.SSLContext) -> str:
        pair = Pair(self.creator, context=context)
        self.assertRaises(ssl.SSLError, pair.handshake)
        pair.pump()
        return self.words(pair)

    def test_no_cipher_in_common(self) -> None:
        """R35."""
        context = make_client_context(version=ssl.TLSVersion.TLSv1_2)
        context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
        self.assertEqual(self.refused(context), "no shared cipher")

    def test_a_version_too_old(self) -> None:
        """R35."""
        context = make_client_context(version=ssl.TLSVersion.TLSv1_1, legacy=True)
        self.assertEqual(self.refused(context), "unsupported protocol")

    def test_a_client_that_does_not_trust_us(self) -> None:
        """R35."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = make_client_context(version=version)
            context.verify_mode = ssl.CERT_REQUIRED
            self.assertRegex(self.refused(context), r"^(certificate unknown|unknown ca) alert from the peer$")

    def test_plain_http(self) -> None:
        """R35."""
        pair = Pair(self.creator)
        pair.layer.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(self.words(pair), "the peer spoke plain HTTP")

    def test_something_else_than_tls(self) -> None:
        """R35."""
        pair = Pair(self.creator)
        pair.layer.dataReceived(b"EHLO example.org\r\n" * 10)
        self.assertEqual(self.words(pair), "the peer did not speak TLS")

    def test_every_cut_of_a_hello_waits_for_the_rest(self) -> None:
        first = Pair(self.creator)
        self.assertRaises(ssl.SSLWantReadError, first.client.do_handshake)
        hello = first.outgoing.read()
        for at in range(1, len(hello), 13):
            pair = Pair(self.creator)
            pair.layer.dataReceived(hello[:at])
            self.assertFalse(pair.transport.disconnecting)
            self.assertEqual(pair.transport.value(), b"")
            pair.layer.dataReceived(hello[at:])
            self.assertNotEqual(pair.transport.value(), b"")
            pair.end_tcp(ConnectionDone())

    def test_tcp_that_ends_within_it_is_lost(self) -> None:
        pair = Pair(self.creator)
        pair.end_tcp(ConnectionDone())
        assert pair.service.lost is not None
        self.assertIsNotNone(pair.service.lost.check(ConnectionLost))

    def test_other_reasons_have_words_too(self) -> None:
        """R35."""
        for error, words in (
            (ConnectionAborted(), "aborted"),
            (ConnectionDone(), "the peer closed the connection"),
            (ConnectionLost(), "the peer closed the connection without ending TLS"),
            (SSL.Error([]), "the peer closed the connection without ending TLS"),
            (SSL.SysCallError(-1, "Unexpected EOF"), "the peer closed the connection without ending TLS"),
            (
                SSL.Error([("SSL routines", "", "ssl/tls alert handshake failure")]),
                "handshake failure alert from the peer",
            ),
            (SSL.Error([("SSL routines", "", "tlsv1 alert unknown ca")]), "unknown ca alert from the peer"),
            (ValueError("odd"), "odd"),
        ):
            self.assertEqual(describe_tls_failure(Failure(error)), words)


class WritingTests(LayerTestCase):
    """What the service sends."""

    def test_answers_to_one_read_leave_in_one_record(self) -> None:
        class Chatty(Service):
            def dataReceived(self, data: bytes) -> None:
                for part in (b"a", b"b", b"c"):
                    self.transport.write(part)  # type: ignore[union-attr]

        pair = self.pair(Chatty())
        before = pair.sent_by_server
        pair.write(b"?")
        self.assertEqual(pair.read(), b"abc")
        # RFC 8446 5.2: five octets of header, one of type, sixteen of tag.
        self.assertEqual(pair.sent_by_server - before, 3 + 22)
        self.assertEqual([call for call in pair.clock.getDelayedCalls() if call.getTime() <= 0], [])

    def test_small_writes_at_other_times_are_gathered(self) -> None:
        pair = self.pair()
        before = pair.sent_by_server
        for _ in range(100):
            pair.layer.writeSequence([b"0123", b"456789"])
        self.assertIsNone(pair.read())
        pair.clock.advance(0)
        self.assertEqual(pair.read(), b"0123456789" * 100)
        self.assertEqual(pair.sent_by_server - before, 1000 + 22)

    def test_much_is_not_gathered_for_long(self) -> None:
        pair = self.pair()
        pair.layer.write(b"x" * 64_001)
        self.assertEqual(pair.read(), b"x" * 64_001)

    def test_a_buffer_that_changes_after_is_sent_as_it_was(self) -> None:
        pair = self.pair()
        buffer = bytearray(b"before")
        pair.layer.write(buffer)
        buffer[:] = b"after!"
        pair.clock.advance(0)
        self.assertEqual(pair.read(), b"before")

    def test_long_answers_arrive_whole(self) -> None:
        pair = self.pair(Echo())
        for size in (16_383, 16_384, 16_385, 40_000, 64_000, 64_001, 200_000):
            data = bytes(range(256)) * (size // 256 + 1)
            for at in range(0, size, 16_384):
                pair.client.write(data[at : min(at + 16_384, size)])
            pair.pump()
            self.assertEqual(pair.read(size), data[:size])

    def test_the_services_octets_are_counted(self) -> None:
        """R35."""
        pair = self.pair(Echo())
        pair.write(b"x" * 100)
        self.assertEqual(pair.session.bytes_out, 100)
        pair.layer.write(b"y" * 70_000)
        self.assertEqual(pair.session.bytes_out, 70_100)

    def test_nothing_is_sent_after_the_connection_is_lost(self) -> None:
        pair = self.pair()
        pair.layer.write(b"x")
        pair.end_tcp(ConnectionLost())
        pair.layer.write(b"y")
        self.assertEqual([call for call in pair.clock.getDelayedCalls() if call.getTime() <= 0], [])
        self.assertEqual(pair.session.bytes_out, 0)

    def test_what_openssl_will_not_send_ends_the_connection(self) -> None:
        class Confused(Service):
            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                transport = cast("Any", self.transport)
                transport.getHandle().shutdown()
                transport.write(data)

        pair = self.pair(Confused())
        pair.write(b"x")
        self.assertTrue(pair.transport.disconnecting)
        pair.end_tcp(ConnectionDone())
        assert pair.service.lost is not None
        self.assertEqual(describe_tls_failure(pair.service.lost), "protocol is shutdown")

    def test_an_answer_given_while_the_connection_is_lost_is_dropped(self) -> None:
        pair = self.pair(Echo())
        pair.client.write(b"x")
        pair.layer.getHandle().bio_write(pair.outgoing.read())
        pair.end_tcp(ConnectionLost())
        self.assertEqual(pair.service.received, b"x")
        self.assertEqual([call for call in pair.clock.getDelayedCalls() if call.getTime() <= 0], [])


class Producer:
    """Writes when it is told to."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


class ClosingTests(LayerTestCase):
    """The end."""

    def test_closing_sends_what_was_written_then_the_close_notify(self) -> None:
        pair = self.pair()
        pair.layer.write(b"bye")
        pair.layer.loseConnection()
        self.assertEqual(pair.read(3), b"bye")
        self.assertEqual(pair.read(), b"")
        self.assertFalse(pair.transport.disconnecting)
        pair.close_notify()
        self.assertTrue(pair.transport.disconnecting)

    def test_closing_waits_for_the_producer_and_sends_its_last(self) -> None:
        pair = self.pair()
        pair.layer.registerProducer(Producer(), True)
        pair.layer.loseConnection()
        pair.layer.write(b"the last")
        self.assertIsNone(pair.read())
        pair.layer.unregisterProducer()
        self.assertEqual(pair.read(8), b"the last")
        self.assertEqual(pair.read(), b"")

    def test_an_answer_to_the_last_read_of_a_closing_producer_is_sent(self) -> None:
        pair = self.pair(Echo())
        pair.layer.registerProducer(Producer(), True)
        pair.layer.loseConnection()
        pair.write(b"once more")
        self.assertEqual(pair.read(), b"once more")
        pair.layer.unregisterProducer()
        self.assertEqual(pair.read(), b"")

    def test_aborting_sends_nothing_more(self) -> None:
        pair = self.pair()
        pair.layer.write(b"x")
        pair.layer.abortConnection()
        self.assertTrue(pair.transport.disconnected)
        self.assertEqual(pair.session.bytes_out, 0)

    def test_whatever_is_called_after_the_end_does_nothing(self) -> None:
        pair = self.pair()
        pair.layer.registerProducer(Producer(), True)
        pair.layer.loseConnection()
        pair.end_tcp(ConnectionLost())
        pair.layer.unregisterProducer()
        pair.layer.loseWriteConnection()
        pair.layer.loseConnection()
        pair.layer.abortConnection()
        pair.layer.write(b"x")
        pair.clock.advance(0)
        self.assertEqual(pair.service.happened, ["made", "handshake", "lost"])

    def test_a_close_notify_ends_a_service_that_knows_no_half_close(self) -> None:
        pair = self.pair(Echo())
        pair.write(b"x")
        self.assertEqual(pair.read(), b"x")
        pair.close_notify()
        self.assertEqual(pair.read(), b"")
        self.assertTrue(pair.transport.disconnecting)
        pair.end_tcp(ConnectionDone())
        assert pair.service.lost is not None
        self.assertIsNotNone(pair.service.lost.check(ConnectionDone))

    def test_an_answer_to_what_came_with_the_close_notify_is_still_sent(self) -> None:
        pair = self.pair(Echo())
        pair.client.write(b"x")
        pair.close_notify()
        self.assertEqual(pair.read(1), b"x")

    def test_tcp_that_ends_without_a_close_notify_is_a_loss(self) -> None:
        for service in (Echo(), HalfClosingEcho()):
            pair = self.pair(service)
            self.assertFalse(IHalfCloseableProtocol.providedBy(pair.layer))
            pair.end_tcp(ConnectionDone())
            self.assertEqual(service.happened, ["made", "handshake", "lost"])
            assert service.lost is not None
            self.assertIsNotNone(service.lost.check(ConnectionLost))


class HalfCloseTests(LayerTestCase):
    """One direction at a time (RFC 8446 6.1)."""

    def test_the_service_hears_the_end_of_its_input_once_and_goes_on_writing(self) -> None:
        service = HalfClosingEcho()
        pair = self.pair(service)
        pair.write(b"question")
        self.assertEqual(pair.read(), b"question")
        pair.close_notify()
        self.assertEqual(service.happened, ["made", "handshake", "read lost"])
        self.assertFalse(pair.transport.disconnecting)
        pair.layer.write(b"answer")
        pair.clock.advance(0)
        self.assertEqual(pair.read(), b"answer")
        pair.layer.loseConnection()
        self.assertEqual(pair.read(), b"")
        self.assertTrue(pair.transport.disconnecting)
        self.assertEqual(service.happened, ["made", "handshake", "read lost"])

    def test_both_versions_do(self) -> None:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            service = HalfClosingEcho()
            pair = self.pair(service, context=make_client_context(version=version))
            pair.close_notify()
            self.assertIn("read lost", service.happened)
            pair.layer.write(b"answer")
            pair.clock.advance(0)
            self.assertEqual(pair.read(), b"answer")
            self.assertFalse(pair.transport.disconnecting)

    def test_the_end_of_tcp_after_it_is_no_loss(self) -> None:
        service = HalfClosingEcho()
        pair = self.pair(service)
        pair.close_notify()
        IHalfCloseableProtocol(pair.layer).readConnectionLost()
        IHalfCloseableProtocol(pair.layer).writeConnectionLost()
        pair.layer.write(b"answer")
        pair.clock.advance(0)
        self.assertEqual(pair.read(), b"answer")
        pair.layer.loseConnection()
        pair.end_tcp(ConnectionDone())
        assert service.lost is not None
        self.assertIsNotNone(service.lost.check(ConnectionDone))
        self.assertEqual(service.happened, ["made", "handshake", "read lost", "lost"])

    def test_what_comes_after_it_is_ignored(self) -> None:
        service = HalfClosingEcho()
        pair = self.pair(service)
        pair.close_notify()
        pair.layer.dataReceived(b"rubbish" * 1000)
        self.assertEqual(service.received, b"")
        self.assertFalse(pair.transport.disconnecting)

    def test_an_answer_within_the_notice_is_sent(self) -> None:
        class Last(HalfClosingService):
            def readConnectionLost(self) -> None:
                super().readConnectionLost()
                self.transport.write(b"42")  # type: ignore[union-attr]
                self.transport.loseConnection()  # type: ignore[union-attr]

        pair = self.pair(Last())
        pair.close_notify()
        self.assertEqual(pair.read(2), b"42")
        self.assertEqual(pair.read(), b"")
        self.assertTrue(pair.transport.disconnecting)

    def test_the_service_may_abort_within_the_notice(self) -> None:
        class Last(HalfClosingService):
            def readConnectionLost(self) -> None:
                self.transport.abortConnection()  # type: ignore[union-attr]

        pair = self.pair(Last())
        pair.close_notify()
        self.assertTrue(pair.transport.disconnected)

    def test_our_half_closes_and_reading_goes_on(self) -> None:
        service = HalfClosingService()
        pair = self.pair(service)
        pair.layer.write(b"all I have")
        pair.layer.loseWriteConnection()
        self.assertEqual(service.happened, ["made", "handshake", "write lost"])
        pair.layer.write(b"no more")
        self.assertEqual(pair.read(10), b"all I have")
        self.assertEqual(pair.read(), b"")
        pair.write(b"thanks")
        self.assertEqual(service.received, b"thanks")
        self.assertFalse(pair.transport.disconnecting)
        pair.close_notify()
        self.assertEqual(service.happened, ["made", "handshake", "write lost", "read lost"])
        self.assertTrue(pair.transport.disconnecting)

    def test_our_half_closes_without_notice_to_a_service_that_wants_none(self) -> None:
        service = Service()
        pair = self.pair(service)
        pair.layer.loseWriteConnection()
        self.assertEqual(pair.read(), b"")
        pair.write(b"thanks")
        self.assertEqual(service.received, b"thanks")
        self.assertFalse(pair.transport.disconnecting)
        pair.layer.loseWriteConnection()
        self.assertEqual(service.happened, ["made", "handshake"])

    def test_our_half_closed_before_the_handshake_waits_for_it(self) -> None:
        service = HalfClosingService()
        pair = Pair(self.creator, service)
        pair.layer.write(b"hello")
        pair.layer.loseWriteConnection()
        self.assertEqual(service.happened, ["made"])
        pair.handshake()
        self.assertEqual(pair.read(5), b"hello")
        self.assertEqual(pair.read(), b"")
        self.assertEqual(service.happened, ["made", "handshake", "write lost"])

    def test_our_half_closes_only_after_the_producer(self) -> None:
        service = HalfClosingService()
        pair = self.pair(service)
        pair.layer.registerProducer(Producer(), True)
        pair.layer.loseWriteConnection()
        self.assertNotIn("write lost", service.happened)
        pair.layer.write(b"the last")
        pair.layer.unregisterProducer()
        self.assertEqual(pair.read(8), b"the last")
        self.assertEqual(pair.read(), b"")
        self.assertIn("write lost", service.happened)

    def test_closing_after_our_half_closes_tcp_with_the_peers_half(self) -> None:
        pair = self.pair(HalfClosingService())
        pair.layer.loseWriteConnection()
        pair.layer.loseConnection()
        pair.close_notify()
        self.assertTrue(pair.transport.disconnecting)
