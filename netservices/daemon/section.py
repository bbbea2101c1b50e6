"""One section of the configuration, running."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred, succeed
from twisted.logger import LogLevel

from netservices.runtime import Event
from netservices.runtime.workers import IReopenable

if TYPE_CHECKING:
    from twisted.application.service import IService

    from netservices.config import ServiceOptions
    from netservices.kind import Parts
    from netservices.runtime import EventLog, Session
    from netservices.runtime.admission import Admission, ProxyNetworks
    from netservices.runtime.metrics import SectionMetrics
    from netservices.runtime.tls import ServerCreator

WORKER_FAILED = Event(
    "daemon.worker.failed",
    LogLevel.error,
    "{service}: a worker could not be stopped: {log_failure.value}",
    "Something that a section keeps running beside its listeners could not be ended cleanly; please report it.",
)
WORKER_REFUSED = Event(
    "daemon.worker.refused",
    LogLevel.critical,
    "{service}: a worker could not be started: {log_failure.value}",
    "What a section keeps running beside its listeners raised when it was started, so that the daemon did not start "
    "or the reload changed nothing; please report it with the traceback.",
)


class WorkerError(Exception):
    """A worker can't be started; the text names the section."""


class Undecided(Protocol):
    """A connection that was accepted and is no session yet."""

    def turn_away(self) -> None:
        """Close it now."""


@dataclass(eq=False)
class Section:
    """What one section runs as, from its first listener to its last session.

    ``tls`` makes the TLS connections of its ``tls:`` listeners, or is None where it has none. A section that a reload
    has changed lives on, retired, until its last session has ended; only then do its workers stop.
    """

    name: str
    options: ServiceOptions
    parts: Parts
    admission: Admission
    log: EventLog
    proxies: ProxyNetworks
    metrics: SectionMetrics
    tls: ServerCreator | None = None
    sessions: set[Session] = field(default_factory=set)
    undecided: set[Undecided] = field(default_factory=set)
    _working: list[IService] = field(default_factory=list)
    _idle: Deferred[None] | None = None

    def start(self) -> None:
        """Start the workers, all or none. Called before anything is accepted. Raises ``WorkerError``."""
        for worker in self.parts.workers:
            try:
                worker.privilegedStartService()
                worker.startService()
            except Exception as error:
                self.log.failure(WORKER_REFUSED)
                self.stop()
                text = f"section {self.name}: a worker could not be started: {type(error).__name__}: {error}"
                raise WorkerError(text) from error
            self._working.append(worker)

    def waits_for(self, connection: Undecided) -> None:
        """A connection was accepted that has yet to say who it is from; it holds the section as a session does."""
        self.undecided.add(connection)

    def decided(self, connection: Undecided) -> None:
        """It has said so and may be a session by now, or it is gone."""
        self.undecided.discard(connection)
        self._look_idle()

    def opened(self, session: Session) -> None:
        """A session was admitted."""
        self.sessions.add(session)
        self.metrics.opened()

    def ended(self, session: Session) -> None:
        """A session has ended; if it was the last of a retired section, the workers may stop."""
        self.sessions.discard(session)
        self.metrics.ended(session.age, session.bytes_in, session.bytes_out)
        self._look_idle()

    def _look_idle(self) -> None:
        if not self.sessions and not self.undecided and self._idle is not None:
            waiting, self._idle = self._idle, None
            waiting.callback(None)

    def reopen(self) -> None:
        """Log rotation has renamed files."""
        if not self._working:
            # A worker that ends, or has ended, would open its file again and never close it.
            return
        for worker in self.parts.workers:
            if IReopenable.providedBy(worker):
                IReopenable(worker).reopen()

    def drain(self) -> Deferred[None]:
        """Ask every session to finish; fires when the last has ended, or ``close`` was called."""
        for session in list(self.sessions):
            session.drain()
        if not self.sessions and not self.undecided:
            return succeed(None)
        if self._idle is None:
            self._idle = Deferred()
        waiting: Deferred[None] = Deferred()
        self._idle.chainDeferred(waiting)
        return waiting

    def turn_away(self) -> None:
        """Close what is no session yet."""
        for connection in list(self.undecided):
            connection.turn_away()

    def close(self, reason: str) -> None:
        """End every session now, and what would become one."""
        self.turn_away()
        for session in list(self.sessions):
            session.abort(reason)

    def stop(self) -> Deferred[None]:
        """Stop the workers; fires when they have."""
        working, self._working = self._working, []
        stopping = [maybeDeferred(worker.stopService) for worker in working]
        for stopped in stopping:
            stopped.addErrback(lambda failure: self.log.failure(WORKER_FAILED, failure))
        return gatherResults(stopping).addCallback(lambda _results: None)


EVENTS = (WORKER_FAILED, WORKER_REFUSED)
