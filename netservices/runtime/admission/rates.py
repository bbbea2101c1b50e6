"""How many in any stretch of time: exact sliding windows, with bounded memory.

A token bucket lets twice its size through around a boundary; a fixed window does too. Here the moments themselves are
kept, eight octets each, and the one ``count`` places back decides. Time is seconds that never go backwards.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from netservices.config import Rate

MOST_PEERS = 32_768
"""Peers whose windows are kept at once: some 11 MiB. A table twice as large would stop the reactor for 5 ms to grow."""
MOST_MOMENTS = 1_048_576
"""Moments kept at once, of all peers together: 8 MiB."""


class SteadyClock:
    """Seconds that go on from where they were when the machine's clock is set back.

    The reactor's clock is the wall clock. Were it followed backwards, an hour set back would be an hour of refusals.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._ahead = 0.0
        self._latest = seconds()

    def __call__(self) -> float:
        """Seconds, at least as many as the last time."""
        now = self._seconds() + self._ahead
        if now < self._latest:
            self._ahead += self._latest - now
            return self._latest
        self._latest = now
        return now


class Window:
    """The moments of what was let in lately, in a ring that begins at the oldest."""

    __slots__ = ("_moments", "_oldest")

    def __init__(self) -> None:
        self._moments = array("d")
        self._oldest = 0

    def __len__(self) -> int:
        return len(self._moments)

    @property
    def latest(self) -> float:
        """When something was let in last."""
        return self._moments[self._oldest - 1]

    def has_room(self, rate: Rate, now: float) -> bool:
        """Whether one more at ``now`` keeps any half-open stretch of ``rate.per`` seconds within ``rate.count``."""
        kept = len(self._moments)
        if kept < rate.count:
            return True
        return now - self._moments[(self._oldest - rate.count) % kept] >= rate.per

    def add(self, rate: Rate, now: float) -> int:
        """Note that one was let in at ``now``; the room was there. Returns how many more moments are kept: 0 or 1."""
        moments = self._moments
        if moments and now - moments[self._oldest] >= rate.per:
            moments[self._oldest] = now
            self._oldest = (self._oldest + 1) % len(moments)
            return 0
        if self._oldest:
            self._moments = moments = moments[self._oldest :] + moments[: self._oldest]
            self._oldest = 0
        moments.append(now)
        return 1


class PeerRates:
    """One window per peer, ordered by who was let in last.

    A peer not seen for a whole window is dropped. Beyond the caps the peer let in longest ago is dropped too, and may
    then have one window's worth anew. To have it forgotten early, that many others must all have been let in within one
    window; what they gain by one more is nothing beside it, and ``sessions`` and ``per_peer`` hold all the same.
    """

    def __init__(self, *, peers: int = MOST_PEERS, moments: int = MOST_MOMENTS) -> None:
        self._most_peers = peers
        self._most_moments = moments
        self._windows: OrderedDict[str, Window] = OrderedDict()
        self._moments = 0

    def __len__(self) -> int:
        """How many peers are remembered."""
        return len(self._windows)

    def has_room(self, peer: str, rate: Rate, now: float) -> bool:
        """Whether ``peer`` may be let in at ``now``."""
        window = self._windows.get(peer)
        return window is None or window.has_room(rate, now)

    def add(self, peer: str, rate: Rate, now: float) -> None:
        """Note that ``peer`` was let in at ``now``; the room was there."""
        window = self._windows.get(peer)
        if window is None:
            window = self._windows[peer] = Window()
        else:
            self._windows.move_to_end(peer)
        self._moments += window.add(rate, now)
        # Two of the stalest a time: the table shrinks while the service is busy, and no single call is slow.
        for _ in range(2):
            stalest = next(iter(self._windows))
            if now - self._windows[stalest].latest < rate.per:
                break
            self._drop(stalest)
        while len(self._windows) > 1 and (len(self._windows) > self._most_peers or self._moments > self._most_moments):
            self._drop(next(iter(self._windows)))

    def _drop(self, peer: str) -> None:
        self._moments -= len(self._windows.pop(peer))
