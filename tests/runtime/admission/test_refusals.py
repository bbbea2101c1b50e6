"""What the log says of refusals: a line per peer and minute, however many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from twisted.internet.task import Clock
from twisted.logger import LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.addresses import Address
from netservices.runtime.admission.refusals import RefusalLog
from netservices.runtime.events import EventLog

if TYPE_CHECKING:
    from twisted.logger import ILogObserver

A = Address("192.0.2.1", 1000)
B = Address("192.0.2.2", 1000)


class RefusalLogTests(SynchronousTestCase):
    """R12: logged once per peer per minute, with a count and the rule that refused."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.events: list[dict[str, Any]] = []
        self.log = self.make(1024)

    def make(self, followed: int) -> RefusalLog:
        """A log that follows so many peers."""
        return RefusalLog(
            self.clock, EventLog(cast("ILogObserver", self.events.append), service="www"), followed=followed
        )

    def lines(self) -> list[tuple[str, int, str]]:
        """Peer, count and rule of every line since the last look."""
        lines = [(event["peer"], event["count"], event["rule"]) for event in self.events]
        self.events.clear()
        return lines

    def refuse(self, peer: Address, rule: str = "some rule", times: int = 1) -> None:
        """``peer`` is refused."""
        for _ in range(times):
            self.log.note(peer.host, peer, rule)

    def test_first_refusal_is_written_at_once(self) -> None:
        """R12: as one event with the fields an operator filters by."""
        self.refuse(A, "deny 192.0.2.0/24 (netservices.toml:7)")
        [event] = self.events
        assert event["event"] == "daemon.peer.refused"
        assert event["log_level"] is LogLevel.warn
        assert event["service"] == "www"
        assert formatEvent(event) == "www refused 192.0.2.1, count 1: deny 192.0.2.0/24 (netservices.toml:7)"

    def test_further_ones_of_the_minute_make_one_line_when_it_is_over(self) -> None:
        """R12."""
        self.refuse(A, "limits.rate")
        self.refuse(A, "limits.rate", times=998)
        self.refuse(A, "limits.per_peer")
        assert self.lines() == [("192.0.2.1", 1, "limits.rate")]
        self.clock.advance(59.75)
        assert self.lines() == []
        self.clock.advance(0.25)
        assert self.lines() == [("192.0.2.1", 999, "limits.per_peer")]

    def test_flood_makes_one_line_a_minute_and_none_after_it(self) -> None:
        """R12: ten minutes of two refusals a second."""
        for _ in range(1200):
            self.refuse(A)
            self.clock.advance(0.5)
        lines = self.lines()
        assert sum(count for _, count, _ in lines) == 1200
        assert len(lines) == 11
        self.clock.advance(60)
        assert self.lines() == []
        assert self.clock.getDelayedCalls() == []

    def test_single_refusal_makes_no_second_line(self) -> None:
        """R12: and after its minute it is new again."""
        self.refuse(A)
        self.clock.advance(60)
        assert len(self.lines()) == 1
        assert self.clock.getDelayedCalls() == []
        self.refuse(A, "again")
        assert self.lines() == [("192.0.2.1", 1, "again")]

    def test_each_peer_has_its_own_minute(self) -> None:
        """R12."""
        self.refuse(A, times=2)
        self.clock.advance(30)
        self.refuse(B, times=3)
        assert self.lines() == [("192.0.2.1", 1, "some rule"), ("192.0.2.2", 1, "some rule")]
        self.clock.advance(30)
        assert self.lines() == [("192.0.2.1", 1, "some rule")]
        self.clock.advance(30)
        assert self.lines() == [("192.0.2.2", 2, "some rule")]

    def test_unix_peer_is_named_by_its_path(self) -> None:
        """R12."""
        self.log.note("", Address("", 0, "/run/client"), "limits.sessions")
        assert self.lines() == [("unix:/run/client", 1, "limits.sessions")]

    def test_peers_beyond_the_cap_share_a_line(self) -> None:
        """R12, R16: a flood of addresses costs as many lines as peers are followed, and one."""
        self.log = self.make(2)
        for number in range(100):
            self.refuse(Address(f"198.51.100.{number}"), times=2)
        assert [line[:2] for line in self.lines()] == [("198.51.100.0", 1), ("198.51.100.1", 1), ("others", 1)]
        assert len(self.log._followed) == 3
        self.clock.advance(60)
        assert [line[:2] for line in self.lines()] == [("198.51.100.0", 1), ("198.51.100.1", 1), ("others", 195)]

    def test_many_lines_due_at_once_are_written_in_turns(self) -> None:
        """R12: the reactor has its turn between two batches."""
        for number in range(100):
            self.refuse(Address(f"198.51.100.{number}"), times=2)
        self.lines()
        written: list[int] = []

        def look() -> None:
            written.append(len(self.lines()))
            if len(written) < 20:
                self.clock.callLater(0, look)

        self.clock.callLater(60, look)
        self.clock.advance(60)
        assert sum(written) == 100
        assert max(written) <= 32

    def test_stop_writes_what_was_counted_and_leaves_no_timer(self) -> None:
        """R12: a daemon that ends does not keep a count to itself."""
        self.refuse(A, times=5)
        self.refuse(B)
        self.lines()
        self.log.stop()
        assert self.lines() == [("192.0.2.1", 4, "some rule")]
        assert self.clock.getDelayedCalls() == []
        self.log.stop()
        self.refuse(A, times=2)
        assert self.lines() == []
        assert self.clock.getDelayedCalls() == []
