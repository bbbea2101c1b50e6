"""From a target to the disk."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.confined import ConfinedRoot, Forbidden
from netservices.services.web.lookup import Found, Missing, Moved, Tree, Unchanged, is_hidden, make_state


class LookUpTests(SynchronousTestCase):
    """A small tree; each result is one of four."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        (self.path / "d").mkdir(parents=True)
        (self.path / "f").write_bytes(b"12345")
        self.tree = Tree(ConfinedRoot(self.path), (b"index.html", b"f"), small=5)
        self.later = time.time() + 10

    def find(self, *segments: bytes, directory: bool = False) -> Found:
        """What must be a file."""
        found = self.tree.look_up(segments, directory=directory, now=self.later)
        assert isinstance(found, Found)
        self.addCleanup(found.close)
        return found

    def test_small_file_is_read_and_large_one_opened(self) -> None:
        """Up to the limit, and one byte beyond it."""
        found = self.find(b"f")
        self.assertEqual((found.content, found.file, found.settled), (b"12345", None, True))
        (self.path / "f").write_bytes(b"123456")
        found = self.find(b"f")
        assert found.file is not None
        self.assertEqual((found.content, os.pread(found.file.fd, 10, 0)), (None, b"123456"))

    def test_other_results(self) -> None:
        """A directory without its slash, one without an index, a file with a slash, nothing."""
        for segments, directory, expected in (
            ((b"d",), False, Moved()),
            ((b"d",), True, Missing(403)),
            ((b"f",), True, Missing(404)),
            ((b"none",), False, Missing(404)),
            ((b".f",), False, Missing(404)),
        ):
            self.assertEqual(self.tree.look_up(segments, directory=directory, now=self.later), expected)
        self.assertEqual(self.find(directory=True).name, b"f")

    def test_known_state_is_not_read_again(self) -> None:
        """And a change of size, time or rights is another state."""
        found = self.find(b"f")
        state = make_state(found.stat)
        self.assertEqual(self.tree.look_up((b"f",), directory=False, now=self.later, known=state), Unchanged())
        (self.path / "f").chmod(0o600)
        self.assertIsInstance(self.tree.look_up((b"f",), directory=False, now=self.later, known=state), Found)

    def test_file_just_changed_has_not_settled(self) -> None:
        """It could change once more within a tick of the file system's clock."""
        now = (self.path / "f").stat().st_ctime
        found = self.tree.look_up((b"f",), directory=False, now=now + 0.01)
        assert isinstance(found, Found)
        self.assertFalse(found.settled)

    def test_unreadable_file_is_forbidden(self) -> None:
        """It is there, and the daemon's user may not read it: 403, of an index file too."""

        class Closed:
            """A root with rights that root, who runs tests too, would not meet."""

            def __init__(self, root: ConfinedRoot) -> None:
                self.root = root

            def open(self, segments: tuple[bytes, ...]) -> object:
                if segments[-1:] == (b"f",):
                    raise Forbidden
                return self.root.open(segments)

        tree = Tree(cast("ConfinedRoot", Closed(self.tree.root)), (b"f",), small=5)
        self.assertEqual(tree.look_up((b"f",), directory=False, now=self.later), Missing(403))
        self.assertEqual(tree.look_up((), directory=True, now=self.later), Missing(403))

    def test_hidden_names(self) -> None:
        """H9: a dot anywhere, except well-known at the root."""
        for segments, hidden in (
            ((b"a", b"b"), False),
            ((b".a",), True),
            ((b"a", b".b"), True),
            ((b".well-known", b"x"), False),
            ((b".well-known", b".x"), True),
            ((b"a", b".well-known"), True),
            ((), False),
        ):
            self.assertEqual(is_hidden(segments), hidden)
