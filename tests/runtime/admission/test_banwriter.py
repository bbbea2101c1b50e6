"""Bans on their way to the disk."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.admission.banstore import Ban, BanStoreError, MemoryBanStore
from netservices.runtime.admission.banwriter import BanWriter
from netservices.runtime.events import EventLog
from netservices.runtime.files import ImmediateFiles
from tests.doubles import RecordedEvents

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted.internet.interfaces import IReactorTime

    from netservices.runtime.admission.access import Network

ONE = Ban(ip_network("192.0.2.1/32"), 1.0, None, "first", "files")
AGAIN = Ban(ip_network("192.0.2.1/32"), 2.0, None, "second", "files")
TWO = Ban(ip_network("192.0.2.2/32"), 3.0, None, "third", "files")


class BrokenStore(MemoryBanStore):
    """A store that fails while ``broken``, and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = False
        self.saves: list[int] = []

    def save(self, changes: Iterable[tuple[Network, Ban | None]]) -> None:
        changes = list(changes)
        self.saves.append(len(changes))
        if self.broken:
            raise BanStoreError("the disk is full")
        super().save(changes)


class BanWriterTests(SynchronousTestCase):
    """R13: behind the events, in order, bounded, and never on the reactor's thread."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = BrokenStore()
        self.pool = ImmediateFiles()
        self.events = RecordedEvents()
        self.writer = self.make(most=100)

    def make(self, most: int) -> BanWriter:
        return BanWriter(self.store, self.pool, cast("IReactorTime", self.clock), EventLog(self.events), most=most)

    def test_change_is_written(self) -> None:
        self.writer.note(ONE.network, ONE)
        self.assertEqual((self.store.load(), self.writer.pending), ([ONE], 0))
        self.writer.note(ONE.network, None)
        self.assertEqual(self.store.load(), [])

    def test_changes_meanwhile_are_written_together_and_only_the_latest_of_a_network(self) -> None:
        self.pool.hold()
        self.writer.note(TWO.network, TWO)
        for ban in (ONE, None, AGAIN):
            self.writer.note(ONE.network, ban)
        self.writer.note(TWO.network, None)
        self.assertEqual(self.writer.pending, 3)
        self.pool.release()
        self.assertEqual((self.store.load(), self.store.saves), ([AGAIN], [1, 2]))

    def test_saved_is_told_when_it_is_on_the_disk(self) -> None:
        self.pool.hold()
        self.writer.note(TWO.network, TWO)
        first, second = self.writer.save(ONE.network, ONE), self.writer.save(ONE.network, AGAIN)
        self.assertNoResult(first)
        self.pool.release()
        self.assertIsNone(self.successResultOf(first))
        self.assertIsNone(self.successResultOf(second))
        self.assertEqual(self.store.load(), [AGAIN, TWO])

    def test_failure_is_told_once_and_tried_again(self) -> None:
        self.store.broken = True
        self.writer.note(ONE.network, ONE)
        self.writer.note(TWO.network, TWO)
        self.clock.advance(10.0)
        self.assertEqual(self.store.saves, [1, 2])
        self.assertEqual([event["reason"] for event in self.events.named("daemon.bans.unsaved")], ["the disk is full"])
        self.store.broken = False
        self.clock.advance(10.0)
        self.assertEqual(self.store.load(), [ONE, TWO])
        self.store.broken = True
        self.writer.note(TWO.network, None)
        self.assertEqual(len(self.events.named("daemon.bans.unsaved")), 2)
        self.writer.stop()

    def test_later_change_wins_over_one_that_failed(self) -> None:
        self.store.broken = True
        self.pool.hold()
        self.writer.note(ONE.network, ONE)
        self.writer.note(ONE.network, AGAIN)
        self.pool.release()
        self.store.broken = False
        self.clock.advance(10.0)
        self.assertEqual(self.store.load(), [AGAIN])

    def test_who_waits_is_told_of_the_failure(self) -> None:
        self.store.broken = True
        failed = self.failureResultOf(self.writer.save(ONE.network, ONE), BanStoreError)
        self.assertEqual(str(failed.value), "the disk is full")
        self.pool.hold()
        writing, waiting = self.writer.save(ONE.network, ONE), self.writer.save(TWO.network, TWO)
        self.pool.release()
        for saved in (writing, waiting):
            self.failureResultOf(saved, BanStoreError)
        self.store.broken = False
        self.successResultOf(self.writer.save(ONE.network, AGAIN))
        self.assertEqual((self.store.load(), self.clock.getDelayedCalls()), ([AGAIN, TWO], []))

    def test_what_waits_is_bounded(self) -> None:
        self.writer = self.make(most=1)
        self.pool.hold()
        self.writer.note(MORE[0], None)
        self.writer.note(ONE.network, ONE)
        self.writer.note(ONE.network, AGAIN)
        self.writer.note(TWO.network, TWO)
        self.failureResultOf(self.writer.save(MORE[1], None), BanStoreError)
        self.pool.release()
        self.assertEqual(self.store.load(), [AGAIN])
        self.assertEqual(len(self.events.named("daemon.bans.unsaved")), 1)

    def test_large_change_is_written_in_parts(self) -> None:
        self.writer = self.make(most=10_000)
        self.pool.hold()
        for number in range(1500):
            self.writer.note(ip_network((number, 32)), None)
        self.pool.release()
        self.assertEqual(self.store.saves, [1, 512, 512, 475])

    def test_stop_writes_what_waits(self) -> None:
        self.pool.hold()
        self.writer.note(ONE.network, ONE)
        self.writer.note(TWO.network, TWO)
        stopped = self.writer.stop()
        self.assertNoResult(stopped)
        self.pool.release()
        self.successResultOf(stopped)
        self.assertEqual(self.store.load(), [ONE, TWO])
        self.writer.note(ONE.network, None)
        self.failureResultOf(self.writer.save(ONE.network, None), BanStoreError)
        self.assertEqual(self.store.load(), [ONE, TWO])

    def test_stop_gives_up_at_a_failure(self) -> None:
        self.store.broken = True
        self.writer.note(ONE.network, ONE)
        self.pool.hold()
        saved = self.writer.save(TWO.network, TWO)
        stopped = self.writer.stop()
        self.pool.release()
        self.successResultOf(stopped)
        self.failureResultOf(saved, BanStoreError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_pool_that_takes_nothing_is_a_failure(self) -> None:
        self.pool.stop()
        self.failureResultOf(self.writer.save(ONE.network, ONE), BanStoreError)
        self.successResultOf(self.writer.stop())


MORE = (ip_network("198.51.100.1/32"), ip_network("198.51.100.2/32"))
