"""How each kind of collector is reached: one function per transport, made ready once and called for every attempt."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import IResolutionReceiver
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from netservices.runtime.logs.courier import CONNECT_SECONDS
from netservices.runtime.logs.datagrams import DatagramLink, JournalLink
from netservices.runtime.logs.streams import TlsLink, connect_stream, frame_local
from netservices.wire.syslog import frame_octets

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from twisted.internet.interfaces import IAddress, IHostResolution

    from netservices.config.log_address import LogAddress
    from netservices.runtime.logs.courier import Courier, Link
    from netservices.runtime.logs.reactors import LogReactor
    from netservices.runtime.logs.streams import StreamFactory

    Connect = Callable[[Courier], Deferred[Link]]

_PEM_END = b"-----END CERTIFICATE-----"
_LARGEST_AUTHORITY = 1 << 20


def make_connect(reactor: LogReactor, address: LogAddress, authority: Path | None) -> Connect:
    """The way to one collector. Reads ``authority``; raises ``ValueError`` if it has no certificate, or ``OSError``."""
    match address.transport:
        case "unix":
            return lambda courier: connect_local(reactor, address.path, courier)
        case "udp":
            return lambda courier: connect_udp(reactor, address.host, address.port, courier)
        case "tcp":
            return lambda courier: connect_stream(courier, _endpoint(reactor, address), frame=frame_octets)
        case "tls":
            return _make_connect_tls(reactor, address, authority)


def connect_local(reactor: LogReactor, path: str, courier: Courier) -> Deferred[Link]:
    """The local socket, of datagrams or, failing that, a stream, as syslog(3) does."""
    try:
        sock = _open_local(path)
    except OSError as error:
        if error.errno == errno.EPROTOTYPE:
            return connect_stream(courier, UNIXClientEndpoint(reactor, path), frame=frame_local)
        return fail(error)
    return succeed(DatagramLink(reactor, sock, courier))


def connect_journal(reactor: LogReactor, path: str, courier: Courier) -> Deferred[Link]:
    """The journal's own socket."""
    try:
        return succeed(JournalLink(reactor, _open_local(path), courier))
    except OSError as error:
        return fail(error)


def connect_udp(reactor: LogReactor, host: str, port: int, courier: Courier) -> Deferred[Link]:
    """A UDP socket that is connected, so that a refusal becomes known; a name is looked up each time."""

    def connect(addresses: list[str]) -> Link:
        error = OSError(errno.EADDRNOTAVAIL, f"{host} has no address")
        for address in addresses:
            family = socket.AF_INET6 if ip_address(address.partition("%")[0]).version == 6 else socket.AF_INET
            try:
                return DatagramLink(reactor, _open_datagram(family, (address, port)), courier)
            except OSError as refused:
                error = refused
        raise error

    try:
        ip_address(host)
    except ValueError:
        return _resolve(reactor, host, port).addCallback(connect)
    return succeed([host]).addCallback(connect)


def load_authority(path: Path) -> list[Certificate]:
    """Every certificate of a PEM file. Raises ``ValueError`` if there is none, or ``OSError``."""
    with path.open("rb") as file:
        octets = file.read(_LARGEST_AUTHORITY)
    blocks = [block + _PEM_END for block in octets.split(_PEM_END)[:-1]]
    try:
        certificates = [Certificate.loadPEM(block) for block in blocks]
    except Exception as error:
        raise ValueError(f"{path} has a certificate that can't be read") from error
    if not certificates:
        raise ValueError(f"{path} has no certificate, wanted PEM, which starts with -----BEGIN CERTIFICATE-----")
    return certificates


def _make_connect_tls(reactor: LogReactor, address: LogAddress, authority: Path | None) -> Connect:
    root = None if authority is None else trustRootFromCertificates(load_authority(authority))
    # RFC 5425 5.2: the collector's certificate must carry the configured name; service-identity compares.
    options = optionsForClientTLS(address.host, trustRoot=root)

    def wrap(factory: StreamFactory) -> TLSMemoryBIOFactory:
        return TLSMemoryBIOFactory(options, True, factory, reactor)

    def connect(courier: Courier) -> Deferred[Link]:
        return connect_stream(
            courier, _endpoint(reactor, address), frame=frame_octets, link_class=TlsLink, wrap=wrap
        )  # fmt: skip

    return connect


def _endpoint(reactor: LogReactor, address: LogAddress) -> HostnameEndpoint:
    return HostnameEndpoint(reactor, address.host, address.port, timeout=CONNECT_SECONDS)


def _open_local(path: str) -> socket.socket:
    return _open_datagram(socket.AF_UNIX, path)


def _open_datagram(family: socket.AddressFamily, address: object) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.connect(address)  # type: ignore[arg-type] # as the family has it
    except OSError:
        sock.close()
        raise
    return sock


@implementer(IResolutionReceiver)
class _Receiver:
    """Collects the addresses of one name."""

    def __init__(self, done: Deferred[list[str]]) -> None:
        self._done = done
        self._found: list[str] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """For Twisted."""

    def addressResolved(self, address: IAddress) -> None:
        """For Twisted."""
        if isinstance(address, IPv4Address | IPv6Address):
            self._found.append(address.host)

    def resolutionComplete(self) -> None:
        """For Twisted."""
        if not self._done.called:
            self._done.callback(self._found)


def _resolve(reactor: LogReactor, host: str, port: int) -> Deferred[list[str]]:
    done: Deferred[list[str]] = Deferred()
    reactor.nameResolver.resolveHostName(_Receiver(done), host, port, transportSemantics="UDP")
    return done
