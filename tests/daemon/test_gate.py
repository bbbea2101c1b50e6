"""The gate: PROXY header, admission, session, TLS, protocol, in that order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, cast

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from netservices.config import Limits, ServiceOptions, parse_listen
from netservices.config.models import parse_network
from netservices.daemon.gate import Door, Gate
from netservices.daemon.section import Section
from netservices.kind import Parts
from netservices.runtime import EventLog, Session, Sessions
from netservices.runtime.admission import Admission, make_proxies
from netservices.runtime.metrics import Metrics, SectionMetrics
from tests.doubles import FakeTransport, RecordedEvents

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocol
    from twisted.protocols.tls import TLSMemoryBIOProtocol
    from twisted.python.failure import Failure

    from netservices.runtime.tls import ServerCreator
    from netservices.runtime.transport import StreamTransport

BUSY = b"421 come back later\r\n"


class Recorder(Protocol):
    """A service's protocol that remembers what it was told."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.received = b""
        self.lost: list[Failure] = []

    def dataReceived(self, data: bytes) -> None:
        if data == b"bug":
            raise ZeroDivisionError
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.append(reason)


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Recorder):
    """One that goes on after the peer has said all."""

    ended = ""

    def readConnectionLost(self) -> None:
        self.ended += "read "

    def writeConnectionLost(self) -> None:
        self.ended += "write "


@implementer(IOpenSSLServerConnectionCreator)
class NoHandshake:
    """Fails the test when a handshake begins."""

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> NoReturn:
        raise AssertionError("a handshake was begun")


