"""Who may read a folder."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from netservices.config.rights import Reader, find_folder_fault, make_reader


def facts(mode: int, uid: int = 1, gid: int = 1) -> os.stat_result:
    """A folder's, as the kernel would tell them."""
    return os.stat_result((mode, 0, 0, 0, uid, gid, 0, 0, 0, 0))


class ReaderTests(SynchronousTestCase):
    """R3: a root that the run-time user can't read."""

    def test_first_class_that_fits_decides(self) -> None:
        owner, member, stranger, root = (
            Reader(1, frozenset()), Reader(2, {1}), Reader(3, frozenset({3})), Reader(0, frozenset()),
        )  # fmt: skip
        for mode, readers in (
            (0o500, [owner]),
            (0o050, [member]),
            (0o005, [stranger]),
            (0o755, [owner, member, stranger]),
        ):
            for reader in (owner, member, stranger):
                self.assertEqual(reader.may_list(facts(mode)), reader in readers, (mode, reader))
            self.assertTrue(root.may_list(facts(mode)))

    def test_entering_needs_no_reading(self) -> None:
        stranger = Reader(3, frozenset())
        self.assertTrue(stranger.may_enter(facts(0o711)))
        self.assertFalse(stranger.may_list(facts(0o711)))
        self.assertFalse(stranger.may_enter(facts(0o744)))

    def test_make_reader_is_this_process(self) -> None:
        self.assertEqual(make_reader().uid, os.geteuid())
        self.assertIn(os.getegid(), make_reader().gids)


class FindFolderFaultTests(SynchronousTestCase):
    """R3: a directory this machine lacks, a root the run-time user can't read."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.folder.chmod(0o755)
        self.stranger = Reader(54321, frozenset())

    def fault(self, path: Path) -> str:
        return find_folder_fault(path, self.stranger)

    def test_readable_folder_has_none(self) -> None:
        self.assertEqual(find_folder_fault(self.folder, make_reader()), "")
        self.assertEqual(self.fault(Path("/usr/bin")), "")

    def test_what_is_no_folder_is_told(self) -> None:
        self.assertEqual(self.fault(Path("/usr/gone/deeper")), "can't be read: No such file or directory")
        self.assertEqual(self.fault(Path("/etc/passwd")), "is not a folder")
        self.assertEqual(self.fault(Path("/a\0b")), "can't be read: its name holds a NUL")

    def test_folder_closed_to_the_reader_is_told(self) -> None:
        inner = self.folder / "inner"
        inner.mkdir()
        inner.chmod(0o700)
        self.assertIn("can't be", self.fault(inner))
        self.folder.chmod(0o600)
        self.addCleanup(self.folder.chmod, 0o700)
        self.assertIn("who may not enter", self.fault(inner))
