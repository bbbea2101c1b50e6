"""How often each peer failed lately, with bounded memory. Time is seconds that never go backwards."""

from __future__ import annotations

from array import array
from collections import OrderedDict

from netservices.runtime.admission.rates import MOST_MOMENTS, MOST_PEERS

MOST_FAILURES = 1000
"""Moments kept of one peer: the most that ``bans.failures`` may ask for."""


class FailureCounts:
    """The moments of each peer's failures, ordered by who failed last.

    How many count, and for how long, may differ with every failure: each service has options of its own. A failure is
    kept for the longest stretch that was heard of. Beyond the caps the peer that failed longest ago is forgotten.
    """

    def __init__(self, *, peers: int = MOST_PEERS, moments: int = MOST_MOMENTS) -> None:
        self._most_peers = peers
        self._most_moments = moments
        self._peers: OrderedDict[str, array[float]] = OrderedDict()
        self._moments = 0
        self._longest = 0.0

    def __len__(self) -> int:
        """How many peers are remembered."""
        return len(self._peers)

    def keep(self, within: float) -> None:
        """Keep failures for ``within`` seconds at least, for a service that has not had one yet."""
        self._longest = max(self._longest, within)

    def note(self, peer: str, *, failures: int, within: float, now: float) -> bool:
        """One more failure of ``peer``; whether that makes ``failures`` in the last ``within`` seconds.

        If it does, the peer begins anew. ``failures`` is 1 to 1000; a failure exactly ``within`` seconds ago does not
        count any more.
        """
        self.keep(within)
        moments = self._peers.setdefault(peer, array("d"))
        self._peers.move_to_end(peer)
        self._trim(moments, now)
        moments.append(now)
        self._moments += 1
        if len(moments) >= failures and now - moments[-failures] < within:
            self.forget(peer)
            return True
        self._shrink(now)
        return False

    def forget(self, peer: str) -> None:
        """Let ``peer`` begin anew."""
        self._moments -= len(self._peers.pop(peer, ()))

    def _trim(self, moments: array[float], now: float) -> None:
        """Drop what can't count any more, under whatever options."""
        stale = 0 if len(moments) < MOST_FAILURES else 1
        while stale < len(moments) and now - moments[stale] >= self._longest:
            stale += 1
        del moments[:stale]
        self._moments -= stale

    def _shrink(self, now: float) -> None:
        # Two of the stalest a time: the table shrinks while there are failures, and no single one is slow.
        for _ in range(2):
            stalest = next(iter(self._peers))
            if now - self._peers[stalest][-1] < self._longest:
                break
            self.forget(stalest)
        while len(self._peers) > 1 and (len(self._peers) > self._most_peers or self._moments > self._most_moments):
            self.forget(next(iter(self._peers)))
