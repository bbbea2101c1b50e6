"""Notices that somebody has replaced a certificate's file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall

from netservices.runtime.files import PoolFull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from twisted.internet.interfaces import IReactorTime

    from netservices.runtime.files import FilePool

PERIOD = 60.0

State = dict["Path", tuple[int, int, int] | None]


class CertificateWatch:
    """Looks at the files once a minute, in a thread, and calls ``changed`` when some have been replaced.

    ``paths`` says which files, at every look. A certificate and its key are two files that cannot be replaced at one
    moment: a change is told when nothing has changed any more for a minute. ``changed`` handles its own errors; while
    the Deferred that it returns has not fired, nothing is looked at.
    """

    def __init__(
        self,
        clock: IReactorTime,
        files: FilePool,
        paths: Callable[[], Iterable[Path]],
        changed: Callable[[], Deferred[None]],
    ) -> None:
        self._files = files
        self._paths = paths
        self._changed = changed
        self._told: State | None = None
        self._last: State = {}
        self._call = LoopingCall(lambda: Deferred.fromCoroutine(self._look()))
        self._call.clock = clock

    def start(self) -> None:
        """Look now, which tells nothing, and from now on."""
        self._call.start(PERIOD)

    def stop(self) -> None:
        """Look no more."""
        if self._call.running:
            self._call.stop()

    async def _look(self) -> None:
        try:
            now = await self._files.run(look_at, tuple(self._paths()))
        except (PoolFull, CancelledError):
            # The threads have better things to do, or the daemon stops.
            return
        settled, self._last = now == self._last, now
        if self._told is None or now.keys() != self._told.keys():
            # Other files than before were read just now, by whoever chose them.
            self._told = now
        elif settled and now != self._told:
            self._told = now
            await self._changed()


def look_at(paths: Iterable[Path]) -> State:
    """What tells one version of each file from the next; None for one that is not there. Blocks on the disk."""
    return {path: _look_at(path) for path in paths}


def _look_at(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
