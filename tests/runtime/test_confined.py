"""Files below a root, and nothing else."""

from __future__ import annotations

import errno
import os
import resource
import socket
import threading
import warnings
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from netservices.runtime.confined import ConfinedError, ConfinedRoot, Forbidden, NotFound, Opened

PATIENCE = 30.0


def open_descriptors() -> int:
    """How many this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


class ConfinedTestCase(SynchronousTestCase):
    """A root with a file, a directory with a file, and a secret beside the root. No test leaks a descriptor."""

    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.path = self.base / "root"
        (self.path / "dir").mkdir(parents=True)
        (self.path / "file").write_bytes(b"a file")
        (self.path / "dir" / "inner").write_bytes(b"inside")
        (self.base / "secret").write_bytes(b"secret")
        (self.base / "rooted").mkdir()
        (self.base / "rooted" / "file").write_bytes(b"secret")
        self.root = ConfinedRoot(self.path)
        before = open_descriptors()
        self.addCleanup(lambda: self.assertEqual(open_descriptors(), before))

    def link(self, name: str, target: str | Path) -> None:
        """Make a symbolic link in the root."""
        (self.path / name).symlink_to(target)

    def read(self, *segments: bytes, root: ConfinedRoot | None = None) -> bytes:
        """What is in a file."""
        with (root or self.root).open(segments) as opened:
            return os.pread(opened.fd, 100, 0)

    def assert_not_found(self, *segments: bytes, root: ConfinedRoot | None = None) -> None:
        """Neither opened nor looked at."""
        self.assertRaises(NotFound, (root or self.root).open, segments)
        self.assertRaises(NotFound, (root or self.root).stat, segments)


class OpenTests(ConfinedTestCase):
    """Plain files and directories."""

    def test_files_are_opened(self) -> None:
        self.assertEqual(self.read(b"file"), b"a file")
        self.assertEqual(self.read(b"dir", b"inner"), b"inside")

    def test_opened_file_says_what_it_is(self) -> None:
        with self.root.open([b"file"]) as opened:
            self.assertFalse(opened.is_directory)
            self.assertEqual(opened.stat.st_size, 6)
            self.assertEqual(opened.stat.st_ino, os.fstat(opened.fd).st_ino)
            self.assertFalse(os.get_inheritable(opened.fd))
        self.assertEqual(self.root.stat([b"file"]).st_size, 6)

    def test_directories_are_opened(self) -> None:
        for segments in ([b"dir"], []):
            with self.root.open(segments) as opened:
                self.assertTrue(opened.is_directory)
                self.assertEqual(opened.stat.st_ino, self.path.joinpath(*map(os.fsdecode, segments)).stat().st_ino)

    def test_what_is_missing_is_not_found(self) -> None:
        self.assert_not_found(b"nothing")
        self.assert_not_found(b"dir", b"nothing")
        self.assert_not_found(b"file", b"x")
        self.assert_not_found(b"x" * 300)
        self.assert_not_found(*[b"d"] * 5000)

    def test_names_that_are_none_are_not_found(self) -> None:
        """H8."""
        for name in (b"", b".", b"..", b"dir/inner", b"../secret", b"/etc", b"file\0", b"\0"):
            self.assert_not_found(name)
            self.assert_not_found(b"dir", name)

    def test_name_in_any_bytes_is_opened(self) -> None:
        name = b"\xff\n\\..\\x"
        (self.path / os.fsdecode(name)).write_bytes(b"odd")
        self.assertEqual(self.read(name), b"odd")

    def test_missing_root_is_not_found_until_it_appears(self) -> None:
        root = ConfinedRoot(self.base / "later")
        self.assert_not_found(b"file", root=root)
        (self.base / "later").symlink_to(self.path)
        self.assertEqual(self.read(b"file", root=root), b"a file")

    def test_root_that_is_a_file_is_not_found(self) -> None:
        self.assert_not_found(root=ConfinedRoot(self.path / "file"))

    def test_deep_path_takes_few_descriptors(self) -> None:
        deep = self.path
        for _ in range(200):
            deep /= "d"
        deep.mkdir(parents=True)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 10, limits[1]))
        self.root.open([b"d"] * 200).close()

    def test_want_of_descriptors_is_the_machines_error(self) -> None:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        with Path("/dev/null").open("rb") as last:
            resource.setrlimit(resource.RLIMIT_NOFILE, (last.fileno() + 2, limits[1]))
            error = self.assertRaises(OSError, self.root.open, [b"dir", b"inner"])
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        self.assertEqual(error.errno, errno.EMFILE)

    def test_opened_closes_once(self) -> None:
        opened = self.root.open([b"file"])
        opened.close()
        opened.close()
        self.assertEqual(opened.fd, -1)

    def test_forgotten_file_is_closed_with_a_warning(self) -> None:
        opened: Opened | None = self.root.open([b"file"])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            opened = None
        self.assertIsNone(opened)
        self.assertEqual([warning.category for warning in caught], [ResourceWarning])


class SpecialFileTests(ConfinedTestCase):
    """H9: devices, FIFOs and sockets are never opened."""

    def test_fifo_is_neither_opened_nor_waited_for(self) -> None:
        """H9: a writer that waits for a reader goes on waiting."""
        os.mkfifo(self.path / "fifo")
        self.assert_not_found(b"fifo")
        error = self.assertRaises(OSError, os.open, self.path / "fifo", os.O_WRONLY | os.O_NONBLOCK)
        self.assertEqual(error.errno, errno.ENXIO)

    def test_socket_is_not_found(self) -> None:
        """H9."""
        with socket.socket(socket.AF_UNIX) as listener:
            here = os.open(self.path, os.O_PATH)
            try:
                listener.bind(f"/proc/self/fd/{here}/socket")
            finally:
                os.close(here)
            self.assert_not_found(b"socket")

    def test_device_is_not_found(self) -> None:
        """H9."""
        self.assert_not_found(b"null", root=ConfinedRoot(Path("/dev")))

    def test_unreadable_is_forbidden(self) -> None:
        self.base.parent.chmod(0o711)
        (self.path / "dir").chmod(0)
        (self.path / "file").chmod(0)
        (self.path / "open").write_bytes(b"open")
        user = os.geteuid()
        if user == 0:
            # Root may read everything, so be somebody else for a while.
            os.seteuid(65534)
        try:
            if not os.access(self.path, os.R_OK, effective_ids=True):
                raise SkipTest("run by root, in a folder that only root can get to")
            self.assertEqual(self.read(b"open"), b"open")
            self.assertRaises(Forbidden, self.root.open, [b"file"])
            self.assertRaises(Forbidden, self.root.open, [b"dir", b"inner"])
            self.assertRaises(Forbidden, self.root.entries, [b"dir"])
            self.assertEqual(self.root.stat([b"file"]).st_size, 6)
        finally:
            os.seteuid(user)
            (self.path / "dir").chmod(0o700)


class LinkTests(ConfinedTestCase):
    """H9: symbolic links."""

    def test_links_inside_are_followed(self) -> None:
        """H9."""
        self.link("a", "file")
        self.link("b", "dir")
        self.link("c", "dir/../././file")
        self.link("d", "b/inner")
        self.link("dir/up", "../file")
        self.link("e", "dir/up")
        self.link("self", ".")
        for segments in ([b"a"], [b"c"], [b"e"], [b"dir", b"up"], [b"self", b"self", b"file"], [b"b", b"up"]):
            self.assertEqual(self.read(*segments), b"a file", segments)
        for segments in ([b"d"], [b"b", b"inner"]):
            self.assertEqual(self.read(*segments), b"inside", segments)

    def test_links_that_lead_out_are_not_found(self) -> None:
        """H9."""
        for number, target in enumerate(
            (
                "../secret",
                "..",
                "../root/file",
                "dir/../../secret",
                "/etc/passwd",
                "/",
                f"{self.base}/secret",
                f"{self.path}/../secret",
                f"{self.base}/rooted/file",
                f"{self.path}ed/file",
                "/proc/self/root/etc/passwd",
            )
        ):
            name = f"out{number}"
            self.link(name, target)
            self.assert_not_found(name.encode())
            self.assert_not_found(name.encode(), b"file")
            self.link(f"dir/{name}", f"../{name}")
            self.assert_not_found(b"dir", name.encode())

    def test_absolute_links_into_the_root_are_followed(self) -> None:
        """H9."""
        self.link("a", self.path / "file")
        self.link("dir/b", self.path)
        self.link("c", f"{self.path}/dir/../file")
        for segments in ([b"a"], [b"dir", b"b", b"file"], [b"c"]):
            self.assertEqual(self.read(*segments), b"a file", segments)
        # The root by another name: both its own and the resolved one count.
        (self.base / "alias").symlink_to("root")
        self.link("d", self.base / "alias" / "file")
        alias = ConfinedRoot(self.base / "alias")
        self.assertEqual(self.read(b"a", root=alias), b"a file")
        self.assertEqual(self.read(b"d", root=alias), b"a file")
        self.assert_not_found(b"d")

    def test_root_of_the_machine_holds_every_absolute_link(self) -> None:
        self.link("a", self.path / "file")
        segments = [os.fsencode(part) for part in (self.path / "a").parts[1:]]
        self.assertEqual(self.read(*segments, root=ConfinedRoot(Path("/"))), b"a file")

    def test_no_link_is_followed_if_none_may_be(self) -> None:
        """H9."""
        self.link("a", "file")
        self.link("b", "dir")
        root = ConfinedRoot(self.path, follow="none")
        self.assert_not_found(b"a", root=root)
        self.assert_not_found(b"b", b"inner", root=root)
        self.assertEqual(self.read(b"file", root=root), b"a file")

    def test_loops_and_dangling_links_are_not_found(self) -> None:
        """H9."""
        self.link("loop", "loop")
        self.link("one", "two")
        self.link("two", "one/x")
        self.link("dangling", "nothing")
        self.link("slash", "file/")
        for name in (b"loop", b"one", b"dangling", b"slash"):
            self.assert_not_found(name)

    def test_forty_links_are_the_most(self) -> None:
        """H9."""
        self.link("l1", "file")
        for number in range(2, 42):
            self.link(f"l{number}", f"l{number - 1}")
        self.assertEqual(self.read(b"l40"), b"a file")
        self.assert_not_found(b"l41")

    def test_link_that_goes_up_and_down_forever_is_given_up(self) -> None:
        """H9."""
        self.link("busy", "dir/../" * 500 + "file")
        self.assertEqual(self.read(b"busy"), b"a file")
        self.link("busier", "busy/../" * 500 + "file")
        self.link("up", "dir/../" * 500 + "dir")
        self.link("busiest", "/".join(["up/.."] * 20) + "/file")
        self.assert_not_found(b"busiest")

    @settings(deadline=None, max_examples=150)
    @given(st.lists(st.sampled_from(["..", ".", "dir", "file", "inner", "root", "secret", ""]), min_size=1, max_size=8))
    def test_any_link_gives_what_the_kernel_gives_or_nothing(self, parts: list[str]) -> None:
        """H9."""
        target = "/".join(parts).lstrip("/") or "."
        link = self.path / "link"
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        inside = True
        depth = 0
        for part in parts:
            depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
            inside = inside and depth >= 0
        try:
            expected = link.stat().st_ino if inside else None
        except OSError:
            expected = None
        try:
            found = self.root.stat([b"link"]).st_ino
        except NotFound:
            found = None
        self.assertEqual(found, expected, target)


class EntriesTests(ConfinedTestCase):
    """What a directory holds."""

    def test_names_are_those_that_could_be_opened(self) -> None:
        """H9."""
        self.link("good", "dir")
        self.link("bad", "../secret")
        os.mkfifo(self.path / "fifo")
        (self.path / os.fsdecode(b"\xff")).write_bytes(b"12")
        entries = {entry.name: entry for entry in self.root.entries([])}
        self.assertEqual(set(entries), {b"dir", b"file", b"good", b"\xff"})
        self.assertEqual({name for name, entry in entries.items() if entry.is_directory}, {b"dir", b"good"})
        self.assertEqual(entries[b"\xff"].stat.st_size, 2)

    def test_no_more_than_asked_for(self) -> None:
        self.assertEqual(len(self.root.entries([], most=1)), 1)

    def test_file_has_no_entries(self) -> None:
        self.assertRaises(NotFound, self.root.entries, [b"file"])
        self.assertRaises(NotFound, self.root.entries, [b"nothing"])


class RaceTests(ConfinedTestCase):
    """H9: what is swapped while it is opened."""

    def test_directory_swapped_for_a_link_never_leads_out(self) -> None:
        """H9: a directory and a link to the outside change places as fast as they can."""
        inside, outside, other = self.path / "x", self.base / "outside", self.path / "other"
        inside.mkdir()
        (inside / "file").write_bytes(b"inside")
        outside.mkdir()
        (outside / "file").write_bytes(b"secret")
        done = threading.Event()
        swapped = 0

        def swap() -> None:
            nonlocal swapped
            while not done.is_set():
                inside.rename(other)
                inside.symlink_to(outside)
                inside.unlink()
                inside.symlink_to("../outside")
                inside.unlink()
                other.rename(inside)
                swapped += 1

        thread = threading.Thread(target=swap)
        thread.start()
        seen: set[bytes] = set()
        try:
            for _ in range(4000):
                try:
                    seen.add(self.read(b"x", b"file"))
                except ConfinedError:
                    seen.add(b"")
        finally:
            done.set()
            thread.join(PATIENCE)
        self.assertGreater(swapped, 0)
        self.assertLessEqual(seen, {b"", b"inside"})

    def test_file_swapped_for_a_fifo_never_blocks(self) -> None:
        """H9: a file and a FIFO change places; opening the FIFO would hang, or give nothing."""
        file, fifo, spare = self.path / "y", self.path / "fifo", self.path / "spare"
        file.write_bytes(b"inside")
        os.mkfifo(fifo)
        done = threading.Event()

        def swap() -> None:
            while not done.is_set():
                file.rename(spare)
                fifo.rename(file)
                file.rename(fifo)
                spare.rename(file)

        thread = threading.Thread(target=swap)
        thread.start()
        seen: set[bytes] = set()
        try:
            for _ in range(4000):
                try:
                    seen.add(self.read(b"y"))
                except ConfinedError:
                    seen.add(b"-")
        finally:
            done.set()
            thread.join(PATIENCE)
        self.assertLessEqual(seen, {b"-", b"inside"})
