"""One daemon per state directory."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from netservices.daemon.state import StateError

if TYPE_CHECKING:
    from pathlib import Path


class LockedError(Exception):
    """Another daemon holds the state directory; the text names it."""


class StateLock:
    """``STATE/lock``: held while the daemon runs, by the kernel, so that a killed one leaves it free."""

    def __init__(self, state: Path) -> None:
        self._path = state / "lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Raises ``LockedError`` naming the process that holds it, or ``StateError`` if there can be no lock."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                self._take(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
        except OSError as error:
            raise StateError(f"the lock {self._path} can't be had: {error.strerror}") from error
        self._descriptor = descriptor

    def _take(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            raise LockedError(f"process {holder} already runs with the state in {self._path.parent}") from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())

    def release(self) -> None:
        """Let another daemon in. The file stays: removing it could let two in."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
