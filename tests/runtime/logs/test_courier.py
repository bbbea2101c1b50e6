"""The bounded queue in front of a collector."""

from __future__ import annotations

import errno
import os

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.logs.courier import (
    CONNECT_SECONDS,
    FLUSH_SECONDS,
    STEADY_SECONDS,
    Courier,
    Link,
    Written,
    describe,
)
from tests.runtime.logs.fakes import FakeLink, FakeWatcher


class CourierTests(SynchronousTestCase):
    """``Courier``."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.watcher = FakeWatcher()
        self.attempts: list[Deferred[Link]] = []
        self.courier = Courier(self.clock, self.connect, limit=3, watcher=self.watcher)

    def connect(self, courier: Courier) -> Deferred[Link]:
        """One attempt, open until the test ends it."""
        self.assertIdentical(courier, self.courier)
        self.attempts.append(Deferred())
        return self.attempts[-1]

    def open(self, link: FakeLink) -> FakeLink:
        """The latest attempt succeeds."""
        self.attempts[-1].callback(link)
        return link

    def refuse(self) -> None:
        """The latest attempt fails."""
        self.attempts[-1].errback(OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)))

    def put(self, *lines: bytes) -> None:
        """Several lines."""
        for line in lines:
            self.courier.put(line)

    def test_lines_wait_for_start_and_arrive_in_order(self) -> None:
        """R32."""
        self.put(b"1", b"2")
        self.assertEqual(self.attempts, [])
        self.courier.start(now=False)
        link = self.open(FakeLink())
        self.put(b"3")
        self.assertEqual(link.lines, [b"1", b"2", b"3"])

    def test_without_ndelay_the_first_line_connects(self) -> None:
        """R31."""
        self.courier.start(now=False)
        self.assertEqual(len(self.attempts), 0)
        self.put(b"1")
        self.assertEqual(len(self.attempts), 1)

    def test_with_ndelay_the_start_connects(self) -> None:
        """R31."""
        self.courier.start(now=True)
        self.courier.start(now=True)
        self.assertEqual(len(self.attempts), 1)

    def test_the_newest_are_dropped_and_counted_where_they_are_missing(self) -> None:
        """R32."""
        self.courier.start(now=True)
        self.put(b"1", b"2", b"3", b"4", b"5")
        link = self.open(FakeLink(room=1))
        self.put(b"6")
        link.room = None
        self.courier.writable()
        self.assertEqual(link.lines, [b"1", b"2", b"3", b"dropped 2\n", b"6"])

    def test_the_count_is_reported_when_nothing_new_comes(self) -> None:
        """R32."""
        self.courier.start(now=True)
        self.put(b"1", b"2", b"3", b"4")
        link = self.open(FakeLink())
        self.assertEqual(link.lines, [b"1", b"2", b"3", b"dropped 1\n"])

    def test_a_long_queue_goes_out_in_portions(self) -> None:
        """R32: the reactor is not held."""
        self.courier = Courier(self.clock, self.connect, limit=1000, watcher=self.watcher)
        self.put(*[b"x"] * 250)
        self.courier.start(now=False)
        link = self.open(FakeLink())
        self.assertEqual(len(link.lines), 100)
        self.put(b"y")
        self.clock.advance(0)
        self.clock.advance(0)
        self.assertEqual(len(link.lines), 251)
        self.assertEqual(link.lines[-1], b"y")

    def test_attempts_come_at_growing_distances_and_one_outage_is_reported_once(self) -> None:
        """R32."""
        self.courier.start(now=True)
        for pause in (0.25, 0.5, 1.0, 2.0):
            self.refuse()
            self.assertTrue(self.courier.away)
            before = len(self.attempts)
            self.clock.advance(pause - 0.01)
            self.assertEqual(len(self.attempts), before)
            self.clock.advance(0.01)
            self.assertEqual(len(self.attempts), before + 1)
        self.assertEqual(self.watcher.happened, ["failed: Connection refused"])

    def test_the_pause_has_an_upper_bound(self) -> None:
        """R32."""
        self.courier.start(now=True)
        for _ in range(12):
            self.refuse()
            self.clock.advance(30)
        self.assertEqual(len(self.attempts), 13)

    def test_a_link_that_holds_is_a_recovery(self) -> None:
        """R32."""
        self.courier.start(now=True)
        self.refuse()
        self.clock.advance(0.25)
        self.open(FakeLink())
        self.assertFalse(self.courier.away)
        self.assertEqual(len(self.watcher.happened), 1)
        self.clock.advance(STEADY_SECONDS)
        self.assertEqual(self.watcher.happened, ["failed: Connection refused", "recovered"])

    def test_a_link_that_breaks_at_once_goes_on_with_the_same_outage(self) -> None:
        """R32."""
        self.courier.start(now=True)
        self.refuse()
        self.clock.advance(0.25)
        link = self.open(FakeLink())
        self.courier.lost("gone")
        self.assertTrue(link.aborted)
        self.clock.advance(0.49)
        self.assertEqual(len(self.attempts), 2)
        self.clock.advance(0.01)
        self.assertEqual(len(self.attempts), 3)
        self.assertEqual(self.watcher.happened, ["failed: Connection refused"])

    def test_an_error_while_writing_keeps_the_line(self) -> None:
        """R32."""
        self.courier.start(now=True)
        link = self.open(FakeLink())
        link.error = OSError(errno.ENOTCONN, "gone")
        self.put(b"1")
        self.assertEqual((self.watcher.happened, self.watcher.waiting), (["failed: gone"], (b"1",)))
        self.clock.advance(0.25)
        self.assertEqual(self.open(FakeLink()).lines, [b"1"])

    def test_an_attempt_without_an_answer_ends(self) -> None:
        """R32."""
        self.courier.start(now=True)
        self.clock.advance(CONNECT_SECONDS)
        self.assertEqual(self.watcher.happened, ["failed: no answer"])

    def test_what_is_too_large_is_counted_as_dropped(self) -> None:
        """R32."""
        self.courier.start(now=True)
        link = self.open(FakeLink())
        link.too_large = b"big"
        self.put(b"big", b"small")
        self.assertEqual(link.lines, [b"dropped 1\n", b"small"])

    def test_retry_looks_at_once(self) -> None:
        """R32, R34: SIGHUP."""
        self.courier.start(now=True)
        self.refuse()
        self.courier.retry()
        self.assertEqual(len(self.attempts), 2)
        self.courier.retry()
        self.assertEqual(len(self.attempts), 2)

    def test_stop_sends_what_waits_then_closes(self) -> None:
        self.courier.start(now=True)
        self.put(b"1", b"2", b"3", b"4")
        done = self.courier.stop()
        self.assertNoResult(done)
        link = FakeLink()
        link.closing = Deferred()
        self.open(link)
        self.assertEqual(link.lines, [b"1", b"2", b"3", b"dropped 1\n"])
        self.assertNoResult(done)
        link.closing.callback(None)
        self.successResultOf(done)
        self.put(b"late")
        self.assertEqual(len(link.lines), 4)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_before_start_sends_too(self) -> None:
        self.put(b"1")
        done = self.courier.stop()
        link = self.open(FakeLink())
        self.successResultOf(done)
        self.assertEqual(link.lines, [b"1"])

    def test_stop_during_an_outage_tries_and_gives_up_in_time(self) -> None:
        """R32."""
        self.courier.start(now=True)
        self.refuse()
        self.put(b"1")
        done = self.courier.stop()
        again = self.courier.stop()
        self.assertEqual(len(self.attempts), 2)
        self.clock.advance(FLUSH_SECONDS)
        self.successResultOf(done)
        self.successResultOf(again)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_gives_up_a_link_that_never_takes(self) -> None:
        """R32."""
        self.courier.start(now=True)
        link = self.open(FakeLink(room=0))
        self.put(b"1")
        done = self.courier.stop()
        self.clock.advance(FLUSH_SECONDS)
        self.successResultOf(done)
        self.assertTrue(link.aborted)

    def test_stop_without_anything_is_done_at_once(self) -> None:
        self.courier.start(now=True)
        self.successResultOf(self.courier.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_link_that_comes_too_late_is_closed(self) -> None:
        link = FakeLink()
        late: Deferred[Link] = Deferred(lambda attempt: attempt.callback(link))
        courier = Courier(self.clock, lambda _: late, limit=3, watcher=self.watcher)
        courier.start(now=True)
        self.successResultOf(courier.stop())
        self.assertTrue(link.aborted)

    def test_stop_gives_up_a_link_that_never_closes(self) -> None:
        """R32."""
        self.courier.start(now=True)
        link = FakeLink()
        link.closing = Deferred()
        self.open(link)
        done = self.courier.stop()
        self.clock.advance(FLUSH_SECONDS)
        self.successResultOf(done)
        self.assertTrue(link.aborted)
        link.closing.callback(None)

    def test_a_loss_without_a_link_is_nothing(self) -> None:
        self.courier.lost("gone")
        self.courier.writable()
        self.assertEqual(self.watcher.happened, [])

    def test_a_line_logged_while_writing_is_not_lost(self) -> None:
        """A destructor may log in the middle of anything."""
        test = self

        class Nested(FakeLink):
            def write(self, line: bytes) -> Written:
                if line == b"1":
                    test.put(b"2")
                return super().write(line)

        self.courier.start(now=True)
        link = self.open(Nested())
        self.put(b"1")
        self.assertEqual(link.lines, [b"1", b"2"])


class DescribeTests(SynchronousTestCase):
    """``describe``."""

    def test_an_error_without_words_is_named(self) -> None:
        self.assertEqual(describe(ValueError()), "ValueError")
        self.assertEqual(describe(ValueError("why")), "why")
        self.assertEqual(describe(OSError(2, "No such file")), "No such file")
