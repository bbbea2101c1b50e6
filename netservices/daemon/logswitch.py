"""The one observer that Twisted knows, in front of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import ILogObserver, LogLevel
from zope.interface import implementer

from netservices.runtime import Event, EventLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.logger import LogEvent

    from netservices.runtime.logs import LogObserver

ACCEPT_FAILED = Event(
    "daemon.accept.failed",
    LogLevel.error,
    "connections can't be accepted: {reason}",
    "The process has as many files and connections open as it may, or the kernel is out of memory: whoever connects is "
    "closed at once. At most one line a minute. Raise the limit (LimitNOFILE in the unit, `ulimit -n`), or take on "
    "less by `limits.sessions`.",
)

_MINUTE = 60.0
_ACCEPT = ("EMFILE ", "Re-reserving EMFILE ", "Could not accept new connection ")
"""How twisted.internet.tcp begins what it says for every connection that it can't accept."""


@implementer(ILogObserver)
class LogSwitch:
    """Hands events on to ``current``; a reload puts another there. ``seconds`` tells the time."""

    def __init__(self, current: LogObserver, seconds: Callable[[], float]) -> None:
        self.current = current
        self._seconds = seconds
        self._log = EventLog(self)
        self._told: float | None = None

    def __call__(self, event: LogEvent) -> None:
        """Hand an event to the observer of the day.

        What Twisted tells about its own ports and factories is for developers: ours say the same with names.
        """
        if event.get("log_level") is LogLevel.info and "event" not in event and "printed" not in event:
            if str(event.get("log_format", "")).startswith(_ACCEPT):
                self._tell_accept(event)
                return
            event = {**event, "log_level": LogLevel.debug}
        self.current(event)

    def _tell_accept(self, event: LogEvent) -> None:
        now = self._seconds()
        if self._told is None or not 0 <= now - self._told < _MINUTE:
            self._told = now
            self._log.emit(ACCEPT_FAILED, reason=str(event.get("acceptError", "EMFILE")))


EVENTS = (ACCEPT_FAILED,)
