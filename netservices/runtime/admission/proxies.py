"""Whose PROXY header is believed, and who the peer then is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netservices.runtime.addresses import Address, parse_host
from netservices.runtime.admission.access import Networks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netservices.runtime.admission.access import Network
    from netservices.wire.proxy import Endpoint, ProxyHeader

ProxyNetworks = Networks[bool]


def make_proxies(proxies: Iterable[Network]) -> ProxyNetworks:
    """A service's ``proxies``, ready to be looked up."""
    return Networks((network, True) for network in proxies)


def is_proxy(peer: Address, proxies: ProxyNetworks) -> bool:
    """Whether ``peer``, the socket's other end, must send a PROXY header; a unix peer has no address to be listed."""
    ip = peer.ip
    return ip is not None and proxies.find(ip) is not None


def make_true_ends(header: ProxyHeader, peer: Address, local: Address) -> tuple[Address, Address]:
    """The true peer and the address it called: the header's, or the socket's own where the header names none."""
    return _make_end(header.source, peer), _make_end(header.destination, local)


def _make_end(end: Endpoint | None, own: Address) -> Address:
    if end is None:
        return own
    return Address(str(parse_host(end.host)), end.port) if end.host else Address("", 0, end.path)
