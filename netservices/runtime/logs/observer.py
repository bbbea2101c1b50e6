"""The daemon's one log observer."""

from __future__ import annotations

import contextlib
import itertools
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from twisted.internet.defer import DeferredList
from twisted.logger import ILogObserver, LogLevel
from zope.interface import implementer

from netservices.runtime.events import LEVELS
from netservices.runtime.logs.record import LogRecord, make_record
from netservices.runtime.logs.reports import LOG_DROPPED, make_report
from netservices.wire.syslog import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twisted.internet.defer import Deferred
    from twisted.logger import LogEvent

    from netservices.runtime.logs.reactors import LogReactor
    from netservices.runtime.logs.targets import Target
    from netservices.runtime.logs.watch import Tell

# Records of other threads that the reactor has not yet come to.
_MOST_HANDED_OVER = 10_000


@implementer(ILogObserver)
class LogObserver:
    """Takes every event of the process, from any thread, and hands it to each target.

    It is called from the moment it is made, and keeps what it gets until ``start``. An error in here is never logged
    through here. It must be made on the thread the reactor runs in.
    """

    def __init__(
        self, reactor: LogReactor, level: str, make_targets: Callable[[Tell], Iterable[Target]],
        last_resort: Target | None = None,
    ) -> None:  # fmt: skip
        """``make_targets`` gets what puts a record to every target but the named one.

        ``last_resort`` is used, and started, only to say that the one target there is can't be written to.
        """
        self._reactor = reactor
        self.level = level
        self._thread = threading.get_ident()
        self._handed_over: SimpleQueue[LogRecord] = SimpleQueue()
        # Threads share it: drawing from a count is one step that no other thread can break into.
        self._refused = itertools.count(1)
        self._reported = 0
        self._looks = 0
        self._stopped = False
        self._last_resort = last_resort
        self._resorted = False
        self.targets = tuple(make_targets(self._tell))

    @property
    def level(self) -> str:
        """Events below it are dropped, unless their section has a level of its own."""
        return self._threshold.name  # type: ignore[no-any-return]

    @level.setter
    def level(self, level: str) -> None:
        self._threshold = LEVELS[level]

    def __call__(self, event: LogEvent) -> None:
        """Log ``event`` unless it is below the level."""
        try:
            level = event.get("log_level", LogLevel.info)
            if (level < self._threshold and event.get("log_forced") is not True) or self._stopped:
                return
            record = make_record(event)
        except Exception as error:  # noqa: BLE001 - whatever it is, the log must go on, and must not log it through itself
            record = _make_excuse(event, error)
        if threading.get_ident() == self._thread:
            self._put(record)
        elif self._handed_over.qsize() < _MOST_HANDED_OVER:
            self._handed_over.put(record)
            self._reactor.callFromThread(self._take_over)
        else:
            next(self._refused)

    def start(self) -> None:
        """Begin to write.

        Call it after the last fork and before root's rights are dropped, so that what only root may open can be.
        """
        for target in self.targets:
            target.start()

    def reopen(self) -> None:
        """SIGHUP: open files anew, and look at once for what is gone."""
        for target in self.targets:
            target.reopen()

    def stop(self) -> Deferred[object]:
        """Write what waits, for at most two seconds, then close everything; later events are ignored.

        Fires without an error.
        """
        self._stopped = True
        while not self._handed_over.empty():
            self._take_over()
        targets = list(self.targets)
        if self._resorted and self._last_resort is not None:
            targets.append(self._last_resort)
        return DeferredList([target.stop() for target in targets]).addCallback(lambda _: None)

    def finish(self) -> None:
        """The process ends before its reactor has run: write what waits. Blocks, for at most some seconds."""
        for target in self.targets:
            target.finish()

    def _take_over(self) -> None:
        with contextlib.suppress(Empty):
            self._put(self._handed_over.get_nowait())
        if self._handed_over.empty():
            # Looking draws one itself, which is not counted.
            refused = next(self._refused) - 1 - self._looks
            self._looks += 1
            if refused > self._reported:
                count, self._reported = refused - self._reported, refused
                self._put(make_report(LOG_DROPPED, target="other threads", count=count))

    def _put(self, record: LogRecord) -> None:
        for target in self.targets:
            # A target that can't write a record must not keep it from the others.
            try:
                target.put(record)
            except Exception as error:  # noqa: BLE001 - as in __call__
                with contextlib.suppress(Exception):
                    target.put(_make_excuse({}, error))

    def _tell(self, name: str, record: LogRecord) -> None:
        if LEVELS[record.level] < self._threshold:
            return
        others = [target for target in self.targets if target.name != name]
        if not others and self._last_resort is not None and self._last_resort.name != name:
            self._resorted = True
            self._last_resort.start()
            others = [self._last_resort]
        for target in others:
            with contextlib.suppress(Exception):
                target.put(record)


def _make_excuse(event: LogEvent, error: Exception) -> LogRecord:
    """A record of nothing but constants and harmless names, in place of one that could not be made."""
    time = event.get("log_time")
    return LogRecord(
        time=time if isinstance(time, float) else 0.0,
        level="critical",
        severity=SEVERITIES["critical"],
        facility=None,
        event=None,
        subject="log",
        message=f"an event could not be written: {type(error).__name__}",
        fields={},
    )
