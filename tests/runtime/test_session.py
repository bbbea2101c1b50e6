"""Sessions: one closed event each, whatever ends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from netservices.config import Timeouts
from netservices.runtime import Address, EventLog, Reason, Session, Sessions, TlsState
from tests.doubles import RecordedEvents

if TYPE_CHECKING:
    from netservices.runtime.transport import StreamTransport


class RecordingTransport:
    """Remembers how it was ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def loseConnection(self) -> None:
        self.ended.append("lose")

    def abortConnection(self) -> None:
        self.ended.append("abort")


class SessionTests(SynchronousTestCase):
    """R35: exactly one closed event with everything an operator asks for."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.events = RecordedEvents()
        self.transport = RecordingTransport()
        self.session = Session(
            "abc-1",
            "files",
            peer=Address("192.0.2.7", 4000),
            local=Address("192.0.2.1", 21),
            clock=self.clock,
            timeouts=Timeouts(),
            log=EventLog(self.events),
        )
        self.session.transport = cast("StreamTransport", self.transport)

    def closed(self) -> list[dict[str, object]]:
        return self.events.named("daemon.session.closed")

    def test_ended_session_says_everything_once(self) -> None:
        self.session.account = "alice"
        self.session.tls = TlsState("TLSv1.3", "TLS_AES_128_GCM_SHA256")
        self.session.bytes_in, self.session.bytes_out = 5, 7
        self.clock.advance(2.5)
        self.session.end(Reason.PEER)
        self.session.end(Reason.LOST)
        [event] = self.closed()
        wanted = {
            "service": "files",
            "session": "abc-1",
            "peer": "192.0.2.7:4000",
            "account": "alice",
            "tls": "TLSv1.3",
            "reason": "closed by the peer",
            "duration": 2.5,
            "bytes_in": 5,
            "bytes_out": 7,
        }
        self.assertEqual({key: event[key] for key in wanted}, wanted)

    def test_first_reason_given_is_the_one_logged(self) -> None:
        self.session.close("quota exceeded")
        self.session.abort("later")
        self.session.end(Reason.SERVICE)
        self.assertEqual(self.closed()[0]["reason"], "quota exceeded")
        self.assertEqual(self.transport.ended, ["lose", "abort"])

    def test_ended_session_leaves_no_timer(self) -> None:
        self.session.end(Reason.PEER)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closing_ended_session_does_nothing(self) -> None:
        self.session.end(Reason.PEER)
        self.session.close()
        self.session.abort("x")
        self.assertEqual(self.transport.ended, [])

    def test_idle_session_says_farewell_then_closes(self) -> None:
        """R14: the service may send its own words first."""
        said: list[str] = []
        self.session.on_expired = said.append
        for _ in range(300):
            self.clock.advance(1)
        self.assertEqual(said, ["idle"])
        self.assertEqual(self.transport.ended, ["lose"])
        self.session.end(Reason.SERVICE)
        self.assertEqual(self.closed()[0]["reason"], "idle timeout")

    def test_peer_that_never_reads_is_aborted(self) -> None:
        """R14."""
        self.session.deadlines.unsent()
        for _ in range(60):
            self.clock.advance(1)
        self.assertEqual(self.transport.ended, ["abort"])
        self.session.end(Reason.LOST)
        self.assertEqual(self.closed()[0]["reason"], "the peer stopped reading")

    def test_bug_is_logged_and_aborts_this_session(self) -> None:
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            self.session.failed(Failure())
        self.assertEqual(self.transport.ended, ["abort"])
        [failed] = self.events.named("daemon.session.failed")
        self.assertIsInstance(cast("Failure", failed["log_failure"]).value, ZeroDivisionError)
        self.session.end(Reason.LOST)
        self.assertEqual(self.closed()[0]["reason"], "bug")

    def test_handshake_that_does_not_end_is_aborted(self) -> None:
        """R14: a farewell would wait for the handshake that does not come."""
        said: list[str] = []
        self.session.on_expired = said.append
        self.session.deadlines.start("handshake")
        self.clock.advance(10)
        self.assertEqual((said, self.transport.ended), ([], ["abort"]))
        self.session.end(Reason.LOST)
        self.assertEqual(self.closed()[0]["reason"], "handshake timeout")

    def test_bug_in_a_farewell_ends_this_session(self) -> None:
        def fails(_name: str) -> None:
            raise ZeroDivisionError

        self.session.on_expired = fails
        for _ in range(300):
            self.clock.advance(1)
        self.assertEqual(self.transport.ended, ["abort", "lose"])
        self.assertEqual(len(self.events.named("daemon.session.failed")), 1)
        self.session.end(Reason.LOST)

    def test_bug_while_draining_ends_this_session(self) -> None:
        def fails() -> None:
            raise ZeroDivisionError

        self.session.on_drain = fails
        self.session.drain()
        self.assertEqual(self.transport.ended, ["abort"])
        self.session.end(Reason.LOST)
        self.assertEqual(self.closed()[0]["reason"], "bug")

    def test_drain_asks_the_service(self) -> None:
        asked: list[bool] = []
        self.session.drain()
        self.session.on_drain = lambda: asked.append(True)
        self.session.drain()
        self.assertEqual(asked, [True])


class SessionsTests(SynchronousTestCase):
    """The registry of open sessions."""

    def test_ids_never_repeat_within_or_across_processes(self) -> None:
        first, second = Sessions(), Sessions()
        ids = [first.next_id() for _ in range(100)] + [second.next_id() for _ in range(100)]
        self.assertEqual(len(set(ids)), 200)

    def test_open_sessions_are_found_and_forgotten(self) -> None:
        sessions, clock = Sessions(), Clock()
        session = Session(
            sessions.next_id(),
            "x",
            peer=Address("::1"),
            local=Address("::1"),
            clock=clock,
            timeouts=Timeouts(),
            log=EventLog(RecordedEvents()),
        )
        sessions.add(session)
        self.assertIs(sessions.find(session.id), session)
        self.assertEqual(len(sessions), 1)
        self.assertEqual(list(sessions), [session])
        sessions.remove(session)
        sessions.remove(session)
        self.assertRaises(KeyError, sessions.find, session.id)
        session.end(Reason.PEER)
