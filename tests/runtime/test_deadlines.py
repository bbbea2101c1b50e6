"""Deadlines, by a clock that the tests advance."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netservices.config import Timeouts
from netservices.runtime.deadlines import Deadlines

TIMEOUTS = Timeouts.model_construct(handshake=10.0, login=60.0, idle=300.0, write=60.0, session=43200.0)


class DeadlinesTests(SynchronousTestCase):
    """R14: handshake, login, idle, whole session and stalled write are each reached, and not before."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.expired: list[tuple[str, float]] = []
        self.deadlines = self.make()

    def make(self, timeouts: Timeouts = TIMEOUTS) -> Deadlines:
        return Deadlines(self.clock, timeouts, lambda name: self.expired.append((name, self.clock.seconds())))

    def run_until(self, moment: float, step: float = 0.5) -> None:
        while self.clock.seconds() < moment:
            self.clock.advance(step)

    def test_silent_peer_expires_idle(self) -> None:
        self.run_until(299.5)
        self.assertEqual(self.expired, [])
        self.run_until(300)
        self.assertEqual(self.expired, [("idle", 300.0)])

    def test_byte_that_moves_puts_idle_off(self) -> None:
        self.run_until(250)
        self.deadlines.active()
        self.run_until(549.5)
        self.assertEqual(self.expired, [])
        self.run_until(550)
        self.assertEqual(self.expired, [("idle", 550.0)])

    def test_handshake_that_does_not_end_expires(self) -> None:
        self.deadlines.start("handshake")
        self.run_until(10)
        self.assertEqual(self.expired, [("handshake", 10.0)])

    def test_handshake_that_ends_does_not_expire(self) -> None:
        self.deadlines.start("handshake")
        self.run_until(9)
        self.deadlines.stop("handshake")
        self.run_until(200)
        self.assertEqual(self.expired, [])

    def test_deadline_started_late_counts_from_its_start(self) -> None:
        self.run_until(45)
        self.deadlines.start("handshake")
        self.run_until(54.5)
        self.assertEqual(self.expired, [])
        self.run_until(55)
        self.assertEqual(self.expired, [("handshake", 55.0)])

    def test_login_counts_although_bytes_move(self) -> None:
        self.deadlines.start("login")
        for moment in range(1, 60):
            self.run_until(moment)
            self.deadlines.active()
        self.run_until(60)
        self.assertEqual(self.expired, [("login", 60.0)])

    def test_busy_session_expires_at_its_whole_length(self) -> None:
        while self.clock.seconds() < 43199:
            self.clock.advance(min(100, 43199 - self.clock.seconds()))
            self.deadlines.active()
        self.assertEqual(self.expired, [])
        self.clock.advance(1)
        self.assertEqual(self.expired, [("session", 43200.0)])

    def test_peer_that_takes_nothing_expires_write(self) -> None:
        self.run_until(30)
        self.deadlines.unsent()
        self.run_until(89.5)
        self.assertEqual(self.expired, [])
        self.run_until(90)
        self.assertEqual(self.expired, [("write", 90.0)])

    def test_peer_that_takes_a_little_puts_write_off(self) -> None:
        self.deadlines.unsent()
        self.run_until(59)
        self.deadlines.unsent()
        self.run_until(118)
        self.assertEqual(self.expired, [])
        self.run_until(119)
        self.assertEqual(self.expired, [("write", 119.0)])

    def test_peer_that_takes_all_stops_write(self) -> None:
        self.deadlines.unsent()
        self.deadlines.sent()
        self.run_until(200)
        self.assertEqual(self.expired, [])

    def test_after_goodbye_only_write_expires(self) -> None:
        """A peer that does not answer our goodbye can't hold the connection."""
        self.deadlines.start("login")
        self.deadlines.closing()
        self.deadlines.sent()
        self.run_until(60)
        self.assertEqual(self.expired, [("write", 60.0)])
        self.run_until(400)
        self.assertEqual(len(self.expired), 1)

    def test_peer_that_trickles_after_goodbye_has_until_the_end_of_the_session(self) -> None:
        self.deadlines.closing()
        while self.clock.seconds() < 43150:
            self.clock.advance(50)
            self.deadlines.unsent()
        self.assertEqual(self.expired, [])
        self.clock.advance(50)
        self.assertEqual(self.expired, [("write", 43200.0)])

    def test_session_that_is_over_has_one_stall_to_close(self) -> None:
        """However much its peer goes on taking."""
        while self.clock.seconds() < 43200:
            self.clock.advance(100)
            self.deadlines.active()
        for _ in range(6):
            self.clock.advance(10)
            self.deadlines.unsent()
        self.assertEqual(self.expired, [("session", 43200.0), ("write", 43260.0)])

    def test_expired_idle_is_followed_by_write_when_nobody_closes(self) -> None:
        self.run_until(300)
        self.run_until(360)
        self.assertEqual(self.expired, [("idle", 300.0), ("write", 360.0)])

    def test_cancelled_leaves_no_timer(self) -> None:
        self.deadlines.start("handshake")
        self.deadlines.cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_activity_costs_no_timer(self) -> None:
        """Ten thousand bytes one by one reschedule nothing."""
        before = self.clock.getDelayedCalls()
        for _ in range(10_000):
            self.deadlines.active()
        self.assertEqual(self.clock.getDelayedCalls(), before)

    @given(st.lists(st.tuples(st.floats(0.1, 100), st.sampled_from(["active", "unsent", "sent"])), max_size=30))
    @settings(deadline=None, max_examples=60)
    def test_any_traffic_expires_exactly_when_due(self, steps: list[tuple[float, str]]) -> None:
        self.clock = Clock()
        self.expired = []
        deadlines = self.make()
        active, unsent = 0.0, None
        for pause, action in steps:
            due = min(active + 300, 43200, *([unsent + 60] if unsent is not None else []))
            if self.clock.seconds() + pause >= due:
                self.clock.pump(
                    [due - self.clock.seconds() - 0.01, 0.02] if due - self.clock.seconds() > 0.01 else [0.02]
                )
                self.assertEqual(len(self.expired), 1)
                return
            self.clock.advance(pause)
            self.assertEqual(self.expired, [])
            getattr(deadlines, action)()
            if action == "sent":
                unsent = None
            else:
                active = self.clock.seconds()
                unsent = active if action == "unsent" else unsent
