"""Tests of netservices.runtime.tls.watch."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.files import FilePool, ImmediateFiles
from netservices.runtime.tls.watch import PERIOD, CertificateWatch


class CertificateWatchTests(SynchronousTestCase):
    """R19: files that somebody has renewed are noticed."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.paths = [self.folder / "host.pem", self.folder / "host.key"]
        for path in self.paths:
            path.write_text("first")
        self.told = 0
        self.answer: Deferred[None] = succeed(None)

    def start(self, files: FilePool | None = None) -> CertificateWatch:
        watch = CertificateWatch(self.clock, files or ImmediateFiles(), lambda: self.paths, self.changed)
        watch.start()
        self.addCleanup(watch.stop)
        return watch

    def changed(self) -> Deferred[None]:
        self.told += 1
        return self.answer

    def replace(self, path: Path, text: str) -> None:
        """As tools do: another file in its place."""
        other = path.with_suffix(".new")
        other.write_text(text)
        other.replace(path)

    def after(self, minutes: int) -> int:
        self.clock.pump([PERIOD] * minutes)
        return self.told

    def test_nothing_is_told_while_nothing_changes(self) -> None:
        self.start()
        self.assertEqual(self.after(5), 0)

    def test_a_change_is_told_once_it_has_settled(self) -> None:
        self.start()
        self.replace(self.paths[0], "second")
        self.assertEqual(self.after(1), 0)
        self.replace(self.paths[1], "second")
        self.assertEqual(self.after(1), 0)
        self.assertEqual(self.after(1), 1)
        self.assertEqual(self.after(5), 1)

    def test_the_same_length_written_in_place_is_a_change(self) -> None:
        self.start()
        self.paths[0].write_text("other")
        os.utime(self.paths[0], ns=(1, 1))
        self.assertEqual(self.after(2), 1)

    def test_what_a_link_leads_to_counts(self) -> None:
        link = self.folder / "live.pem"
        link.symlink_to(self.paths[0])
        self.paths = [link]
        self.start()
        link.unlink()
        link.symlink_to(self.folder / "host.key")
        self.assertEqual(self.after(2), 1)

    def test_a_file_that_goes_and_comes_back_is_told(self) -> None:
        self.start()
        kept = self.folder / "kept"
        self.paths[0].rename(kept)
        self.assertEqual(self.after(2), 1)
        kept.rename(self.paths[0])
        self.assertEqual(self.after(2), 2)

    def test_other_files_than_before_are_no_change(self) -> None:
        self.start()
        self.paths = self.paths[:1]
        self.assertEqual(self.after(3), 0)
        self.replace(self.paths[0], "second")
        self.assertEqual(self.after(2), 1)

    def test_nothing_is_looked_at_while_a_change_is_taken_over(self) -> None:
        self.answer = Deferred()
        self.start()
        self.replace(self.paths[0], "second")
        self.assertEqual(self.after(2), 1)
        self.replace(self.paths[0], "third")
        self.assertEqual(self.after(5), 1)
        self.answer.callback(None)
        self.answer = succeed(None)
        self.assertEqual(self.after(3), 2)

    def test_threads_that_are_busy_are_asked_again(self) -> None:
        files = ImmediateFiles(size=0, queue=1)
        files.hold()
        self.start(files)
        watch = self.start(files)
        self.assertEqual(self.after(2), 0)
        files.release()
        self.after(1)
        self.replace(self.paths[0], "second")
        self.after(3)
        self.assertEqual(self.told, 2)
        watch.stop()

    def test_it_ends_with_the_threads(self) -> None:
        files = ImmediateFiles()
        files.hold()
        watch = self.start(files)
        watch.stop()
        watch.stop()
        files.release()
        self.assertEqual(self.clock.getDelayedCalls(), [])
