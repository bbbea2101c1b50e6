"""Where a writer thread writes: a file, stderr, the console. All of it may block; none of it runs on the reactor."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

_MODE = 0o640
_POLL_MILLISECONDS = 1000


class Output(Protocol):
    """A place for octets. Used by one thread at a time."""

    def write(self, octets: bytes) -> int:
        """Write some, opening the place first if need be; how many. Raises ``OSError``."""
        ...

    def reopen(self) -> None:
        """Let go of the place, so that the next write opens it by its name."""
        ...


class FileOutput:
    """A file that is appended to, 0640.

    A link in place of the file is refused: the directory may belong to less than root. A file that root makes is given
    to the directory's owner, so that it can be opened again when root's rights are gone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def write(self, octets: bytes) -> int:
        """Raises ``OSError``."""
        if self._descriptor is None:
            self._descriptor = self._open()
        return os.write(self._descriptor, octets)

    def reopen(self) -> None:
        """The next write opens the file anew."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _open(self) -> int:
        # O_NONBLOCK: a FIFO without a reader is an error instead of a wait without end.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NOCTTY | os.O_NONBLOCK
        try:
            descriptor = os.open(self._path, flags | os.O_CREAT | os.O_EXCL, _MODE)
        except FileExistsError:
            descriptor = os.open(self._path, flags)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise OSError(errno.EINVAL, f"{self._path} is not a regular file") from None
            return descriptor
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, _MODE)
            if os.geteuid() == 0:
                owner = self._path.parent.stat()
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
        return descriptor


class StderrOutput:
    """An open descriptor that is not ours to close, blocking or not."""

    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor

    def write(self, octets: bytes) -> int:
        """Wait for room, up to a second at a time. Raises ``OSError``."""
        try:
            return os.write(self._descriptor, octets)
        except BlockingIOError:
            waiting = select.poll()
            waiting.register(self._descriptor, select.POLLOUT)
            waiting.poll(_POLL_MILLISECONDS)
            return 0

    def reopen(self) -> None:
        """There is no name to open it by."""


class ConsoleOutput:
    """The system console, opened for each write as syslog(3) does; what it can't take is lost there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, octets: bytes) -> int:
        """Never raises: the console is the last resort."""
        with contextlib.suppress(OSError):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_NOCTTY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                os.write(descriptor, octets)
            finally:
                os.close(descriptor)
        return len(octets)

    def reopen(self) -> None:
        """It is opened for each write anyway."""
