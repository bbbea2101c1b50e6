"""The daemon's side of a spawner."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import subprocess
import sys
from collections import deque
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReadDescriptor, IWriteDescriptor
from zope.interface import implementer

from netservices.runtime.children.child import Child, ProcessWatch, SpawnError
from netservices.runtime.children.command import ExitStatus, pack_command, pack_environment
from netservices.runtime.children.exchange import (
    Answer,
    Ended,
    Ready,
    Refused,
    Started,
    pack_register,
    pack_signal,
    pack_spawn,
    parse_answer,
)
from netservices.runtime.children.fields import LONGEST, MessageError, encode, pack
from netservices.runtime.children.spawner import CLOSED, MOST_COMMANDS, OPEN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from twisted.python.failure import Failure

    from netservices.runtime.children.command import Command
    from netservices.runtime.reactor import Reactor

_ROOT = Path(__file__).resolve().parents[2]

# Run with -I and -S, which look neither at the environment nor at anybody's folders. The packages above the spawner are
# made without running what is in them: it must stay small.
_BOOTSTRAP = """
import sys, types
for name, folder in zip(("netservices", "netservices.runtime", "netservices.runtime.children"), sys.argv[2:]):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
from netservices.runtime.children.spawner import main
main(int(sys.argv[1]))
"""

_START_PATIENCE = 20.0


@implementer(IReadDescriptor, IWriteDescriptor)
class SpawnerClient:
    """A spawner's process, and what it was asked for.

    ``commands`` have one user, whom it becomes, and one set of limits; they are all that it will ever start. With
    ``learns`` it takes more of the same limits, as whoever makes it. Raises ``SpawnError``. Whoever makes it calls
    ``stop``.
    """

    def __init__(
        self, commands: Sequence[Command], *, learns: bool = False, lost: Callable[[], object] = lambda: None
    ) -> None:
        self._closed = not learns
        self._entries = {command: number for number, command in enumerate(dict.fromkeys(commands))}
        if len(self._entries) > MOST_COMMANDS:
            raise SpawnError(f"{len(self._entries)} commands name one user, wanted {MOST_COMMANDS} at most")
        self._lost = lost
        self._reactor: Reactor = None
        self._serials = count(1)
        self._asked: dict[int, tuple[Command, Deferred[Child]]] = {}
        self._children: dict[int, Child] = {}
        self._unsent: deque[tuple[bytes, Sequence[int], int]] = deque()
        self._stopped: Deferred[None] | None = None
        self._watch: ProcessWatch | None = None
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                self._process = _start(
                    theirs, pack([CLOSED if self._closed else OPEN, *map(pack_command, self._entries)])
                )
        except (OSError, MessageError) as error:
            self._channel.close()
            raise SpawnError(f"the spawner can't be started: {error}") from error
        self.pid = self._process.pid
        self._channel.setblocking(False)

    @property
    def running(self) -> bool:
        """Whether it can be asked."""
        return self._channel.fileno() >= 0 and self._stopped is None

    def wait_ready(self) -> None:
        """Block until it is ready to serve; for the start, before the reactor runs. Raises ``SpawnError``."""
        ready, _, _ = select.select([self._channel], [], [], _START_PATIENCE)
        reason = "it says nothing"
        with contextlib.suppress(OSError, MessageError):
            match parse_answer(self._channel.recv(LONGEST)) if ready else None:
                case Ready():
                    return
                case Refused(_, why):
                    reason = why
        self.kill()
        raise SpawnError(f"the spawner did not start: {reason}")

    def attach(self, reactor: Reactor) -> None:
        """From now on ``reactor`` listens to it."""
        self._reactor = reactor
        self._watch = ProcessWatch(self.pid, self._ended, reactor)
        reactor.addReader(self)

    def knows(self, command: Command) -> bool:
        """Whether it may start this command."""
        return command in self._entries or (not self._closed and command.user is None)

    def spawn(
        self, command: Command, program: str | None, environment: Mapping[str, str], descriptors: Sequence[int]
    ) -> Deferred[Child]:
        """Ask for a child; fires when there is one, fails with ``SpawnError``.

        The descriptors stay the caller's, and stay open until then.
        """
        if not self.running:
            return fail(SpawnError("the spawner is gone; only a restart of the daemon brings it back"))
        if not self.knows(command):
            words = "a program as another user must be in the file when the daemon starts; wanted a restart"
            return fail(SpawnError(words))
        serial = next(self._serials)
        made: Deferred[Child] = Deferred()
        try:
            if command not in self._entries:
                entry = len(self._entries)
                self._ask(pack_register(entry, pack_command(command)))
                self._entries[command] = entry
            named = None if program is None else encode(program)
            request = pack_spawn(serial, self._entries[command], named, pack_environment(environment))
        except ValueError as error:
            return fail(SpawnError(str(error)))
        # Known before it is sent, for it may be refused at once.
        self._asked[serial] = (command, made)
        self._ask(request, descriptors, serial)
        return made

    def kill(self) -> None:
        """End it at once, and wait for that; the last resort, and for a start that fails."""
        self._channel.close()
        with contextlib.suppress(OSError):
            self._process.wait(_START_PATIENCE)

    def stop(self) -> Deferred[None]:
        """Let it end, with all its children; fires when it has."""
        if self._stopped is None:
            self._stopped = Deferred()
            if self._process.returncode is not None:
                self._stopped.callback(None)
            self._hang_up()
        return self._stopped

    # The channel.

    def _ask(self, request: bytes, descriptors: Sequence[int] = (), serial: int = 0) -> None:
        self._unsent.append((request, descriptors, serial))
        if len(self._unsent) == 1:
            self.doWrite()

    def fileno(self) -> int:
        return self._channel.fileno()

    def logPrefix(self) -> str:
        """As Twisted's log names it."""
        return "spawner"

    def doWrite(self) -> None:
        """Send what waits, as far as it goes."""
        while self._unsent and self._channel.fileno() >= 0:
            octets, descriptors, serial = self._unsent[0]
            try:
                socket.send_fds(self._channel, [octets], descriptors)
            except BlockingIOError:
                self._reactor.addWriter(self)
                return
            except OSError as error:
                if error.errno in {errno.EPIPE, errno.ECONNRESET}:
                    self._hang_up()
                    return
                # EBADF, EMSGSIZE, ETOOMANYREFS: of this one message, which was for one child.
                self._answer(Refused(serial, os.strerror(error.errno or 0)))
            self._unsent.popleft()
        if self._channel.fileno() >= 0:
            self._reactor.removeWriter(self)

    def doRead(self) -> None:
        """Take its answers, a few at a time, so that others have their turn."""
        for _ in range(32):
            try:
                octets = self._channel.recv(LONGEST)
                if not octets:
                    self._hang_up()
                    return
                self._answer(parse_answer(octets))
            except BlockingIOError:
                return
            except (OSError, MessageError):
                self._hang_up()
                return
            if self._channel.fileno() < 0:
                return

    def connectionLost(self, reason: Failure) -> None:  # noqa: ARG002 - Twisted's hook
        self._hang_up()

    def _answer(self, answer: Answer) -> None:
        match answer:
            case Ready():
                pass
            case Started(serial, pid):
                command, made = self._asked.pop(serial)
                child = Child(pid, command, send=lambda number: self._signal(serial, number), reactor=self._reactor)
                self._children[serial] = child
                made.callback(child)
            case Refused(serial, reason):
                if serial in self._asked:
                    _, made = self._asked.pop(serial)
                    made.errback(SpawnError(reason))
            case Ended(serial, status):
                self._children.pop(serial).end(status)

    def _signal(self, serial: int, number: int) -> None:
        if self.running:
            self._ask(pack_signal(serial, number))

    def _hang_up(self) -> None:
        """The channel is at its end; the spawner ends its children by itself."""
        if self._channel.fileno() < 0:
            return
        if self._reactor is not None:
            self._reactor.removeReader(self)
            self._reactor.removeWriter(self)
        self._channel.close()
        self._unsent.clear()
        asked, self._asked = self._asked, {}
        for _, made in asked.values():
            made.errback(SpawnError("the spawner is gone"))

    def _ended(self) -> None:
        """Its process is gone; of its children nothing can be known any more."""
        self._process.wait()
        # Looked at before anybody is told, and so may ask for the end.
        asked_for = self._stopped
        self._hang_up()
        if asked_for is None:
            self._lost()
        children, self._children = self._children, {}
        for child in children.values():
            child.end(ExitStatus(None, None, 0.0, 0.0, 0.0, 0, failure="its spawner ended before it"))
        if asked_for is not None:
            asked_for.callback(None)


def _start(theirs: socket.socket, told: bytes) -> subprocess.Popen[bytes]:
    folders = [str(_ROOT), str(_ROOT / "runtime"), str(_ROOT / "runtime" / "children")]
    descriptor = os.memfd_create("commands", os.MFD_CLOEXEC)
    with open(descriptor, "w+b") as memory:  # noqa: PTH123 - a descriptor has no path
        memory.write(told)
        memory.seek(0)
        return subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
            [sys.executable, "-I", "-S", "-X", "utf8", "-c", _BOOTSTRAP, str(theirs.fileno()), *folders],
            stdin=memory,
            stdout=subprocess.DEVNULL,
            cwd="/",
            env={},
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
