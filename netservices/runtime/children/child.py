"""A program that was started, as the daemon sees it."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from netservices.runtime.children.command import Command, ExitStatus
    from netservices.runtime.reactor import Reactor


class SpawnError(Exception):
    """The program can't be run; the text says why."""


class ChildrenFull(SpawnError):  # noqa: N818 - a state, not a fault of whoever asks
    """As many programs wait as may wait, or nothing is started any more."""


class Child:
    """A running program. ``ended`` fires with its ``ExitStatus``, exactly once; it never fails."""

    def __init__(self, pid: int, command: Command, *, send: Callable[[int], None], reactor: Reactor) -> None:
        self.pid = pid
        self.command = command
        self.ended: Deferred[ExitStatus] = Deferred(lambda _: None)
        self.status: ExitStatus | None = None
        """How it ended; None while it runs."""
        self._send = send
        self._reactor = reactor
        self._kill: IDelayedCall | None = None

    def signal(self, number: int) -> None:
        """Send a signal to the program and all in its process group; nothing happens when it has ended."""
        if self.status is None:
            self._send(number)

    def terminate(self, grace: float) -> None:
        """SIGTERM now, and SIGKILL if it still runs after ``grace`` seconds."""
        self.signal(signal.SIGTERM)
        if self.status is None and self._kill is None:
            self._kill = self._reactor.callLater(grace, self.signal, signal.SIGKILL)

    def end(self, status: ExitStatus) -> None:
        """It is gone; for whoever reaped it."""
        if self.status is None:
            self.status = status
            if self._kill is not None:
                with contextlib.suppress(AlreadyCalled, AlreadyCancelled):
                    self._kill.cancel()
            self.ended.callback(status)


@implementer(IReadDescriptor)
class ProcessWatch:
    """Tells when a process of ours has ended, before it is reaped. Raises ``OSError`` when no descriptor is free."""

    def __init__(self, pid: int, ended: Callable[[], object], reactor: Reactor) -> None:
        self._ended = ended
        self._reactor = reactor
        # pidfd_open(2): readable once the process has ended; closed on exec.
        self._descriptor = os.pidfd_open(pid)
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._descriptor

    def doRead(self) -> None:
        self.close()
        self._ended()

    def connectionLost(self, reason: Failure) -> None:  # noqa: ARG002 - Twisted's hook
        self.close()

    def logPrefix(self) -> str:
        """As Twisted's log names it."""
        return "children"

    def close(self) -> None:
        """Watch no more."""
        if self._descriptor >= 0:
            self._reactor.removeReader(self)
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)
