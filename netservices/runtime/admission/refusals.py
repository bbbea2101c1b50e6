"""A peer that is refused: what the listener is told, and what the log says of it, however many there are."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from twisted.logger import LogLevel

from netservices.runtime.events import Event

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from netservices.runtime.addresses import Address
    from netservices.runtime.events import EventLog

PEER_REFUSED = Event(
    "daemon.peer.refused",
    LogLevel.warn,
    "{service} refused {peer}, count {count}: {rule}",
    "Connections or datagrams of a peer were not taken. `rule` is the setting that refused the last of them and where "
    "it stands. A peer's first refusal is written at once; those of the minute after it make one line, with their "
    "`count`. `peer` is an address without a port, or `others` for all peers beyond the first thousand of a minute.",
)

MINUTE = 60.0
FOLLOWED = 1024
"""Peers that have lines of their own at the same time; the rest share one."""
_BATCH = 32
"""Lines written in one go: well below 5 ms of the reactor's time."""
_OTHERS = "others"


class RefusalKind(Enum):
    """What refused. Only the peer over a limit is told so; one that is not let in at all is just closed."""

    ACCESS = "access"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A peer was not admitted; ``rule`` says why and where that is set, ``key`` is the option (``limits.per_peer``)."""

    kind: RefusalKind
    rule: str
    key: str


class _Followed:
    """One peer's minute."""

    __slots__ = ("due", "more", "name", "rule")

    def __init__(self, due: float, name: str) -> None:
        self.due = due
        self.name = name
        self.rule = ""
        self.more = 0


class RefusalLog:
    """Writes at most one line per peer and minute; a further refusal in that minute costs a count.

    ``log`` has the service bound to it. While somebody is followed there is one timer; ``stop`` ends it.
    """

    def __init__(self, clock: IReactorTime, log: EventLog, *, followed: int = FOLLOWED) -> None:
        self._clock = clock
        self._log = log
        self._most = followed
        self._followed: OrderedDict[str, _Followed] = OrderedDict()
        self._call: IDelayedCall | None = None
        self._stopped = False

    def note(self, key: str, peer: Address, rule: str) -> None:
        """``peer`` was refused by ``rule``; ``key`` is what it is counted as."""
        entry = self._followed.get(key)
        if entry is None and len(self._followed) >= self._most:
            key = _OTHERS
            entry = self._followed.get(key)
        if entry is not None:
            entry.more += 1
            entry.rule = rule
            return
        if self._stopped:
            return
        name = key if key == _OTHERS else peer.host or str(peer)
        self._followed[key] = _Followed(self._clock.seconds() + MINUTE, name)
        self._log.emit(PEER_REFUSED, peer=name, rule=rule, count=1)
        if self._call is None:
            self._call = self._clock.callLater(MINUTE, self._look)

    def stop(self) -> None:
        """Write what was only counted so far, and nothing after that."""
        self._stopped = True
        if self._call is not None:
            self._call.cancel()
            self._call = None
        for entry in self._followed.values():
            self._write(entry)
        self._followed.clear()

    def _write(self, entry: _Followed) -> None:
        if entry.more:
            self._log.emit(PEER_REFUSED, peer=entry.name, rule=entry.rule, count=entry.more)
            entry.more = 0

    def _look(self) -> None:
        """The oldest come first; what is left of a batch has its turn after the reactor's."""
        now = self._clock.seconds()
        for _ in range(_BATCH):
            if not self._followed or self._first().due > now:
                break
            self._settle(now)
        self._call = None
        if self._followed:
            self._call = self._clock.callLater(max(0.0, self._first().due - now), self._look)

    def _first(self) -> _Followed:
        return next(iter(self._followed.values()))

    def _settle(self, now: float) -> None:
        key, entry = self._followed.popitem(last=False)
        if entry.more:
            self._write(entry)
            entry.due = now + MINUTE
            self._followed[key] = entry


EVENTS = (PEER_REFUSED,)
