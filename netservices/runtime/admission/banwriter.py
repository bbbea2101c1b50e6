"""Bans on their way to the disk: behind the events that made them, in their order, never on the reactor's thread."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.logger import LogLevel

from netservices.runtime.admission.banstore import BanStoreError
from netservices.runtime.events import Event

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime
    from twisted.python.failure import Failure

    from netservices.runtime.admission.access import Network
    from netservices.runtime.admission.banstore import Ban, BanStore
    from netservices.runtime.events import EventLog
    from netservices.runtime.files import FilePool

BANS_UNSAVED = Event(
    "daemon.bans.unsaved",
    LogLevel.error,
    "bans could not be written down: {reason}",
    "The bans hold while the daemon runs, but those made since would be forgotten at its end. It is tried again every "
    "ten seconds; make room on the disk, or mend what the reason names.",
)

MOST_PENDING = 65_536
"""Networks whose change may wait for the disk; further ones hold, and are not written down."""
_BATCH = 512
_PAUSE = 10.0
_TOO_MUCH = "too much waits for the disk already"


class BanWriter:
    """Writes changes to ``store`` in ``pool``, many in one transaction; of one network only the latest counts.

    What can't be written waits for the next attempt.
    """

    def __init__(
        self, store: BanStore, pool: FilePool, clock: IReactorTime, log: EventLog, *, most: int = MOST_PENDING
    ) -> None:
        self._store = store
        self._pool = pool
        self._clock = clock
        self._log = log
        self._most = most
        self._pending: dict[Network, Ban | None] = {}
        self._waiting: dict[Network, list[Deferred[None]]] = {}
        self._writing: dict[Network, Ban | None] = {}
        self._informed: list[Deferred[None]] = []
        self._retry: IDelayedCall | None = None
        self._troubled = False
        self._ended = False
        self._stopped: list[Deferred[None]] = []

    @property
    def pending(self) -> int:
        """How many networks wait for the disk."""
        return len(self._pending) + len(self._writing)

    def note(self, network: Network, ban: Ban | None) -> None:
        """Write down, some time soon, that ``ban`` is the network's, or that it has none."""
        if self._add(network, ban) and self._retry is None:
            self._write()

    def save(self, network: Network, ban: Ban | None) -> Deferred[None]:
        """As ``note``, and at once; fires when it is on the disk, or fails with ``BanStoreError``.

        After a failure it is still tried again.
        """
        saved: Deferred[None] = Deferred()
        if self._add(network, ban):
            self._waiting.setdefault(network, []).append(saved)
            self._write()
        else:
            saved.errback(BanStoreError("the daemon ends" if self._ended else _TOO_MUCH))
        return saved

    def stop(self) -> Deferred[None]:
        """Write what waits, and give up at the first failure; fires when that is over. Nothing is taken any more."""
        stopped: Deferred[None] = Deferred()
        self._stopped.append(stopped)
        self._ended = True
        self._write()
        self._end_if_idle()
        return stopped

    def _add(self, network: Network, ban: Ban | None) -> bool:
        if self._ended:
            return False
        if network not in self._pending and len(self._pending) >= self._most:
            self._complain(_TOO_MUCH)
            return False
        self._pending[network] = ban
        return True

    def _write(self) -> None:
        if self._writing or not self._pending:
            return
        self._stop_retry()
        self._writing = {network: self._pending[network] for network in islice(self._pending, _BATCH)}
        self._informed = []
        for network in self._writing:
            del self._pending[network]
            self._informed += self._waiting.pop(network, [])
        self._pool.run(self._store.save, list(self._writing.items())).addCallbacks(self._written, self._failed)

    def _written(self, _none: None) -> None:
        self._troubled = False
        self._writing = {}
        informed, self._informed = self._informed, []
        for saved in informed:
            saved.callback(None)
        self._write()
        self._end_if_idle()

    def _failed(self, failure: Failure) -> None:
        reason = failure.getErrorMessage()
        self._complain(reason)
        # What came since is later, and counts; what is tried again goes first.
        self._pending = {} if self._ended else {**self._writing, **self._pending}
        self._writing = {}
        if not self._ended:
            self._retry = self._clock.callLater(_PAUSE, self._try_again)
        informed = [*self._informed, *(saved for waiting in self._waiting.values() for saved in waiting)]
        self._informed, self._waiting = [], {}
        for saved in informed:
            saved.errback(BanStoreError(reason))
        self._end_if_idle()

    def _try_again(self) -> None:
        self._retry = None
        self._write()

    def _stop_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _complain(self, reason: str) -> None:
        """Once, until something could be written again."""
        if not self._troubled:
            self._troubled = True
            self._log.emit(BANS_UNSAVED, reason=reason)

    def _end_if_idle(self) -> None:
        if self._ended and not self._writing and not self._pending:
            stopped, self._stopped = self._stopped, []
            for deferred in stopped:
                deferred.callback(None)


EVENTS = (BANS_UNSAVED,)