class GateTestCase(SynchronousTestCase):
    """One door, to which connections are made."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.events = RecordedEvents()
        self.made: list[Recorder] = []
        self.sessions = Sessions()
        self.door = self.make_door()

    def make_protocol(self, session: Session) -> IProtocol:
        self.made.append(Recorder(session))
        return self.made[-1]

    def make_door(self, listen: str = "tcp:7", **options: Any) -> Door:  # noqa: ANN401 - options of many types
        section_options = ServiceOptions.model_construct(kind="test", listen=(parse_listen(listen),), **options)
        log = EventLog(self.events).bind(service="test")
        self.section = Section(
            "test",
            section_options,
            Parts(streams={"listen": self.make_protocol}, refusal=BUSY),
            Admission(section_options, clock=self.clock, log=log),
            log,
            make_proxies(section_options.proxies),
            SectionMetrics(Metrics(), "test", self.clock.seconds),
            tls=cast("ServerCreator", NoHandshake()),
        )
        self.addCleanup(self.section.admission.stop)
        return Door(self.section, "listen", section_options.listen[0], self.sessions, self.clock)

    def connect(self, **options: tuple[str, int]) -> FakeTransport:
        gate = Gate(self.door)
        transport = FakeTransport(**options)
        transport.protocol = gate
        gate.makeConnection(transport)
        return transport

    def closed(self) -> list[dict[str, object]]:
        return self.events.named("daemon.session.closed")

    def reasons(self) -> list[object]:
        return [event["reason"] for event in self.closed()]


class GateTests(GateTestCase):
    """R9, R12, R35."""

    def test_admitted_peer_reaches_the_service(self) -> None:
        transport = self.connect()
        transport.protocol.dataReceived(b"hello")
        [made] = self.made
        self.assertEqual(made.received, b"hello")
        self.assertEqual(str(made.session.peer), "192.0.2.7:4000")
        self.assertEqual(made.session.bytes_in, 5)
        self.assertIs(transport.session, made.session)
        self.assertEqual(list(self.sessions), [made.session])

    def test_peer_that_hangs_up_ends_its_session_once(self) -> None:
        transport = self.connect()
        transport.hang_up()
        self.assertEqual(self.reasons(), ["closed by the peer"])
        self.assertEqual(len(self.made[0].lost), 1)
        self.assertEqual((len(self.sessions), self.section.sessions), (0, set()))
        self.assertEqual(self.section.admission.sessions, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_connection_that_breaks_says_so(self) -> None:
        self.connect().hang_up(ConnectionLost())
        self.assertEqual(self.reasons(), ["connection lost"])

    def test_service_that_closes_is_done(self) -> None:
        transport = self.connect()
        transport.loseConnection()
        self.assertEqual(self.reasons(), ["done"])

    def test_bug_in_a_service_ends_that_session_only(self) -> None:
        first, second = self.connect(), self.connect()
        first.protocol.dataReceived(b"bug")
        self.assertEqual(self.reasons(), ["bug"])
        self.assertEqual(len(self.events.named("daemon.session.failed")), 1)
        second.protocol.dataReceived(b"fine")
        self.assertEqual(self.made[1].received, b"fine")

    def test_bug_while_the_protocol_is_made_ends_the_session(self) -> None:
        def fails(_session: Session) -> IProtocol:
            raise RuntimeError

        cast("dict[str, object]", self.section.parts.streams)["listen"] = fails
        self.connect()
        self.assertEqual(self.reasons(), ["bug"])
        self.assertEqual(self.section.admission.sessions, 0)

    def test_half_close_of_a_service_that_does_not_know_it_closes(self) -> None:
        transport = self.connect()
        cast("HalfCloseable", transport.protocol).readConnectionLost()
        self.assertEqual(self.reasons(), ["closed by the peer"])

    def test_half_close_is_handed_on(self) -> None:
        made: list[HalfCloseable] = []

        def make(session: Session) -> IProtocol:
            made.append(HalfCloseable(session))
            return made[-1]

        cast("dict[str, object]", self.section.parts.streams)["listen"] = make
        transport = self.connect()
        cast("HalfCloseable", transport.protocol).readConnectionLost()
        cast("HalfCloseable", transport.protocol).writeConnectionLost()
        self.assertEqual(made[0].ended, "read write ")
        self.assertEqual(self.closed(), [])
        transport.loseConnection()

    def test_refused_by_a_limit_is_told_then_closed(self) -> None:
        """R12."""
        self.door = self.make_door(limits=Limits.model_construct(**{**dict(Limits()), "sessions": 1}))
        self.connect()
        refused = self.connect()
        self.assertEqual(refused.value(), BUSY)
        self.assertTrue(refused.half_closed)
        self.assertFalse(refused.aborted)
        refused.protocol.dataReceived(b"never read by anybody")
        self.clock.advance(1)
        self.assertTrue(refused.aborted)
        self.assertEqual(len(self.made), 1)
        self.assertEqual(len(self.events.named("daemon.peer.refused")), 1)

    def test_flood_of_refused_peers_is_just_closed(self) -> None:
        self.door = self.make_door(limits=Limits.model_construct(**{**dict(Limits()), "sessions": 1}))
        self.connect()
        refused = [self.connect() for _ in range(80)]
        self.assertEqual(sum(not transport.aborted for transport in refused), 64)
        self.clock.advance(1)
        self.assertEqual(self.door.goodbyes, 0)

    def test_refused_peer_that_leaves_frees_its_place(self) -> None:
        self.door = self.make_door(limits=Limits.model_construct(**{**dict(Limits()), "sessions": 1}))
        self.connect()
        self.connect().hang_up()
        self.assertEqual(self.door.goodbyes, 0)

    def test_refused_by_the_access_list_is_told_nothing(self) -> None:
        self.door = self.make_door(deny=(parse_network("192.0.2.0/24"),))
        refused = self.connect()
        self.assertEqual(refused.value(), b"")
        self.assertTrue(refused.aborted)
        self.assertEqual(self.made, [])
        self.assertEqual(self.closed(), [])

    def test_refused_on_tls_costs_no_handshake(self) -> None:
        """R9: and no words, which would not be TLS."""
        self.door = self.make_door("tls:7", deny=(parse_network("192.0.2.0/24"),))
        refused = self.connect()
        self.assertEqual(refused.value(), b"")
        self.assertTrue(refused.aborted)


class DialogueTests(GateTestCase):
    """``log_level = "debug"`` logs what a section's sessions say and hear."""

    def test_both_sides_are_logged_line_by_line(self) -> None:
        self.door = self.make_door(log_level="debug")
        transport = self.connect()
        transport.protocol.dataReceived(b"USER alice\r\nPASS secret\r\n")
        cast("StreamTransport", self.made[0].transport).write(b"+OK\r\n")
        self.assertEqual(transport.value(), b"+OK\r\n")
        heard = [event["line"] for event in self.events.named("daemon.line.received")]
        self.assertEqual(heard, ["USER alice", "PASS ***"])
        self.assertEqual([event["line"] for event in self.events.named("daemon.line.sent")], ["+OK"])
        transport.hang_up()

    def test_other_sections_are_not_listened_to(self) -> None:
        transport = self.connect()
        transport.protocol.dataReceived(b"USER alice\r\n")
        self.assertEqual(self.events.named("daemon.line.received"), [])
        transport.hang_up()


