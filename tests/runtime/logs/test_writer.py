"""The writer thread."""

from __future__ import annotations

import errno
import os
import threading

from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.logs.courier import FLUSH_SECONDS
from netservices.runtime.logs.writer import Writer
from tests.runtime.logs.fakes import FakeReactor, FakeWatcher, as_reactor


class FakeOutput:
    """Keeps what is written; may be held, fail, or take little at a time."""

    def __init__(self) -> None:
        self.parts: list[list[bytes]] = [[]]
        self.free = threading.Event()
        self.free.set()
        self.entered = threading.Event()
        self.failures: list[OSError] = []
        self.fails_after = -1
        self.most = 1 << 30
        self.threads: set[int] = set()

    def write(self, octets: bytes) -> int:
        """As told."""
        self.threads.add(threading.get_ident())
        self.entered.set()
        if not self.free.wait(10):
            raise AssertionError("held for ever")
        if self.failures:
            raise self.failures.pop(0)
        if len(self.parts) == 1 and len(self.parts[0]) == self.fails_after:
            raise OSError(errno.EIO, "gone")
        self.parts[-1].append(octets[: self.most])
        return min(len(octets), self.most)

    def reopen(self) -> None:
        """Another part."""
        self.parts.append([])

    def text(self) -> bytes:
        """Everything."""
        return b"".join(b"".join(part) for part in self.parts)


class WriterTests(SynchronousTestCase):
    """``Writer``."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.watcher = FakeWatcher()
        self.output = FakeOutput()
        self.writer = self.make_writer()

    def make_writer(self, retry: float = 0.01) -> Writer:
        """One with room for three lines."""
        return Writer(as_reactor(self.reactor), self.output, limit=3, watch=self.watcher, retry=retry)

    def stop(self) -> None:
        """Stop, and wait until the thread has ended."""
        done = self.writer.stop()
        self.reactor.run_until(lambda: done.called)
        self.successResultOf(done)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_lines_wait_for_start_and_are_written_by_another_thread(self) -> None:
        """R34: the reactor never waits for the disk."""
        self.writer.put(b"1\n")
        self.assertFalse(self.output.threads)
        self.writer.start()
        self.writer.start()
        self.writer.put(b"2\n")
        self.stop()
        self.assertEqual(self.output.text(), b"1\n2\n")
        self.assertEqual(len(self.output.threads), 1)
        self.assertNotIn(threading.get_ident(), self.output.threads)

    def test_stop_before_start_writes_too(self) -> None:
        self.writer.put(b"1\n")
        self.stop()
        self.writer.put(b"late\n")
        self.assertEqual(self.output.text(), b"1\n")

    def test_finish_writes_without_the_reactor(self) -> None:
        """R2: the reason why a start failed is written although the reactor never runs."""
        self.writer.start()
        self.writer.put(b"1\n")
        self.writer.finish()
        self.assertEqual(self.output.text(), b"1\n")
        self.stop()

    def test_a_held_place_drops_the_newest_and_says_so(self) -> None:
        """R32."""
        self.output.free.clear()
        self.writer.start()
        self.writer.put(b"0\n")
        self.assertTrue(self.output.entered.wait(10))
        for line in (b"1\n", b"2\n", b"3\n", b"4\n", b"5\n"):
            self.writer.put(line)
        self.output.free.set()
        self.reactor.run_until(lambda: self.writer.dropped == 0)
        self.stop()
        self.assertEqual(self.output.text(), b"0\n1\n2\n3\ndropped 2\n")

    def test_the_count_stands_before_the_next_line(self) -> None:
        """R32."""
        for line in (b"1\n", b"2\n", b"3\n", b"4\n"):
            self.writer.put(line)
        self.writer.start()
        self.reactor.run_until(lambda: self.writer.dropped == 0)
        self.writer.put(b"5\n")
        self.stop()
        self.assertEqual(self.output.text(), b"1\n2\n3\ndropped 1\n5\n")

    def test_a_full_disk_is_tried_again_and_reported_once(self) -> None:
        """R34."""
        self.output.failures = [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) for _ in range(3)]
        self.writer.put(b"1\n")
        self.writer.start()
        self.reactor.run_until(lambda: self.watcher.happened[-1:] == ["recovered"])
        self.assertEqual(self.watcher.happened, ["failed: No space left on device", "recovered"])
        self.stop()
        self.assertEqual(self.output.text(), b"1\n")

    def test_a_line_that_was_cut_is_continued(self) -> None:
        self.output.most = 3
        self.writer.put(b"12345678\n")
        self.stop()
        self.assertEqual(self.output.text(), b"12345678\n")

    def test_reopen_opens_anew(self) -> None:
        """R34."""
        self.writer.start()
        self.writer.put(b"1\n")
        self.assertTrue(self.output.entered.wait(10))
        self.writer.reopen()
        self.stop()
        self.assertEqual(len(self.output.parts), 3)

    def test_reopen_ends_the_wait_after_a_failure_and_starts_with_a_whole_line(self) -> None:
        """R34."""
        self.writer = self.make_writer(retry=30)
        self.output.most = 4
        self.writer.put(b"1\n")
        self.writer.put(b"2345\n")
        self.output.free.clear()
        self.writer.start()
        self.assertTrue(self.output.entered.wait(10))
        self.output.fails_after = 1
        self.output.free.set()
        self.reactor.run_until(lambda: self.watcher.happened)
        self.writer.reopen()
        self.stop()
        self.assertEqual(b"".join(self.output.parts[0]), b"1\n23")
        self.assertEqual(b"".join(self.output.parts[1]), b"2345\n")

    def test_stop_gives_up_a_full_disk(self) -> None:
        """R32."""
        self.writer = self.make_writer(retry=30)
        self.output.failures = [OSError(errno.ENOSPC, "full") for _ in range(100)]
        self.writer.put(b"1\n")
        self.writer.start()
        self.reactor.run_until(lambda: self.watcher.happened)
        self.stop()
        self.assertEqual(self.output.text(), b"")

    def test_stop_gives_up_a_held_place_in_time(self) -> None:
        """R32."""
        self.output.free.clear()
        self.writer.put(b"1\n")
        self.writer.start()
        done = self.writer.stop()
        again = self.writer.stop()
        self.reactor.advance(FLUSH_SECONDS)
        self.successResultOf(done)
        self.successResultOf(again)
        self.output.free.set()
        self.reactor.run_call()
