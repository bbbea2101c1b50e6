"""Who is at the other end, in one form for every transport."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from twisted.internet.address import IPv4Address as StockIPv4Address
from twisted.internet.address import IPv6Address as StockIPv6Address
from twisted.internet.address import UNIXAddress

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress


@lru_cache(maxsize=4096)
def parse_host(host: str) -> IPv4Address | IPv6Address:
    """A numeric host to an address; IPv4-mapped IPv6 becomes IPv4, a zone is left out. Raises ``ValueError``."""
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@dataclass(frozen=True, slots=True)
class Address:
    """An end of a connection: ``host`` is numeric, without a zone, never IPv4-mapped; empty for a unix socket.

    ``path`` is the unix socket's, if it has one.
    """

    host: str
    port: int = 0
    path: str = ""

    @property
    def ip(self) -> IPv4Address | IPv6Address | None:
        """The address as a number, or None for a unix socket."""
        return parse_host(self.host) if self.host else None

    def __str__(self) -> str:
        """``192.0.2.1:25``, ``[2001:db8::1]:25`` or ``unix:/path``."""
        if not self.host:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def make_address(address: IAddress) -> Address:
    """Twisted's address to ours. A UNIX address without a name has an empty path."""
    if isinstance(address, StockIPv4Address | StockIPv6Address):
        return Address(str(parse_host(address.host)), address.port)
    if isinstance(address, UNIXAddress):
        return Address("", 0, (address.name or b"").decode("utf-8", "surrogateescape"))
    raise TypeError(f"not the address of a stream or datagram peer: {address!r}")
