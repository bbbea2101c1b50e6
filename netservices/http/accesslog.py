"""The access log: lines are gathered in memory, written in a thread a batch at a time, and never waited for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from twisted.application.service import Service
from twisted.logger import LogLevel
from zope.interface import implementer

from netservices.runtime import Event
from netservices.runtime.workers import IReopenable

if TYPE_CHECKING:
    from pathlib import Path

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall, IReactorTime
    from twisted.python.failure import Failure

    from netservices.runtime import EventLog
    from netservices.runtime.files import FilePool

FAILED = Event(
    "http.accesslog.failed",
    LogLevel.error,
    "the access log {path} cannot be written: {reason}; its lines are counted until it can",
    "The disk is full, or the file cannot be opened. Requests go on being answered; the lines meanwhile are lost.",
)
RECOVERED = Event(
    "http.accesslog.recovered",
    LogLevel.warn,
    "the access log {path} is written again; {lines} lines were lost",
    "What was wrong with the file is over, or the disk has kept up again. `lines` says how many are missing.",
)
EVENTS = (FAILED, RECOVERED)

_BATCH = 512
"""Lines that are gathered before a write is begun at once."""
_WAIT = 0.5
"""The longest a line waits for others, in seconds."""


class _File:
    """The file itself; only ever used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def open(self) -> None:
        """Open it unless it is open. Raises ``OSError``."""
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def write(self, data: bytes, *, renamed: bool) -> None:
        """Append all of ``data``; if it was ``renamed``, then open what has the name now. Raises ``OSError``."""
        self.open()
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError:
            self.close()
            raise
        if renamed:
            self.close()
            self.open()

    def close(self) -> None:
        """Close it if it is open."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


@implementer(IReopenable)
class AccessLog(Service):
    """One file. At most ``most`` bytes wait to be written; what comes beyond is counted and told when there is room."""

    def __init__(
        self, path: Path, *, files: FilePool, clock: IReactorTime, log: EventLog, most: int = 4 * 1024 * 1024
    ) -> None:
        self._path = path
        self._file = _File(path)
        self._files = files
        self._clock = clock
        self._log = log
        self._most = most
        self._lines: list[bytes] = []
        self._waiting: list[bytes] = []
        self._size = 0
        self._lost = 0
        self._failing = False
        self._renamed = False
        self._writing: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None

    def startService(self) -> None:
        """Open the file, so that one that cannot be opened is told at start and not at the first request."""
        super().startService()
        self._write()

    def stopService(self) -> Deferred[None]:
        """Write what is left; fires when the file is closed."""
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        before = self._writing
        if before is not None:
            return before.addCallback(lambda _: self.stopService())
        self._gather()
        if self._waiting:
            return self._write().addCallback(lambda _: self.stopService())
        return self._files.run(self._file.close)

    def add(self, line: bytes) -> None:
        """One whole line, with its newline."""
        lines = self._lines
        lines.append(line)
        if len(lines) >= _BATCH:
            self._flush()
        elif self._timer is None:
            self._timer = self._clock.callLater(_WAIT, self._time_out)

    def reopen(self) -> None:
        """What was logged so far goes to the old file, the rest to what has the name now."""
        if not self.running:
            return
        self._renamed = True
        self._flush()

    def _time_out(self) -> None:
        self._timer = None
        if self._lines:
            self._flush()

    def _flush(self) -> None:
        self._gather()
        if self._writing is None:
            self._write()

    def _gather(self) -> None:
        lines, self._lines = self._lines, []
        if not lines:
            return
        batch = b"".join(lines)
        if self._size + len(batch) > self._most:
            self._lost += len(lines)
            return
        self._size += len(batch)
        self._waiting.append(batch)

    def _write(self) -> Deferred[None]:
        data = b"".join(self._waiting)
        renamed, self._renamed = self._renamed, False
        self._waiting.clear()
        done = self._files.run(self._file.write, data, renamed=renamed)
        writing = done.addCallbacks(self._written, self._failed, errbackArgs=(data,)).addCallback(
            self._after, len(data)
        )
        self._writing = writing if not writing.called else None
        return writing

    def _written(self, _: None) -> None:
        if self._lost:
            self._log.emit(RECOVERED, path=str(self._path), lines=self._lost)
        self._lost = 0
        self._failing = False

    def _failed(self, failure: Failure, data: bytes) -> None:
        self._lost += data.count(b"\n")
        if not self._failing:
            self._failing = True
            self._log.emit(FAILED, path=str(self._path), reason=failure.getErrorMessage())

    def _after(self, _: None, length: int) -> None:
        self._writing = None
        self._size -= length
        if self._waiting and self.running:
            self._write()
