"""posix_spawn as the C library has it, and descriptors that must not reach a program."""

from __future__ import annotations

import fcntl
import os

from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.children.direct import DirectSpawner, seal
from tests.runtime.children.programs import read


class DirectSpawnerTests(SynchronousTestCase):
    """S4."""

    def setUp(self) -> None:
        self.spawner = DirectSpawner()
        self.addCleanup(self.spawner.close)

    def test_octets_reach_the_program_as_they_are(self) -> None:
        """S4: arguments and variables need not be UTF-8."""
        reading, writing = os.pipe()
        argv = [b"printf", b"%s", b"\xff"]
        pid = self.spawner.spawn(b"/usr/bin/printf", argv, {b"A": b"\xfe"}, b"/", [0, writing, 2])
        os.close(writing)
        self.assertEqual(read(reading), "\udcff")
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)

    def test_session_of_its_own(self) -> None:
        """S2: no terminal of ours is its own."""
        reading, writing = os.pipe()
        pid = self.spawner.spawn(b"/bin/cat", [b"cat", b"/proc/self/stat"], {}, b"/", [0, writing, 2])
        os.close(writing)
        _, group, session, terminal = read(reading).rpartition(")")[2].split()[1:5]
        os.waitpid(pid, 0)
        self.assertEqual((int(group), int(session), terminal), (pid, pid, "0"))

    def test_descriptors_that_would_be_overwritten_are_refused(self) -> None:
        self.assertRaises(ValueError, self.spawner.spawn, b"/bin/true", [b"true"], {}, b"/", [1, 0, 2])

    def test_errors_are_the_systems(self) -> None:
        for program, folder, error in (
            (b"/no/such", b"/", FileNotFoundError),
            (b"/bin/true", b"/no/such", FileNotFoundError),
            (b"/etc", b"/", PermissionError),
        ):
            self.assertRaises(error, self.spawner.spawn, program, [program], {}, folder, [0, 1, 2])


class SealTests(SynchronousTestCase):
    """S4: what the service manager handed over is inherited by nobody."""

    def test_every_descriptor_but_three_is_closed_on_exec(self) -> None:
        """S4."""
        open_to_all = os.open(os.devnull, os.O_RDONLY)
        self.addCleanup(os.close, open_to_all)
        os.set_inheritable(open_to_all, True)
        before = [fcntl.fcntl(number, fcntl.F_GETFD) for number in range(3)]
        seal()
        self.assertFalse(os.get_inheritable(open_to_all))
        self.assertEqual([fcntl.fcntl(number, fcntl.F_GETFD) for number in range(3)], before)
