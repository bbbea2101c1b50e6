"""One way to run programs, for every service: as many at once as may be, the others in their order."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred, DeferredList, fail
from twisted.logger import LogLevel

from netservices.runtime.children.child import Child, ChildrenFull, ProcessWatch, SpawnError
from netservices.runtime.children.client import SpawnerClient
from netservices.runtime.children.command import ExitStatus, pack_environment
from netservices.runtime.children.direct import DirectSpawner, seal
from netservices.runtime.children.fields import encode
from netservices.runtime.events import Event, EventLog

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from resource import struct_rusage

    from twisted.python.failure import Failure

    from netservices.runtime.children.command import Command, ProcessLimits
    from netservices.runtime.children.job import Job
    from netservices.runtime.children.users import RunAs
    from netservices.runtime.reactor import Reactor

SpawnerKey = tuple["RunAs", "ProcessLimits"]
"""What all commands of one spawner share."""

SPAWNER_LOST = Event(
    "daemon.spawner.lost",
    LogLevel.error,
    "the process that starts programs {purpose} ended; what it had started may go on unseen",
    "Something killed it, or the machine ran out of memory. Programs with limits are started by another one; programs "
    "of the user named are refused until the daemon is restarted. Look for what was left running.",
)


class _Wish:
    """A program that somebody wants to run."""

    __slots__ = ("command", "descriptors", "environment", "made", "program")

    def __init__(
        self, command: Command, program: str | None, environment: Mapping[str, str], descriptors: Mapping[int, int]
    ) -> None:
        self.command = command
        self.program = program
        self.environment = environment
        self.descriptors = descriptors
        self.made: Deferred[Child] = Deferred(lambda _: None)


class Children:
    """Runs programs: at most ``limit`` at once, and ``queue`` more wait for their turn.

    ``privileged`` are the spawners that were made before the daemon gave up root, by the user and the limits that
    commands have; without one they are refused. They are stopped with the rest.
    """

    def __init__(
        self, reactor: Reactor, log: EventLog, *, limit: int = 2048, queue: int = 4096,
        privileged: Mapping[SpawnerKey, SpawnerClient] | None = None,
    ) -> None:  # fmt: skip
        self._reactor = reactor
        self._log = log
        self._limit = limit
        self._queue = queue
        self._privileged = dict(privileged or {})
        self._own: dict[ProcessLimits, SpawnerClient] = {}
        self._direct: DirectSpawner | None = None
        self._nothing = -1
        self._waiting: deque[_Wish] = deque()
        self._taken = 0
        self._running: set[Child] = set()

    def start(self) -> None:
        """Take wishes from now on. No descriptor of this process but the standard three reaches a program after it."""
        seal()
        self._nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._direct = DirectSpawner()
        for spawner in self._privileged.values():
            spawner.attach(self._reactor)

    @property
    def running(self) -> frozenset[Child]:
        """Those that run now."""
        return frozenset(self._running)

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    def knows(self, command: Command) -> bool:
        """Whether it could run; one that names a user only if it stood in the file at the daemon's start."""
        if command.user is None:
            return True
        spawner = self._privileged.get((command.user, command.limits))
        return spawner is not None and spawner.knows(command)

    def spawn(
        self, command: Command, *, environment: Mapping[str, str] | None = None,
        descriptors: Mapping[int, int] | None = None, program: str | None = None,
    ) -> Deferred[Child]:  # fmt: skip
        """Run a program; fires when it has been started, fails with ``SpawnError``.

        ``environment`` has the command's ``variables`` only. ``descriptors`` are ours by the program's numbers, 0 to 2,
        in blocking mode if the program wants that; what is left out is /dev/null. They stay the caller's, who closes
        them once the Deferred has fired, and not before. Cancelled, a program that waits is not run, and one that is
        being started is killed.
        """
        if self._direct is None:
            return fail(ChildrenFull("programs are not run now"))
        wish = _Wish(command, program, dict(environment or {}), dict(descriptors or {}))
        if self._taken < self._limit:
            self._begin(wish)
        elif len(self._waiting) < self._queue:
            self._waiting.append(wish)
            wish.made.addErrback(self._forget, wish)
        else:
            return fail(ChildrenFull("too many programs wait for their turn"))
        return wish.made

    def _forget(self, failure: Failure, wish: _Wish) -> Failure:
        if failure.check(CancelledError):
            with contextlib.suppress(ValueError):
                self._waiting.remove(wish)
        return failure

    def _begin(self, wish: _Wish) -> None:
        self._taken += 1
        try:
            made = self._make(wish)
        except (OSError, ValueError, SpawnError) as error:
            made = fail(error if isinstance(error, SpawnError) else SpawnError(_explain(error, wish.command)))
        made.addCallbacks(self._started, self._failed, callbackArgs=(wish,), errbackArgs=(wish,))

    def _make(self, wish: _Wish) -> Deferred[Child]:
        command = wish.command
        if set(wish.descriptors) - {0, 1, 2}:
            raise SpawnError("a program is given descriptors 0, 1 and 2 only")
        variables = pack_environment(wish.environment)
        job = command.make_job()
        asked = None if wish.program is None else encode(wish.program)
        environment, program = job.merge(variables), job.find_program(asked)
        descriptors = [wish.descriptors.get(number, self._nothing) for number in range(3)]
        if command.user is not None:
            spawner = self._privileged.get((command.user, command.limits))
            if spawner is None:
                words = "only a daemon that root started with this user in the file can do that"
                raise SpawnError(f"{command} as {command.user.name}: {words}")
            return spawner.spawn(command, wish.program, wish.environment, descriptors)
        if command.limits or command.umask is not None:
            return self._find_own(command).spawn(command, wish.program, wish.environment, descriptors)
        return self._make_direct(command, job, program, environment, descriptors)

    def _find_own(self, command: Command) -> SpawnerClient:
        found = self._own.get(command.limits)
        if found is None or not found.running:
            lost = partial(self._log.emit, SPAWNER_LOST, purpose="with limits")
            found = self._own[command.limits] = SpawnerClient([command], learns=True, lost=lost)
            found.attach(self._reactor)
        return found

    def _make_direct(
        self, command: Command, job: Job, program: bytes, environment: dict[bytes, bytes], descriptors: list[int]
    ) -> Deferred[Child]:
        if self._direct is None:
            raise SpawnError("programs are not run now")
        argv, folder = job.find_arguments(program), job.find_folder(program)
        started = time.monotonic()
        pid = self._direct.spawn(program, argv, environment, folder, descriptors)
        child = Child(pid, command, send=lambda number: _send(pid, number), reactor=self._reactor)
        try:
            ProcessWatch(pid, lambda: self._reap(child, started), self._reactor)
        except OSError:
            # No descriptor is free to watch it with, and a child that nobody watches would never be reaped.
            _send(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        made: Deferred[Child] = Deferred()
        made.callback(child)
        return made

    def _reap(self, child: Child, started: float) -> None:
        if not child.command.keep_group:
            # Until it is reaped, its number is no other's.
            _send(child.pid, signal.SIGKILL)
        _, status, usage = os.wait4(child.pid, 0)
        child.end(make_status(status, usage, time.monotonic() - started))

    def _started(self, child: Child, wish: _Wish) -> None:
        self._running.add(child)
        child.ended.addCallback(self._ended, child)
        if wish.made.called:
            # Cancelled meanwhile.
            child.signal(signal.SIGKILL)
        else:
            wish.made.callback(child)

    def _failed(self, failure: Failure, wish: _Wish) -> None:
        self._give_turn()
        if not wish.made.called:
            wish.made.errback(failure)

    def _ended(self, status: ExitStatus, child: Child) -> ExitStatus:
        self._running.discard(child)
        self._give_turn()
        return status

    def _give_turn(self) -> None:
        self._taken -= 1
        while self._waiting and self._taken < self._limit and self._direct is not None:
            self._begin(self._waiting.popleft())

    def stop(self, grace: float = 5.0) -> Deferred[None]:
        """Run nothing more; SIGTERM to what runs, SIGKILL after ``grace`` seconds; fires when all is gone."""
        if self._direct is not None:
            self._direct.close()
            self._direct = None
            os.close(self._nothing)
        while self._waiting:
            self._waiting.popleft().made.errback(ChildrenFull("the daemon stops"))
        for child in self._running:
            child.terminate(grace)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await DeferredList([_follow(child) for child in self._running])
        for spawner in (*self._own.values(), *self._privileged.values()):
            await spawner.stop()


def make_privileged(commands: Iterable[Command], log: EventLog) -> dict[SpawnerKey, SpawnerClient]:
    """A spawner, ready, for each user and set of limits that the commands name; none where they name nobody.

    For root, before any thread is made and before root is given up. Raises ``SpawnError``, with none left running.
    """
    by_key: dict[SpawnerKey, list[Command]] = {}
    for command in commands:
        if command.user is not None:
            by_key.setdefault((command.user, command.limits), []).append(command)
    made: dict[SpawnerKey, SpawnerClient] = {}
    try:
        for key, theirs in by_key.items():
            made[key] = SpawnerClient(theirs, lost=partial(log.emit, SPAWNER_LOST, purpose=f"as {key[0].name}"))
        for spawner in made.values():
            spawner.wait_ready()
    except SpawnError:
        for spawner in made.values():
            spawner.kill()
        raise
    return made


def _follow(child: Child) -> Deferred[None]:
    followed: Deferred[None] = Deferred()

    def ended(status: ExitStatus) -> ExitStatus:
        followed.callback(None)
        return status

    child.ended.addCallback(ended)
    return followed


def make_status(status: int, usage: struct_rusage, duration: float) -> ExitStatus:
    """What wait4(2) told of a program that ran for ``duration`` seconds."""
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    # getrusage(2): ru_maxrss is in kilobytes.
    return ExitStatus(code, number, duration, usage.ru_utime, usage.ru_stime, usage.ru_maxrss * 1024)


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _explain(error: OSError | ValueError, command: Command) -> str:
    words = getattr(error, "strerror", None) or str(error)
    return f"{command} in {command.directory or 'its folder'}: {words}"


EVENTS = (SPAWNER_LOST,)
