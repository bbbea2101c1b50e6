"""Log events: declared once, emitted by object, so that none is ever misspelt or undocumented.

An event's name is ``<subject>.<noun>.<past participle>``; it is the MSGID of a syslog line and the ``event`` of a JSON
line. Fields are values, never format strings: whoever writes them out escapes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from constantly import NamedConstant
    from twisted.logger import ILogObserver

LEVELS: dict[str, NamedConstant] = {level.name: level for level in LogLevel.iterconstants()}
"""By the name that the configuration uses."""


@dataclass(frozen=True)
class Event:
    """One thing that can happen.

    ``text`` is the line's format over the fields, in ``twisted.logger``'s form; ``meaning`` is what an operator should
    know or do, and becomes the event's line in the manual.
    """

    name: str
    level: NamedConstant
    text: str
    meaning: str


class EventLog:
    """Emits events with an identity that is bound once and that no field given later can override."""

    def __init__(self, observer: ILogObserver | None = None, level: str = "debug", **bound: object) -> None:
        """``observer`` None is the process's own publisher; an event below ``level`` costs next to nothing."""
        self._observer = observer
        self._level = level
        self._threshold = LEVELS[level]
        self._bound = bound
        self._logger = Logger("netservices", observer=observer)

    def bind(self, **more: object) -> EventLog:
        """The same log with more identity; what is bound already wins."""
        return EventLog(self._observer, self._level, **{**more, **self._bound})

    def at_level(self, level: str) -> EventLog:
        """The same log with another threshold, which decides alone: ``[log] level`` lets its events pass."""
        return EventLog(self._observer, level, **{**self._bound, "log_forced": True})

    def emit(self, event: Event, /, **fields: object) -> None:
        """Say that ``event`` happened."""
        if event.level < self._threshold:
            return
        self._logger.emit(event.level, event.text, **{**fields, **self._bound, "event": event.name})

    def failure(self, event: Event, failure: Failure | None = None, /, **fields: object) -> None:
        """Say that ``event`` happened, with the exception behind it (the current one if none is given)."""
        behind = failure if failure is not None else Failure()
        self.emit(event, log_failure=behind, **fields)
