"""What the log says about itself, and how it can without ever calling itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import ILogObserver, LogLevel
from zope.interface import implementer

from netservices.runtime.events import Event, EventLog
from netservices.runtime.logs.record import make_record

if TYPE_CHECKING:
    from twisted.logger import LogEvent

    from netservices.runtime.logs.record import LogRecord

LOG_DROPPED = Event(
    "daemon.log.dropped",
    LogLevel.warn,
    "{count} lines for {target} were dropped here",
    "The target was slow, full or gone for longer than its queue lasted; so many lines are missing at this place of "
    "it. Enlarge the target's `queue`, raise `[log] level`, or see why the target was away.",
)
LOG_FAILED = Event(
    "daemon.log.failed",
    LogLevel.error,
    "{target} can't be written to: {reason}; lines are kept for it while there is room",
    "A log target is gone, full or refuses. It is tried again and again; the other targets have this line.",
)
LOG_RECOVERED = Event(
    "daemon.log.recovered",
    LogLevel.info,
    "{target} takes lines again",
    "The log target that had failed is back.",
)


@implementer(ILogObserver)
class _Catcher:
    """Keeps the one event it is given."""

    def __init__(self) -> None:
        self.record: LogRecord | None = None

    def __call__(self, event: LogEvent) -> None:
        self.record = make_record(event)


def make_report(event: Event, **fields: object) -> LogRecord:
    """The record of one of the log's own events, for the caller to put where it belongs."""
    catcher = _Catcher()
    EventLog(catcher).emit(event, **fields)
    if catcher.record is None:
        raise AssertionError(f"{event.name} was not emitted")
    return catcher.record


EVENTS = (LOG_DROPPED, LOG_FAILED, LOG_RECOVERED)
