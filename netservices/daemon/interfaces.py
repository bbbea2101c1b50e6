"""The addresses of this machine, for the certificate that is made for it."""

from __future__ import annotations

import fcntl
import socket
import struct
from ipaddress import IPv6Address
from pathlib import Path

# netdevice(7), linux/sockios.h: the IPv4 address of an interface.
_SIOCGIFADDR = 0x8915
_IF_INET6 = Path("/proc/net/if_inet6")


def list_addresses() -> list[str]:
    """One IPv4 address of each interface and every IPv6 address, numeric; none that is valid on its link only."""
    return [*_list_ipv4(), *_list_ipv6()]


def _list_ipv4() -> list[str]:
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            # struct ifreq: the name in 16 octets, then a sockaddr_in, whose address stands at octet 4.
            request = struct.pack("16s24x", name.encode()[:15])
            try:
                answer = fcntl.ioctl(asking, _SIOCGIFADDR, request)
            except OSError:
                # It has none.
                continue
            found.append(socket.inet_ntoa(answer[20:24]))
    return found


def _list_ipv6() -> list[str]:
    try:
        lines = _IF_INET6.read_text("ascii").splitlines()
    except OSError:
        # A kernel without IPv6.
        return []
    addresses = [IPv6Address(int(line.partition(" ")[0], 16)) for line in lines]
    return [str(address) for address in addresses if not address.is_link_local]
