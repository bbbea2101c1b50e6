"""Stand-ins for what the log is given."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from netservices.runtime.logs.courier import Written
from netservices.runtime.logs.record import LogRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IWriteDescriptor

    from netservices.runtime.logs.reactors import LogReactor


class FakeReactor(Clock):
    """A clock, the set of writers, and the calls of other threads, which ``run_calls`` makes."""

    def __init__(self) -> None:
        super().__init__()
        self.writers: set[IWriteDescriptor] = set()
        self.asked: queue.Queue[Callable[[], object]] = queue.Queue()

    def addWriter(self, writer: IWriteDescriptor) -> None:
        """As the reactor."""
        self.writers.add(writer)

    def removeWriter(self, writer: IWriteDescriptor) -> None:
        """As the reactor."""
        self.writers.discard(writer)

    def callFromThread(self, callable: Callable[..., object], *args: object) -> None:  # noqa: A002 - Twisted's name
        """As the reactor; safe in every thread."""
        self.asked.put(lambda: callable(*args))

    def run_call(self) -> None:
        """Make the next call that another thread asks for; an error if none comes for ten seconds."""
        self.asked.get(timeout=10)()

    def run_until(self, done: Callable[[], object]) -> None:
        """Make calls until ``done`` is true."""
        while not done():
            self.run_call()


def as_reactor(reactor: object) -> LogReactor:
    """For the type checker."""
    return cast("LogReactor", reactor)


class FakeWatcher:
    """Writes down what happens to a target."""

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.waiting: Sequence[bytes] = ()

    def dropped(self, count: int) -> bytes:
        """The line."""
        return b"dropped %d\n" % count

    def failed(self, reason: str, lines: Sequence[bytes]) -> None:
        """Written down."""
        self.happened.append(f"failed: {reason}")
        self.waiting = lines

    def recovered(self) -> None:
        """Written down."""
        self.happened.append("recovered")


class FakeLink:
    """Takes ``room`` lines (None: all), then is full; raises ``error`` if there is one."""

    def __init__(self, room: int | None = None) -> None:
        self.lines: list[bytes] = []
        self.room = room
        self.error: OSError | None = None
        self.too_large = b""
        self.aborted = False
        self.closed: Deferred[None] | None = None
        self.closing: Deferred[None] = succeed(None)

    def write(self, line: bytes) -> Written:
        """As told."""
        if self.error is not None:
            raise self.error
        if line == self.too_large:
            return Written.TOO_LARGE
        if self.room == 0:
            return Written.FULL
        if self.room is not None:
            self.room -= 1
        self.lines.append(line)
        return Written.TAKEN

    def close(self) -> Deferred[None]:
        """Done when ``closing`` is."""
        self.closed = self.closing
        return self.closing

    def abort(self) -> None:
        """Written down."""
        self.aborted = True


def make_test_record(message: str = "hello", **changes: Any) -> LogRecord:  # noqa: ANN401 - as LogRecord has them
    """A record with the rest as usual."""
    return LogRecord(
        **{
            "time": 1767323045.000006,
            "level": "info",
            "severity": 6,
            "facility": None,
            "event": "ftp.file.sent",
            "subject": "files",
            "message": message,
            "fields": {"service": "files"},
            **changes,
        }
    )
