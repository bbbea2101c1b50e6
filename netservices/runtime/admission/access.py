"""Who may connect at all: ``allow`` and ``deny``, by longest prefix.

Networks stand in tables by prefix length, so that a lookup costs one try per length in use, however long the lists are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

IP = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

V = TypeVar("V")

_REMEMBERED = 4096
"""Decisions kept of the addresses seen last."""


def unmap_ip(ip: IP) -> IP:
    """An IPv4-mapped IPv6 address as IPv4 (RFC 4291 2.5.5.2); any other as it is."""
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


def unmap_network(network: Network) -> Network:
    """A network within ``::ffff:0:0/96`` as the IPv4 network it stands for; any other as it is."""
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - 96))
    return network


class Networks(Generic[V]):
    """Values by network; an address finds that of the longest prefix it is in. A network given twice has its last."""

    def __init__(self, entries: Iterable[tuple[Network, V]]) -> None:
        tables: dict[tuple[int, int], dict[int, V]] = {}
        for given, value in entries:
            network = unmap_network(given)
            shift = network.max_prefixlen - network.prefixlen
            tables.setdefault((network.version, shift), {})[int(network.network_address) >> shift] = value
        self._by_version = {
            version: [(shift, table) for (of, shift), table in sorted(tables.items()) if of == version]
            for version in (4, 6)
        }

    def find(self, ip: IP) -> V | None:
        """The value of the longest prefix that ``ip`` is in; None where there is none."""
        address = unmap_ip(ip)
        number = int(address)
        for shift, table in self._by_version[address.version]:
            value = table.get(number >> shift)
            if value is not None:
                return value
        return None


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether an address may connect; ``rule`` is the line that decided, ``key`` the list it stands in."""

    allowed: bool
    rule: str
    key: str


_UNIX = Decision(allowed=True, rule="a unix socket: the file's permissions decide", key="listen")
_NOBODY = Decision(allowed=False, rule="no network of allow matches", key="allow")


class AccessList:
    """The two lists of one service: the longest matching prefix decides, and on a tie ``deny``.

    Who is in no network of either does not come in. ``::/0`` is every IPv6 address and no IPv4 one.
    """

    def __init__(self, allow: Iterable[Network], deny: Iterable[Network]) -> None:
        allowed = [(network, Decision(allowed=True, rule=f"allow {network}", key="allow")) for network in allow]
        denied = [(network, Decision(allowed=False, rule=f"deny {network}", key="deny")) for network in deny]
        # deny comes last, so that it has the say where both name one network.
        networks = Networks([*allowed, *denied])
        self._decide = lru_cache(_REMEMBERED)(lambda ip: networks.find(ip) or _NOBODY)

    def decide(self, ip: IP | None) -> Decision:
        """What holds for ``ip``; None is the peer of a unix socket, who always comes in."""
        return _UNIX if ip is None else self._decide(ip)
