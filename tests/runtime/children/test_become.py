"""Limits that are lent, and given back."""

from __future__ import annotations

import os
import resource
import signal
import time

from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.children import Command, ProcessLimits
from netservices.runtime.children.become import SMALLEST_FILES, SMALLEST_MEMORY, Lending, change_user, may_keep

ALL = (resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)


def make_lending(**options: int) -> Lending:
    """What lends these limits."""
    return Lending(Command(("/bin/true",), umask=0o31, limits=ProcessLimits(**options)).make_job())


def read_state() -> list[object]:
    """The limits and the umask of this process."""
    umask = os.umask(0o77)
    os.umask(umask)
    return [umask, *map(resource.getrlimit, ALL)]


class LendingTests(SynchronousTestCase):
    """S4: what a child inherits, and what is left to us."""

    def test_processor_time_and_umask_are_lent_and_given_back(self) -> None:
        before = read_state()
        with make_lending(cpu=9000):
            self.assertEqual(resource.getrlimit(resource.RLIMIT_CPU)[0], 9000)
            self.assertEqual(read_state()[0], 0o31)
        self.assertEqual(read_state(), before)

        def fail() -> None:
            with make_lending(cpu=9000):
                raise ZeroDivisionError

        self.assertRaises(ZeroDivisionError, fail)
        self.assertEqual(read_state(), before)

    def test_lender_that_used_more_than_it_lends_survives(self) -> None:
        """S4: a spawner runs for years, a child for a second."""
        noted: list[int] = []
        before = signal.signal(signal.SIGXCPU, lambda number, _: noted.append(number))
        self.addCleanup(signal.signal, signal.SIGXCPU, before)
        while time.process_time() < 1.1:
            pass
        with make_lending(cpu=1):
            end = time.process_time() + 5.0
            while not noted and time.process_time() < end:
                pass
        self.assertEqual(noted, [signal.SIGXCPU])

    def test_child_can_not_raise_what_it_was_lent(self) -> None:
        """S4."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        lending = make_lending(cpu=9000)
        with lending:
            pid = os.posix_spawn("/bin/cat", ["cat"], {}, file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0)])
        lending.fix(pid)
        self.assertEqual(resource.prlimit(pid, resource.RLIMIT_CPU), (9000, 9001))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def test_what_the_spawner_could_not_live_with_is_not_kept(self) -> None:
        """S4: a child sets it itself."""
        for limits, kept in (
            (ProcessLimits(), True),
            (ProcessLimits(cpu=1, memory=SMALLEST_MEMORY, files=SMALLEST_FILES), True),
            (ProcessLimits(memory=SMALLEST_MEMORY - 1), False),
            (ProcessLimits(files=SMALLEST_FILES - 1), False),
            (ProcessLimits(processes=10_000), False),
            (ProcessLimits(memory=2**63), False),
        ):
            self.assertEqual(may_keep(Command(("/bin/x",), limits=limits).make_job()), kept, limits)


class ChangeUserTests(SynchronousTestCase):
    """S3."""

    def test_change_that_does_nothing_is_verified_too(self) -> None:
        uid, gid = os.getuid(), os.getgid()
        if uid == 0:
            groups = tuple(os.getgroups())
            change_user(uid, gid, groups)
            self.assertEqual(tuple(os.getgroups()), groups)
        else:
            self.assertRaises(PermissionError, change_user, uid, gid, (gid,))
