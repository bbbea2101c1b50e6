"""One section of the configuration, running."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred, succeed
from twisted.logger import LogLevel

from netservices.runtime import Event
from netservices.runtime.workers import IReopenable

if TYPE_CHECKING:
    from netservices.config import ServiceOptions
    from netservices.kind import Parts
    from netservices.runtime import EventLog, Session
    from netservices.runtime.admission import Admission, ProxyNetworks
    from netservices.runtime.tls import ServerCreator

WORKER_FAILED = Event(
    "daemon.worker.failed",
    LogLevel.error,
    "{service}: a worker could not be stopped: {log_failure.value}",
    "Something that a section keeps running beside its listeners could not be ended cleanly; please report it.",
)


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
    tls: ServerCreator | None = None
    sessions: set[Session] = field(default_factory=set)
    _working: bool = False
    _idle: Deferred[None] | None = None

    def start(self) -> None:
        """Start the workers. Called before anything is accepted."""
        self._working = True
        for worker in self.parts.workers:
            worker.privilegedStartService()
            worker.startService()

    def opened(self, session: Session) -> None:
        """A session was admitted."""
        self.sessions.add(session)

    def ended(self, session: Session) -> None:
        """A session has ended; if it was the last of a retired section, the workers may stop."""
        self.sessions.discard(session)
        if not self.sessions and self._idle is not None:
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
        if not self.sessions:
            return succeed(None)
        if self._idle is None:
            self._idle = Deferred()
        waiting: Deferred[None] = Deferred()
        self._idle.chainDeferred(waiting)
        return waiting

    def close(self, reason: str) -> None:
        """End every session now."""
        for session in list(self.sessions):
            session.abort(reason)

    def stop(self) -> Deferred[None]:
        """Stop the workers; fires when they have."""
        if not self._working:
            return succeed(None)
        self._working = False
        stopping = [maybeDeferred(worker.stopService) for worker in self.parts.workers]
        for stopped in stopping:
            stopped.addErrback(lambda failure: self.log.failure(WORKER_FAILED, failure))
        return gatherResults(stopping).addCallback(lambda _results: None)


EVENTS = (WORKER_FAILED,)
