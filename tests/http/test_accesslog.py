"""The access log: batches, limits, rotation, a file that cannot be written."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netservices.http.accesslog import AccessLog
from netservices.runtime import EventLog
from netservices.runtime.files import ImmediateFiles
from netservices.runtime.workers import IReopenable


class AccessLogTests(SynchronousTestCase):
    """One log."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.clock = Clock()
        self.files = ImmediateFiles()
        self.events: list[dict[str, Any]] = []

    def start(self, most: int = 1000) -> AccessLog:
        """A log that runs until the test ends."""
        log = AccessLog(
            self.path, files=self.files, clock=self.clock, log=EventLog(cast("Any", self.events.append)), most=most
        )
        log.startService()
        self.addCleanup(lambda: self.successResultOf(log.stopService()) if log.running else None)
        return log

    def test_lines_are_written_within_a_second(self) -> None:
        """Gathered first, and none is waited for."""
        log = self.start()
        self.assertEqual(self.path.read_bytes(), b"")
        log.add(b"one\n")
        log.add(b"two\n")
        self.assertEqual(self.path.read_bytes(), b"")
        self.clock.advance(0.5)
        self.assertEqual(self.path.read_bytes(), b"one\ntwo\n")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_many_lines_do_not_wait(self) -> None:
        """A full batch is written at once."""
        log = self.start(most=100_000)
        for _ in range(512):
            log.add(b"line\n")
        self.assertEqual(self.path.read_bytes(), b"line\n" * 512)
        self.clock.advance(1)

    def test_last_lines_are_written_at_the_end(self) -> None:
        """Stopping loses nothing, while a write is under way too."""
        log = self.start()
        self.files.hold()
        log.add(b"one\n")
        self.clock.advance(0.5)
        log.add(b"two\n")
        stopped = log.stopService()
        self.assertNoResult(stopped)
        self.files.release()
        self.successResultOf(stopped)
        self.assertEqual(self.path.read_bytes(), b"one\ntwo\n")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_renamed_file_is_left(self) -> None:
        """R34: after SIGHUP, lines go to what has the name now."""
        log = self.start()
        log.add(b"one\n")
        self.clock.advance(0.5)
        log.add(b"also one\n")
        old = self.path.rename(self.path.with_suffix(".1"))
        IReopenable(log).reopen()
        self.assertEqual(self.path.read_bytes(), b"")
        log.add(b"two\n")
        self.clock.advance(0.5)
        self.assertEqual((old.read_bytes(), self.path.read_bytes()), (b"one\nalso one\n", b"two\n"))

    def test_slow_disk_costs_lines_not_memory(self) -> None:
        """R32: what does not fit is counted, and told when there is room."""
        log = self.start(most=100)
        self.files.hold()
        for _ in range(3):
            for _ in range(5):
                log.add(b"ten bytes\n")
            self.clock.advance(0.5)
        self.assertEqual(self.events, [])
        self.files.release()
        self.assertEqual(self.path.read_bytes(), b"ten bytes\n" * 10)
        self.assertEqual(self.events[0]["event"], "http.accesslog.recovered")
        self.assertEqual(self.events[0]["lines"], 5)

    def test_unwritable_file_is_told_once(self) -> None:
        """R32: at start, not for each batch; and again when it is over."""
        self.path.mkdir()
        log = self.start()
        for _ in range(3):
            log.add(b"line\n")
            self.clock.advance(0.5)
        self.assertEqual([event["event"] for event in self.events], ["http.accesslog.failed"])
        self.path.rmdir()
        log.add(b"line\n")
        self.clock.advance(0.5)
        self.assertEqual(self.events[-1]["lines"], 3)
        self.assertEqual(self.path.read_bytes(), b"line\n")

    def test_full_disk_closes_the_file(self) -> None:
        """R32: a write that fails half way."""
        self.path.symlink_to("/dev/full")
        log = self.start()
        log.add(b"line\n")
        self.clock.advance(0.5)
        self.assertEqual(self.events[-1]["event"], "http.accesslog.failed")
