"""Who is kept out of every service for a while: for failed logins on any of them, or because the operator says so.

One registry serves the whole daemon. Looking somebody up costs next to nothing while nobody is banned.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import LogLevel

from netservices.config.units import format_duration
from netservices.runtime.admission.access import unmap_network
from netservices.runtime.admission.banstore import LONGEST_REASON, OPERATOR, Ban, say_end, say_network
from netservices.runtime.admission.bantable import BanTable
from netservices.runtime.admission.banwriter import EVENTS as WRITER_EVENTS
from netservices.runtime.admission.banwriter import BanWriter
from netservices.runtime.admission.failures import FailureCounts
from netservices.runtime.admission.limits import make_peer_key
from netservices.runtime.admission.proxies import is_proxy, make_proxies
from netservices.runtime.admission.rates import SteadyClock
from netservices.runtime.events import Event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from netservices.config import Bans, ServiceOptions
    from netservices.runtime.addresses import Address
    from netservices.runtime.admission.access import IP, Network
    from netservices.runtime.admission.banstore import BanStore
    from netservices.runtime.events import EventLog
    from netservices.runtime.files import FilePool

PEER_BANNED = Event(
    "daemon.peer.banned",
    LogLevel.warn,
    "{peer} is banned on every service until {until}: {reason} (by {by})",
    "`peer`, an address or a network, is refused by every service. `by` is the service whose failed login was one too "
    "many (`bans` in the configuration), or `operator` for `netservices ban add`. `netservices ban remove` lifts it.",
)
BAN_REMOVED = Event(
    "daemon.ban.removed",
    LogLevel.info,
    "the ban of {peer} is lifted: {reason}",
    "Before its time: an operator removed it, or, beyond 16,384 bans for failures, it was the oldest of them.",
)
BAN_EXPIRED = Event(
    "daemon.ban.expired",
    LogLevel.info,
    "the ban of {peer} has ended",
    "Its time is over; the peer may come in again.",
)

MOST_BANS = 16_384
"""Bans for failures held at once, and as many of the operator's."""
_BATCH = 32
_LONGEST_WAIT = 60.0


class BansFullError(Exception):
    """The operator has as many bans as there may be."""


