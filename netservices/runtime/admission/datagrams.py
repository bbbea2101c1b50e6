"""What a small server must not answer: anything that could make two servers talk to each other for ever.

CVE-1999-0103: one forged datagram from an echo port to a chargen port starts a loop that only a restart ends.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from twisted.internet.protocol import DatagramProtocol

from netservices.runtime.addresses import Address, make_address, parse_host

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from twisted.internet.interfaces import IUDPTransport

    from netservices.runtime.admission.access import IP

_BROADCAST = IPv4Address("255.255.255.255")
# RFC 1122 3.2.1.3: "this network" is never an address that can be answered.
_THIS_NETWORK = IPv4Network("0.0.0.0/8")


def may_answer(source: Address, local: Address, own: Collection[Address] = ()) -> bool:
    """Whether a datagram from ``source`` that came in at ``local`` may be answered (S6).

    Never to a port below 1024, where servers live; never to a broadcast, multicast or unspecified address, nor from a
    socket bound to a group; never to one of our own sockets: ``local`` itself and those in ``own``. A socket of ours
    that is bound to every interface is recognised by its port and family, since any address of this machine reaches it.
    Which broadcast addresses the attached networks have, only the kernel knows; it drops datagrams that claim to come
    from one.
    """
    ip = source.ip
    if ip is None:
        return bool(source.path) and all(source.path != address.path for address in (local, *own))
    if source.port < 1024 or _is_group(ip) or _is_unspecified(ip):
        return False
    here = local.ip
    if here is not None and _is_group(here):
        return False
    return not any(_is_reached(address, ip, source.port) for address in (local, *own))


def _is_group(ip: IP) -> bool:
    return ip.is_multicast or ip == _BROADCAST


def _is_unspecified(ip: IP) -> bool:
    return ip in _THIS_NETWORK if isinstance(ip, IPv4Address) else ip.is_unspecified


def _is_reached(own: Address, ip: IP, port: int) -> bool:
    here = own.ip
    if here is None or own.port != port:
        return False
    return here == ip or (here.is_unspecified and here.version == ip.version)


class GuardedDatagrams(DatagramProtocol):
    """In front of a server that answers every datagram: one that may not be answered never reaches it."""

    noisy = False

    def __init__(self, inner: DatagramProtocol, own: Callable[[], Collection[Address]] = tuple) -> None:
        """``own`` gives the addresses of all our datagram sockets, as they are when it is called."""
        self._inner = inner
        self._own = own

    def makeConnection(self, transport: IUDPTransport) -> None:
        super().makeConnection(transport)
        self._local = make_address(transport.getHost())
        self._inner.makeConnection(transport)

    def doStop(self) -> None:
        self._inner.doStop()
        super().doStop()

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        source = Address(str(parse_host(addr[0])), addr[1])
        if may_answer(source, self._local, self._own()):
            self._inner.datagramReceived(datagram, addr)

    def connectionRefused(self) -> None:
        self._inner.connectionRefused()