class ProxyTests(GateTestCase):
    """R15: the header is asked of listed proxies, and of nobody else."""

    HEADER = b"PROXY TCP4 198.51.100.9 192.0.2.1 5000 7\r\n"

    def setUp(self) -> None:
        super().setUp()
        self.door = self.make_door(proxies=(parse_network("192.0.2.7"),))

    def test_true_peer_is_the_session_peer(self) -> None:
        transport = self.connect()
        self.assertEqual(self.made, [])
        transport.protocol.dataReceived(self.HEADER + b"first words")
        [made] = self.made
        self.assertEqual(str(made.session.peer), "198.51.100.9:5000")
        self.assertEqual(made.received, b"first words")

    def test_header_may_come_byte_by_byte(self) -> None:
        transport = self.connect()
        for at in range(len(self.HEADER)):
            transport.protocol.dataReceived(self.HEADER[at : at + 1])
        self.assertEqual(str(self.made[0].session.peer), "198.51.100.9:5000")
        self.assertEqual(self.made[0].session.bytes_in, 0)

    def test_admission_is_by_the_true_peer(self) -> None:
        """R9."""
        self.door = self.make_door(proxies=(parse_network("192.0.2.7"),), deny=(parse_network("198.51.100.0/24"),))
        transport = self.connect()
        transport.protocol.dataReceived(self.HEADER)
        self.assertTrue(transport.aborted)
        self.assertEqual(self.made, [])

    def test_anybody_else_is_not_parsed(self) -> None:
        transport = self.connect(peer=("203.0.113.1", 9))
        transport.protocol.dataReceived(self.HEADER)
        self.assertEqual(self.made[0].received, self.HEADER)
        self.assertEqual(str(self.made[0].session.peer), "203.0.113.1:9")

    def test_garbage_closes_and_names_the_proxy(self) -> None:
        transport = self.connect()
        transport.protocol.dataReceived(b"GET / HTTP/1.1\r\n")
        self.assertTrue(transport.aborted)
        [refused] = self.events.named("daemon.proxy.refused")
        self.assertEqual(refused["peer"], "192.0.2.7:4000")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_silent_proxy_is_closed_at_the_handshake_deadline(self) -> None:
        transport = self.connect()
        self.clock.advance(9.9)
        self.assertFalse(transport.aborted)
        self.clock.advance(0.1)
        self.assertTrue(transport.aborted)
        self.assertEqual(self.events.named("daemon.proxy.refused")[0]["reason"], "no PROXY header in time")

    def test_waiting_for_the_header_holds_the_section(self) -> None:
        """R5: whoever was accepted before a reload is served by what was there before."""
        transport = self.connect()
        drained: list[object] = []
        self.section.drain().addCallback(drained.append)
        transport.protocol.dataReceived(self.HEADER)
        self.assertEqual(drained, [])
        transport.hang_up()
        self.assertEqual(drained, [None])

    def test_proxy_that_leaves_lets_the_section_go(self) -> None:
        transport = self.connect()
        drained: list[object] = []
        self.section.drain().addCallback(drained.append)
        transport.hang_up()
        self.assertEqual(drained, [None])

    def test_stopping_turns_away_who_has_not_said_who_it_is(self) -> None:
        """R4: nothing becomes a session after the sessions were asked to end."""
        transport = self.connect()
        self.section.close("shutdown")
        self.assertTrue(transport.aborted)
        self.assertEqual((self.clock.getDelayedCalls(), self.section.undecided), ([], set()))

    def test_reload_in_the_meantime_does_not_change_what_it_came_for(self) -> None:
        transport = self.connect()
        self.door.option = "another"
        transport.protocol.dataReceived(self.HEADER)
        self.assertEqual(len(self.made), 1)

    def test_service_that_closes_at_once_reads_no_more(self) -> None:
        def make(session: Session) -> IProtocol:
            self.made.append(Recorder(session))
            cast("Any", self.made[-1]).connectionMade = session.close
            return self.made[-1]

        cast("dict[str, object]", self.section.parts.streams)["listen"] = make
        self.connect().protocol.dataReceived(self.HEADER + b"first words")
        self.assertEqual(self.made[0].received, b"")

    def test_bug_while_the_protocol_is_made_is_told_once(self) -> None:
        def fails(_session: Session) -> IProtocol:
            raise RuntimeError

        cast("dict[str, object]", self.section.parts.streams)["listen"] = fails
        self.connect().protocol.dataReceived(self.HEADER + b"first words")
        self.assertEqual(len(self.events.named("daemon.session.failed")), 1)
        self.assertEqual(self.reasons(), ["bug"])

    def test_proxy_that_leaves_early_leaves_no_timer(self) -> None:
        self.connect().hang_up()
        self.assertEqual(self.clock.getDelayedCalls(), [])
