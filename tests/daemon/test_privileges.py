"""Who the daemon runs as; what only a process of its own can show is in tests.live.test_privileges."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from netservices.daemon.privileges import PrivilegeError, acting_as, choose_user, drop, give, make_reader_of
from netservices.runtime.children import RunAs

NOBODY = RunAs("nobody", 65534, 65534, (65534,))
NO_ONE = "no-such-user-here"


class ChooseUserTests(SynchronousTestCase):
    """R7: whom to become."""

    def setUp(self) -> None:
        self.name = pwd.getpwuid(65534).pw_name

    def test_root_without_a_user_in_the_file_is_refused(self) -> None:
        """R7."""
        error = self.assertRaises(PrivilegeError, choose_user, None, uid=0)
        self.assertIn("[daemon] user", str(error))
        self.assertNotIn("\n", str(error))

    def test_root_becomes_the_user_of_the_file(self) -> None:
        """R7."""
        chosen = choose_user(self.name, uid=0)
        assert chosen is not None
        self.assertEqual((chosen.name, chosen.uid), (self.name, 65534))
        self.assertIn(chosen.gid, chosen.groups)
        self.assertNotIn(0, chosen.groups)

    def test_root_that_is_named_stays(self) -> None:
        """R7: on purpose."""
        self.assertIsNone(choose_user("root", uid=0))

    def test_ordinary_user_stays_what_it_is(self) -> None:
        """R7."""
        self.assertIsNone(choose_user(None, uid=65534))
        self.assertIsNone(choose_user(self.name, uid=65534))

    def test_ordinary_user_becomes_nobody_else(self) -> None:
        """R7: one clear line."""
        for name in ("root", self.name):
            error = self.assertRaises(PrivilegeError, choose_user, name, uid=54321)
            self.assertIn(name, str(error))
            self.assertIn("54321", str(error))
            self.assertNotIn("\n", str(error))

    def test_unknown_user_is_named(self) -> None:
        error = self.assertRaises(PrivilegeError, choose_user, NO_ONE, uid=0)
        self.assertIn(NO_ONE, str(error))

    def test_files_are_judged_for_the_user_and_all_its_groups(self) -> None:
        reader = make_reader_of(RunAs("x", 5, 6, (7, 8)))
        self.assertEqual((reader.uid, reader.gids), (5, {6, 7, 8}))


class DropTests(SynchronousTestCase):
    """R7: what can't be dropped to."""

    def test_root_is_refused(self) -> None:
        self.assertRaises(PrivilegeError, drop, RunAs("root", 0, 0, (0,)))


class ActingAsTests(SynchronousTestCase):
    """Files are made by whom they belong to."""

    def test_nobody_else_is_nobody_else(self) -> None:
        before = os.geteuid()
        with acting_as(None):
            self.assertEqual(os.geteuid(), before)

    def test_files_belong_to_the_user(self) -> None:
        if os.geteuid() != 0:
            raise SkipTest("only root can act as somebody else")
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        folder.chmod(0o755)
        os.chown(folder, NOBODY.uid, NOBODY.gid)
        # The folder of the tests may be closed to others; the path below a descriptor is not.
        descriptor = os.open(folder, os.O_PATH)
        self.addCleanup(os.close, descriptor)
        before = (os.geteuid(), os.getegid(), os.getgroups())
        with acting_as(NOBODY):
            self.assertEqual(os.getgroups(), [65534])
            os.close(os.open("made", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
            self.assertRaises(PermissionError, os.open, "/etc/shadow", os.O_RDONLY)
        self.assertEqual((os.geteuid(), os.getegid(), os.getgroups()), before)
        self.assertEqual((folder / "made").stat().st_uid, NOBODY.uid)

    def test_rights_come_back_after_an_error(self) -> None:
        if os.geteuid() != 0:
            raise SkipTest("only root can act as somebody else")

        def fail() -> None:
            with acting_as(NOBODY):
                raise ZeroDivisionError

        self.assertRaises(ZeroDivisionError, fail)
        self.assertEqual((os.geteuid(), os.getegid()), (0, 0))

    def test_ordinary_user_can_not(self) -> None:
        if os.geteuid() == 0:
            raise SkipTest("root can act as anybody")
        self.assertRaises(PrivilegeError, acting_as(RunAs("root", 0, 0, (0,))).__enter__)


class GiveTests(SynchronousTestCase):
    """What was made as root is given away, and nothing else."""

    def setUp(self) -> None:
        self.top = Path(self.mktemp()).absolute()
        (self.top / "inner").mkdir(parents=True)
        (self.top / "inner" / "file").write_text("x")
        self.outside = Path(self.mktemp()).absolute()
        self.outside.write_text("precious")
        (self.top / "link").symlink_to(self.outside)
        (self.top / "folder").symlink_to("/etc")

    def test_all_below_is_given(self) -> None:
        """R7."""
        if os.geteuid() != 0:
            raise SkipTest("only root can give files away")
        os.mkfifo(self.top / "pipe")
        self.assertEqual(give(self.top, NOBODY), 4)
        for path in (self.top, self.top / "inner", self.top / "inner" / "file", self.top / "pipe"):
            self.assertEqual((path.stat().st_uid, path.stat().st_gid), (65534, 65534), path)
        self.assertEqual(self.outside.stat().st_uid, 0)
        self.assertEqual(Path("/etc").stat().st_uid, 0)
        self.assertEqual(give(self.top, NOBODY), 0)

    def test_file_with_a_second_name_stays_roots(self) -> None:
        """R7: a link that the user made to a file of root's does not give that file away."""
        if os.geteuid() != 0:
            raise SkipTest("only root can give files away")
        (self.top / "hard").hardlink_to(self.outside)
        give(self.top, NOBODY)
        self.assertEqual(self.outside.stat().st_uid, 0)

    def test_ordinary_user_has_nothing_to_give(self) -> None:
        if os.geteuid() == 0:
            raise SkipTest("root has")
        self.assertEqual(give(self.top, NOBODY), 0)