class BanRegistry:
    """The bans of the daemon, and the failures that may become some.

    ``pool`` is the registry's own: one thread, started and stopped here. ``log`` is the daemon's. An IPv6 peer is its
    /64. A peer on a unix socket has no address and is never banned.
    """

    def __init__(
        self, store: BanStore, pool: FilePool, *, clock: IReactorTime, log: EventLog, most: int = MOST_BANS
    ) -> None:
        self._store = store
        self._pool = pool
        self._clock = clock
        self._log = log
        self._most = most
        self._steady = SteadyClock(clock.seconds)
        self._table = BanTable()
        self._failures = FailureCounts()
        self._writer = BanWriter(store, pool, clock, log)
        self._proxies = make_proxies(())
        self._call: IDelayedCall | None = None
        self._running = False
        self.active = False
        """Whether anybody is banned at all; looking here first spares a look-up."""

    def start(self) -> None:
        """Take up the bans that were saved. It waits for the disk: call it before anything listens, and once.

        Raises ``BanStoreError``.
        """
        saved = self._store.load()
        self._pool.start()
        self._running = True
        now, steady = self._clock.seconds(), self._steady()
        for ban in saved:
            if ban.until is not None and ban.until <= now:
                self._writer.note(ban.network, None)
            else:
                self._table.put(ban, None if ban.until is None else steady + ban.until - now)
        self._update()

    def stop(self) -> Deferred[None]:
        """Write what is not on the disk yet; fires when all is let go of. The bans hold to the last connection."""
        self._running = False
        # With a clock that was set back, what has ended would seem not to have after the restart.
        self._take_ended(len(self._table))
        self._stop_timer()
        stopped: Deferred[None] = Deferred()

        def let_go(_result: object) -> Deferred[None]:
            return maybeDeferred(self._pool.run, self._store.close).addErrback(lambda _full: None)

        ended = self._writer.stop().addCallback(let_go).addCallback(lambda _none: self._pool.stop())
        ended.addBoth(lambda _result: stopped.callback(None))
        return stopped

    def configure(self, services: Iterable[ServiceOptions]) -> None:
        """What holds for all services together; at start, and at every reload.

        What comes from the ``proxies`` of any of them are others' failures, so they are never counted. Failures are
        kept for the longest ``within``.
        """
        sections = list(services)
        self._proxies = make_proxies(network for options in sections for network in options.proxies)
        for options in sections:
            self._failures.keep(options.bans.within)

    def note_failure(self, peer: Address, service: str, options: Bans) -> Ban | None:
        """``peer``, the true one, gave wrong credentials to ``service``. Returns the ban that holds for it now.

        Who is banned already, with sessions open from before, is not counted again.
        """
        ip = peer.ip
        if ip is None or options.failures == 0 or is_proxy(peer, self._proxies):
            return None
        if ip.is_loopback and not options.loopback:
            return None
        banned = self.find(ip)
        if banned is not None:
            return banned
        key, now = make_peer_key(peer.host), self._steady()
        if not self._failures.note(key, failures=options.failures, within=options.within, now=now):
            return None
        count = f"{options.failures} failed login{'' if options.failures == 1 else 's'}"
        reason = f"{count} within {format_duration(options.within)}"
        since = self._clock.seconds()
        ban = Ban(ip_network(key), since, since + options.duration, reason, service)
        while self._table.automatic >= self._most and (oldest := self._table.take_oldest()) is not None:
            self._log.emit(BAN_REMOVED, peer=say_network(oldest.network), reason="there are too many bans for failures")
            self._writer.note(oldest.network, None)
        self._hold(ban, now + options.duration)
        self._writer.note(ban.network, ban)
        return ban

    def find(self, ip: IP, *, loopback: bool = True) -> Ban | None:
        """The ban that holds for ``ip``; with ``loopback`` False none holds for a loopback address."""
        ban = self._table.find(ip, self._steady()) if self.active else None
        return None if ban is None or (ip.is_loopback and not loopback) else ban

    def list_bans(self, after: int = 0, count: int = 100) -> list[tuple[int, Ban]]:
        """At most ``count`` bans, each with its number, from the first one whose number is above ``after``."""
        now = self._steady()
        found: list[tuple[int, Ban]] = []
        for held in self._table:
            if held.number > after and (held.ends is None or now < held.ends):
                found.append((held.number, held.ban))
                if len(found) >= count:
                    break
        return found

    def add(self, network: Network, *, seconds: float | None, reason: str) -> Deferred[Ban]:
        """The operator bans ``network`` for ``seconds``, or until it is removed (None); at once.

        Fires with the ban when it is on the disk. Fails with ``BanStoreError`` if it can't be written down (it holds
        all the same), and with ``BansFullError``. A ban of the same network is replaced.
        """
        network = unmap_network(network)
        before = self._table.get(network)
        if (before is None or not before.manual) and len(self._table) - self._table.automatic >= self._most:
            error = BansFullError(f"there are {self._most} bans of the operator's already; remove some first")
            failed: Deferred[Ban] = Deferred()
            failed.errback(error)
            return failed
        now = self._clock.seconds()
        until = None if seconds is None else now + seconds
        ban = Ban(network, now, until, reason[:LONGEST_REASON], OPERATOR, manual=True)
        self._hold(ban, None if seconds is None else self._steady() + seconds)
        return self._writer.save(network, ban).addCallback(lambda _none: ban)

    def remove(self, network: Network) -> Deferred[Ban]:
        """Lift the ban of exactly this network, at once; fires with it when that is on the disk.

        Raises ``LookupError`` where there is none. Fails with ``BanStoreError``. Its failures are forgotten.
        """
        network = unmap_network(network)
        ban = self._table.take(network)
        if ban is None:
            raise LookupError(f"there is no ban of {say_network(network)}")
        self._failures.forget(make_peer_key(str(network.network_address)))
        self._update()
        self._log.emit(BAN_REMOVED, peer=say_network(network), reason=f"removed by the {OPERATOR}")
        return self._writer.save(network, None).addCallback(lambda _none: ban)

    def _hold(self, ban: Ban, ends: float | None) -> None:
        self._table.put(ban, ends)
        self._log.emit(
            PEER_BANNED, peer=say_network(ban.network), until=say_end(ban.until), reason=ban.reason, by=ban.by
        )
        self._update()

    def _update(self) -> None:
        """After every change: note whether anybody is banned, and be there when the next ban ends."""
        self.active = len(self._table) > 0
        ends = self._table.next_end()
        if ends is None or not self._running:
            self._stop_timer()
            return
        wait = min(max(0.0, ends - self._steady()), _LONGEST_WAIT)
        if self._call is None or self._clock.seconds() + wait < self._call.getTime():
            self._stop_timer()
            self._call = self._clock.callLater(wait, self._look)

    def _look(self) -> None:
        """Take out what has ended; what is left of a batch has its turn after the reactor's."""
        self._call = None
        self._take_ended(_BATCH)
        self._update()

    def _take_ended(self, most: int) -> None:
        now = self._steady()
        for _ in range(most):
            ban = self._table.take_ended(now)
            if ban is None:
                break
            self._log.emit(BAN_EXPIRED, peer=say_network(ban.network))
            self._writer.note(ban.network, None)

    def _stop_timer(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None


EVENTS = (PEER_BANNED, BAN_REMOVED, BAN_EXPIRED, *WRITER_EVENTS)
