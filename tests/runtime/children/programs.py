"""Programs for tests: short ones that say on their output how they were started."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, TestCase

from netservices.runtime import EventLog
from netservices.runtime.children import Children, Command, RunAs, make_privileged
from tests.doubles import RecordedEvents

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from netservices.runtime.children import Child, ExitStatus

NOBODY = RunAs("nobody", 65534, 65534, (65534,))


def make_script(text: str, **options: Any) -> Command:  # noqa: ANN401 - a command's own
    """A command that runs a line of shell."""
    return Command(("/bin/sh", "-c", text), **options)


def list_descriptors() -> set[int]:
    """Those that this process has open."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            entry.readlink()
            found.add(int(entry.name))
    return found


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(happened: Callable[[], bool], patience: float = 20.0) -> bool:
    """Whether it happens within ``patience`` seconds; for what the kernel does without telling us."""
    end = time.monotonic() + patience
    while not happened():
        if time.monotonic() > end:
            return False
        os.sched_yield()
    return True


def find_zombie() -> object:
    """A child of this process that has ended and was not reaped; None is as it should be."""
    with contextlib.suppress(ChildProcessError):
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return None


def read(descriptor: int, *, line: bool = False) -> str:
    """A pipe to its end, or to the end of a line; it is closed."""
    with os.fdopen(descriptor, "rb") as output:
        return (output.readline() if line else output.read()).decode("utf-8", "surrogateescape")


class ChildrenTestCase(TestCase):
    """Runs programs with the real reactor; nothing may be left of them."""

    timeout = 60

    async def start(self, privileged: Sequence[Command] = (), **bounds: int) -> Children:
        """Ready to run programs; after the test it is stopped, and nothing may be left."""
        # The reactor opens descriptors of its own when it begins to run.
        await deferLater(reactor, 0)
        self.recorded = RecordedEvents()
        log = EventLog(self.recorded)
        before = list_descriptors()
        children = Children(reactor, log, privileged=make_privileged(privileged, log), **bounds)
        children.start()

        async def stop() -> None:
            await children.stop(0.5)
            self.assertEqual(children.running, frozenset())
            self.assertLessEqual(list_descriptors(), before, "a descriptor is left open")
            self.assertIsNone(find_zombie())

        self.addCleanup(stop)
        return children

    async def run_program(
        self, children: Children, command: Command, environment: Mapping[str, str] | None = None,
        program: str | None = None,
    ) -> tuple[str, ExitStatus]:  # fmt: skip
        """What the program writes to its output and error output, and how it ended."""
        reading, writing = os.pipe()
        try:
            child = await children.spawn(
                command, environment=environment, descriptors={1: writing, 2: writing}, program=program
            )
        finally:
            os.close(writing)
        status = await child.ended
        return read(reading), status

    async def wait_output(self, children: Children, command: Command) -> tuple[Child, str]:
        """A program that goes on after it has written one line, and that line."""
        reading, writing = os.pipe()
        child = await children.spawn(command, descriptors={1: writing})
        os.close(writing)
        return child, read(reading, line=True).strip()


def need_root() -> None:
    """Skip a test that only root can make."""
    if os.geteuid() != 0:
        raise SkipTest("only root can start programs as other users")
