"""The PROXY header, versions 1 and 2: what a proxy says about the connection it relays, before the first byte of it.

The specification cited here is haproxy's "The PROXY protocol, versions 1 & 2" (doc/proxy-protocol.txt). Whether a peer
may send a header at all is decided elsewhere; this file only reads one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv6Address

# PROXY 2.1: "PROXY" begins version 1; its line is at most 107 octets with CRLF.
_V1_START = b"PROXY "
_V1_LONGEST = 107
# PROXY 2.2: the signature of version 2; 16 octets up to and with the length of what follows.
_V2_START = b"\r\n\r\n\0\r\nQUIT\n"
_V2_FIXED = 16
_V2_LONGEST = 4096
"""Octets of addresses and TLVs that are taken; the field could say 65,535, and no proxy sends a tenth of this."""

_LOCAL, _PROXY = 0, 1
_UNSPEC, _INET, _INET6, _UNIX = 0, 1, 2, 3
_STREAM, _DATAGRAM = 1, 2
_CRC32C = 3
_SUN_PATH = 108

_ENDS: dict[str, type[IPv4Address | IPv6Address]] = {"TCP4": IPv4Address, "TCP6": IPv6Address}


class ProxyError(ValueError):
    """What came is no PROXY header that this side takes; the text says why. The connection must be closed."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end as the proxy names it: ``host`` is numeric and canonical, empty for a unix socket with ``path``.

    An IPv4-mapped IPv6 address is left as the proxy sent it. A path is UTF-8 with ``surrogateescape``; an abstract
    socket's begins with NUL.
    """

    host: str
    port: int = 0
    path: str = ""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """Both ends of the relayed connection, or None and None: keep the addresses of the socket (LOCAL, UNKNOWN)."""

    source: Endpoint | None = None
    destination: Endpoint | None = None


class ProxyHeaderParser:
    """Takes a stream's first bytes until the header is whole; it never holds more than one header.

    The first octet that cannot belong to a header is refused at once, so that a peer that speaks something else is not
    waited for.
    """

    def __init__(self) -> None:
        self.rest = b""
        """What came after the header, once there is one."""
        self._buffer = b""
        self._done = False

    def feed(self, data: bytes) -> ProxyHeader | None:
        """The header once it is whole, else None. Raises ``ProxyError``. After either, feed no more."""
        if self._done:
            raise RuntimeError("the PROXY header has been read or refused already")
        self._buffer += data
        try:
            found = self._parse()
        except ProxyError:
            self._finish(len(self._buffer))
            raise
        if found is None:
            return None
        header, length = found
        self._finish(length)
        return header

    def _finish(self, length: int) -> None:
        self._done = True
        self.rest = self._buffer[length:]
        self._buffer = b""

    def _parse(self) -> tuple[ProxyHeader, int] | None:
        for start, parse in ((_V1_START, _parse_v1), (_V2_START, _parse_v2)):
            common = min(len(start), len(self._buffer))
            if self._buffer[:common] == start[:common]:
                return parse(self._buffer) if common == len(start) else None
        raise ProxyError("not a PROXY header; wanted its signature as the first bytes")


def _parse_v1(buffer: bytes) -> tuple[ProxyHeader, int] | None:
    end = buffer.find(b"\r\n", 0, _V1_LONGEST)
    if end < 0:
        if len(buffer) >= _V1_LONGEST:
            raise ProxyError(f"a PROXY line without its end in the first {_V1_LONGEST} octets")
        return None
    return _parse_v1_line(buffer[len(_V1_START) : end]), end + 2


def _parse_v1_line(line: bytes) -> ProxyHeader:
    family, *fields = line.decode("latin-1").split(" ")
    if family == "UNKNOWN":
        # PROXY 2.1: the receiver must ignore anything presented before the CRLF.
        return ProxyHeader()
    make = _ENDS.get(family)
    if make is None:
        raise ProxyError(f"a PROXY line for {family!r}; wanted TCP4, TCP6 or UNKNOWN")
    if len(fields) != 4:
        raise ProxyError(f"a PROXY line with {len(fields)} fields after {family}; wanted two addresses and two ports")
    source, destination = (_parse_v1_address(text, make, family) for text in fields[:2])
    source_port, destination_port = (_parse_v1_port(text) for text in fields[2:])
    return ProxyHeader(Endpoint(source, source_port), Endpoint(destination, destination_port))


def _parse_v1_address(text: str, make: type[IPv4Address | IPv6Address], family: str) -> str:
    # Only numbers: Python's reader would take a zone ("%eth0") too.
    if re.fullmatch(r"[0-9A-Fa-f.:]{1,45}", text):
        try:
            return str(make(text))
        except ValueError:
            pass
    raise ProxyError(f"{text!r} in a PROXY line is not an address of {family}")


def _parse_v1_port(text: str) -> int:
    # PROXY 2.1: a decimal integer in [0..65535]; heading zeroes are not permitted.
    if not re.fullmatch(r"0|[1-9][0-9]{0,4}", text) or int(text) > 65535:
        raise ProxyError(f"{text!r} in a PROXY line is not a port; wanted 0 to 65535 without leading zeros")
    return int(text)


def _parse_v2(buffer: bytes) -> tuple[ProxyHeader, int] | None:
    """Checks each octet as soon as it is there, in their order: any split gives the same answer."""
    command, family = _check_v2_start(buffer[len(_V2_START) : _V2_FIXED])
    if len(buffer) < _V2_FIXED:
        return None
    length = _V2_FIXED + int.from_bytes(buffer[14:16])
    if len(buffer) < length:
        return None
    if command == _LOCAL or family == _UNSPEC:
        # PROXY 2.2: use the real endpoints and discard the protocol block; how long its addresses are nobody knows.
        return ProxyHeader(), length
    return _parse_v2_block(buffer[:length], family), length


def _check_v2_start(start: bytes) -> tuple[int, int]:
    """Octets 13 to 16, as many as there are, to command and family; the family is UNSPEC where it is to be ignored."""
    command = family = 0
    if start:
        # PROXY 2.2: version 2 is the only one accepted; unexpected commands drop the connection.
        version, command = start[0] >> 4, start[0] & 15
        if version != 2 or command not in {_LOCAL, _PROXY}:
            raise ProxyError(
                f"a PROXY header of version {version}, command {command}; wanted version 2, LOCAL or PROXY"
            )
    if len(start) > 1 and command == _PROXY:
        family, transport = start[1] >> 4, start[1] & 15
        if family > _UNIX or transport > _DATAGRAM:
            raise ProxyError(f"a PROXY header for family {family}, transport {transport}, which do not exist")
        if transport == _DATAGRAM:
            raise ProxyError("a PROXY header for datagrams; this is a stream")
        if transport != _STREAM:
            family = _UNSPEC
    if len(start) > 3:
        length = int.from_bytes(start[2:4])
        if length > _V2_LONGEST:
            raise ProxyError(
                f"a PROXY header with {length} octets of addresses and TLVs; at most {_V2_LONGEST} are taken"
            )
        needed = _address_length(family)
        if length < needed:
            raise ProxyError(f"a PROXY header with {length} octets of addresses; this family has {needed}")
    return command, family


def _address_length(family: int) -> int:
    # PROXY 2.2: 2*4 + 2*2, 2*16 + 2*2 and 2*108 octets.
    return {_INET: 12, _INET6: 36, _UNIX: 2 * _SUN_PATH}.get(family, 0)


def _parse_v2_block(header: bytes, family: int) -> ProxyHeader:
    end = _V2_FIXED + _address_length(family)
    block = header[_V2_FIXED:end]
    _check_tlvs(header, end)
    if family == _UNIX:
        return ProxyHeader(
            Endpoint("", path=_parse_path(block[:_SUN_PATH])), Endpoint("", path=_parse_path(block[_SUN_PATH:]))
        )
    size = 4 if family == _INET else 16
    make = IPv4Address if family == _INET else IPv6Address
    hosts = (str(make(block[at : at + size])) for at in (0, size))
    ports = (int.from_bytes(block[at : at + 2]) for at in (2 * size, 2 * size + 2))
    source, destination = (Endpoint(host, port) for host, port in zip(hosts, ports, strict=True))
    return ProxyHeader(source, destination)


def _parse_path(field: bytes) -> str:
    # unix(7): a path ends at its NUL; an abstract name begins with one; no name at all is all NUL.
    path = field.rstrip(b"\0") if field.startswith(b"\0") else field.partition(b"\0")[0]
    return path.decode("utf-8", "surrogateescape")


def _check_tlvs(header: bytes, at: int) -> None:
    """Skips the TLVs from ``at`` on, and checks the checksum where there is one. Raises ``ProxyError``."""
    checksum_at = None
    while at < len(header):
        start = at + 3
        at = start + int.from_bytes(header[at + 1 : start])
        if at > len(header):
            raise ProxyError("a PROXY header whose last TLV is cut short")
        if header[start - 3] == _CRC32C:
            if checksum_at is not None or at - start != 4:
                raise ProxyError("a PROXY header with a checksum that is not one of 4 octets")
            checksum_at = start
    if checksum_at is None:
        return
    # PROXY 2.2.3: the checksum of the whole header, taken with its own field set to zeros, must be the same.
    sent = int.from_bytes(header[checksum_at : checksum_at + 4])
    if sent != make_crc32c(header[:checksum_at] + bytes(4) + header[checksum_at + 4 :]):
        raise ProxyError("a PROXY header whose checksum is wrong")


@cache
def _crc32c_table() -> tuple[int, ...]:
    def remainder(octet: int) -> int:
        for _ in range(8):
            octet = octet >> 1 ^ (0x82F63B78 if octet & 1 else 0)
        return octet

    return tuple(remainder(octet) for octet in range(256))


def make_crc32c(data: bytes) -> int:
    """The checksum of RFC 4960 appendix B (Castagnoli's polynomial, reflected)."""
    table = _crc32c_table()
    crc = 0xFFFFFFFF
    for octet in data:
        crc = crc >> 8 ^ table[(crc ^ octet) & 255]
    return crc ^ 0xFFFFFFFF
