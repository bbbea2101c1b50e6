"""Files, stderr and the console."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.logs.outputs import ConsoleOutput, FileOutput, StderrOutput


class FileOutputTests(SynchronousTestCase):
    """``FileOutput``."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "log"
        self.output = FileOutput(self.path)
        self.addCleanup(self.output.reopen)

    def test_the_file_is_made_0640_whatever_the_umask(self) -> None:
        """R34."""
        self.addCleanup(os.umask, os.umask(0o777))
        self.output.write(b"1\n")
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o640)

    def test_what_is_there_is_kept(self) -> None:
        self.path.write_bytes(b"0\n")
        self.output.write(b"1\n")
        self.assertEqual(self.path.read_bytes(), b"0\n1\n")

    def test_after_reopen_a_renamed_file_is_left_alone(self) -> None:
        """R34."""
        self.output.write(b"1\n")
        old = self.path.rename(self.folder / "log.1")
        self.output.write(b"2\n")
        self.output.reopen()
        self.output.write(b"3\n")
        self.assertEqual((old.read_bytes(), self.path.read_bytes()), (b"1\n2\n", b"3\n"))

    def test_a_link_is_refused(self) -> None:
        self.path.symlink_to(self.folder / "elsewhere")
        with self.assertRaises(OSError):
            self.output.write(b"1\n")
        self.assertFalse((self.folder / "elsewhere").exists())

    def test_what_is_no_file_is_refused(self) -> None:
        os.mkfifo(self.path)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        with self.assertRaises(OSError) as caught:
            self.output.write(b"1\n")
        self.assertIn("not a regular file", str(caught.exception))

    def test_a_missing_folder_is_an_error(self) -> None:
        with self.assertRaises(FileNotFoundError):
            FileOutput(self.folder / "none" / "log").write(b"1\n")

    def test_a_file_that_root_makes_belongs_to_the_folders_owner(self) -> None:
        """R7, R34: it can be opened again after root's rights are gone."""
        if os.geteuid() != 0:
            self.skipTest("needs root, to make a folder another account's")
        os.chown(self.folder, 12345, 12346)
        self.output.write(b"1\n")
        found = self.path.stat()
        self.assertEqual((found.st_uid, found.st_gid), (12345, 12346))


class StderrOutputTests(SynchronousTestCase):
    """``StderrOutput``."""

    def test_a_full_pipe_that_does_not_block_is_waited_for(self) -> None:
        """R32."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        os.set_blocking(writer, False)
        try:
            while True:
                os.write(writer, b"x" * 4096)
        except BlockingIOError:
            pass
        output = StderrOutput(writer)
        self.assertEqual(output.write(b"y"), 0)
        os.read(reader, 1 << 20)
        self.assertEqual(output.write(b"y"), 1)
        output.reopen()
        self.assertEqual(output.write(b"z"), 1)

    def test_a_broken_pipe_is_an_error(self) -> None:
        """R32."""
        reader, writer = os.pipe()
        os.close(reader)
        self.addCleanup(os.close, writer)
        with self.assertRaises(BrokenPipeError):
            StderrOutput(writer).write(b"y")


class ConsoleOutputTests(SynchronousTestCase):
    """``ConsoleOutput``."""

    def test_it_is_opened_for_each_write(self) -> None:
        """R31."""
        path = Path(self.mktemp())
        path.touch()
        output = ConsoleOutput(path)
        self.assertEqual(output.write(b"1\r\n"), 3)
        output.reopen()
        self.assertEqual(path.read_bytes(), b"1\r\n")

    def test_a_console_that_is_not_there_is_no_error(self) -> None:
        """R31."""
        self.assertEqual(ConsoleOutput(Path(self.mktemp())).write(b"1\r\n"), 3)
