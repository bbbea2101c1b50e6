"""The bans that hold, found by address: one try per prefix length in use, however many there are."""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from netservices.runtime.admission.access import unmap_ip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netservices.runtime.admission.access import IP, Network
    from netservices.runtime.admission.banstore import Ban

_SLACK = 64


class Held:
    """A ban in the table: ``ends`` in the table's own seconds, ``number`` in the order of coming."""

    __slots__ = ("ban", "ends", "number", "taken")

    def __init__(self, ban: Ban, ends: float | None, number: int) -> None:
        self.ban = ban
        self.ends = ends
        self.number = number
        self.taken = False


class BanTable:
    """Bans by network, in the order they came. Time is seconds that never go backwards."""

    def __init__(self) -> None:
        self._held: dict[Network, Held] = {}
        self._automatic: OrderedDict[Network, None] = OrderedDict()
        self._tables: dict[tuple[int, int], dict[int, Held]] = {}
        self._shifts: dict[int, list[int]] = {4: [], 6: []}
        self._ends: list[tuple[float, int, Held]] = []
        self._numbers = 0

    def __len__(self) -> int:
        """How many are held, those that have ended but were not taken out yet among them."""
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        """In the order they came."""
        return iter(self._held.values())

    @property
    def automatic(self) -> int:
        """How many of them nobody asked for."""
        return len(self._automatic)

    def find(self, ip: IP, now: float) -> Ban | None:
        """The ban that holds for ``ip``: that of the longest prefix, if there are several."""
        address = unmap_ip(ip)
        version = address.version
        number = int(address)
        for shift in self._shifts[version]:
            held = self._tables[version, shift].get(number >> shift)
            if held is not None and (held.ends is None or now < held.ends):
                return held.ban
        return None

    def get(self, network: Network) -> Ban | None:
        """The ban of exactly this network."""
        held = self._held.get(network)
        return None if held is None else held.ban

    def put(self, ban: Ban, ends: float | None) -> None:
        """Hold ``ban`` until ``ends`` (None: for good), in the place of one of the same network."""
        self.take(ban.network)
        self._numbers += 1
        held = Held(ban, ends, self._numbers)
        network = ban.network
        self._held[network] = held
        if not ban.manual:
            self._automatic[network] = None
        version, shift, number = _place(network)
        table = self._tables.get((version, shift))
        if table is None:
            table = self._tables[version, shift] = {}
            insort(self._shifts[version], shift)
        table[number] = held
        if ends is not None:
            heappush(self._ends, (ends, held.number, held))
            self._tidy()

    def take(self, network: Network) -> Ban | None:
        """Take the ban of exactly this network out, if there is one."""
        held = self._held.pop(network, None)
        if held is None:
            return None
        held.taken = True
        self._automatic.pop(network, None)
        version, shift, number = _place(network)
        table = self._tables[version, shift]
        del table[number]
        if not table:
            del self._tables[version, shift]
            self._shifts[version].remove(shift)
        return held.ban

    def take_ended(self, now: float) -> Ban | None:
        """Take one out that has ended."""
        first = self.next_end()
        if first is None or now < first:
            return None
        return self.take(heappop(self._ends)[2].ban.network)

    def take_oldest(self) -> Ban | None:
        """Take out the one that came first of those that nobody asked for."""
        return self.take(next(iter(self._automatic))) if self._automatic else None

    def next_end(self) -> float | None:
        """When the next one ends."""
        while self._ends and self._ends[0][2].taken:
            heappop(self._ends)
        return self._ends[0][0] if self._ends else None

    def _tidy(self) -> None:
        """Bans that were taken out early must not pile up among the ends."""
        if len(self._ends) > 2 * len(self._held) + _SLACK:
            self._ends = [end for end in self._ends if not end[2].taken]
            heapify(self._ends)


def _place(network: Network) -> tuple[int, int, int]:
    """Version, shift and number under which the addresses of a network are looked up."""
    shift = network.max_prefixlen - network.prefixlen
    return network.version, shift, int(network.network_address) >> shift
