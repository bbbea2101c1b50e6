"""How much one service takes on: ``sessions``, ``per_peer``, ``rate``, ``total_rate`` with ``pause``.

Only what is let in counts, for every limit. A peer that hammers still gets its ``rate`` and not a connection more, and
it cannot use up the service's ``total_rate`` with connections it is not given.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Network
from typing import TYPE_CHECKING

from netservices.config.units import format_duration
from netservices.runtime.addresses import parse_host
from netservices.runtime.admission.rates import PeerRates, SteadyClock, Window
from netservices.runtime.admission.refusals import Refusal, RefusalKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from netservices.config import Limits
    from netservices.runtime.addresses import Address


@lru_cache(maxsize=4096)
def make_peer_key(host: str) -> str:
    """What a numeric host is counted as: an IPv4 address itself, IPv6 its /64; empty (a unix socket) stays empty."""
    if not host:
        return ""
    ip = parse_host(host)
    return str(ip) if ip.version == 4 else str(IPv6Network((ip, 64), strict=False))


class Ticket:
    """One admitted session's place; whoever got it releases it, on whichever way the connection ends."""

    __slots__ = ("_peer", "_release")

    def __init__(self, release: Callable[[str], object], peer: str) -> None:
        self._release: Callable[[str], object] | None = release
        self._peer = peer

    def release(self) -> None:
        """Give the place back; again does nothing."""
        release, self._release = self._release, None
        if release is not None:
            release(self._peer)


class SessionLimits:
    """The counters of one service.

    A unix peer counts in ``sessions`` and ``total_rate``; it has no address to be counted by. Datagrams have windows of
    their own: with a forged source nobody can spend the ``rate`` of somebody else's sessions.
    """

    def __init__(
        self, limits: Limits, seconds: Callable[[], float], *,
        origin: Callable[[str], str], on_pause: Callable[[Refusal], object],
    ) -> None:  # fmt: skip
        """``origin`` tells where an option is set; ``on_pause`` is called whenever a pause begins."""
        self._seconds = SteadyClock(seconds)
        self._on_pause = on_pause
        self._open = 0
        self._open_by_peer: dict[str, int] = {}
        self._rates = PeerRates()
        self._datagrams = PeerRates()
        self._total = Window()
        self._paused_until: float | None = None
        self._limits = limits
        self.reconfigure(limits, origin=origin)

    @property
    def sessions(self) -> int:
        """How many are open."""
        return self._open

    def sessions_of(self, peer: Address) -> int:
        """How many of them are counted as ``peer``'s."""
        return self._open_by_peer.get(make_peer_key(peer.host), 0)

    def reconfigure(self, limits: Limits, *, origin: Callable[[str], str]) -> None:
        """Other limits from here on; what is open stays open, and what is known of the past still counts.

        A longer window begins with what the shorter one remembered. A pause ends if its own settings changed.
        """
        if (limits.total_rate, limits.pause) != (self._limits.total_rate, self._limits.pause):
            self._paused_until = None
        self._limits = limits
        total = limits.total_rate
        rules = {
            "sessions": str(limits.sessions),
            "per_peer": str(limits.per_peer),
            "rate": str(limits.rate),
            "total_rate": f"{total}, pause {format_duration(limits.pause)}",
        }
        self._refusals = {
            name: Refusal(RefusalKind.LIMIT, f"limits.{name} = {text} ({origin(f'limits.{name}')})", f"limits.{name}")
            for name, text in rules.items()
        }

    def admit(self, peer: Address) -> Ticket | Refusal:
        """A place for a session of ``peer``, or what is used up; the peer's own limits before ``total_rate``."""
        limits = self._limits
        now = self._seconds()
        if self._paused_until is not None:
            if now < self._paused_until:
                return self._refusals["total_rate"]
            self._paused_until = None
        if self._open >= limits.sessions:
            return self._refusals["sessions"]
        key = make_peer_key(peer.host)
        if key:
            if self._open_by_peer.get(key, 0) >= limits.per_peer:
                return self._refusals["per_peer"]
            if not self._rates.has_room(key, limits.rate, now):
                return self._refusals["rate"]
        if limits.total_rate is not None:
            if not self._total.has_room(limits.total_rate, now):
                self._paused_until = now + limits.pause
                self._on_pause(self._refusals["total_rate"])
                return self._refusals["total_rate"]
            self._total.add(limits.total_rate, now)
        self._open += 1
        if key:
            self._open_by_peer[key] = self._open_by_peer.get(key, 0) + 1
            self._rates.add(key, limits.rate, now)
        return Ticket(self._release, key)

    def admit_datagram(self, peer: Address) -> Refusal | None:
        """None lets one datagram of ``peer`` in; only ``rate`` holds for datagrams."""
        key = make_peer_key(peer.host)
        if not key:
            return None
        now = self._seconds()
        if not self._datagrams.has_room(key, self._limits.rate, now):
            return self._refusals["rate"]
        self._datagrams.add(key, self._limits.rate, now)
        return None

    def _release(self, peer: str) -> None:
        self._open -= 1
        if not peer:
            return
        left = self._open_by_peer[peer] - 1
        if left:
            self._open_by_peer[peer] = left
        else:
            del self._open_by_peer[peer]
