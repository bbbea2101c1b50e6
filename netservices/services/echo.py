"""Echo (RFC 862): what a peer sends comes back, over a stream or by datagram.

A stream is echoed until the peer has said all; then the rest is sent, and the connection closes. A datagram is answered
by one datagram, but never to where another server may listen: two such servers would talk to each other for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import DatagramProtocol, Protocol
from zope.interface import implementer

from netservices.config import ServiceOptions
from netservices.kind import Parts, ServiceKind
from netservices.runtime.admission import GuardedDatagrams

if TYPE_CHECKING:
    from twisted.internet.interfaces import IUDPTransport

    from netservices.runtime import Runtime, Session
    from netservices.runtime.transport import StreamTransport


class EchoOptions(ServiceOptions):
    """Echo (RFC 862), TCP and UDP: for finding out whether a machine is reached, and how fast."""


@implementer(IHalfCloseableProtocol)
class EchoProtocol(Protocol):
    """RFC 862, TCP: any data received is sent back."""

    transport: StreamTransport  # type: ignore[assignment]  # what the listener gives every stream

    def __init__(self, session: Session) -> None:
        self._session = session

    def connectionMade(self) -> None:
        self._session.couple()

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)

    def readConnectionLost(self) -> None:
        self._session.close()

    def writeConnectionLost(self) -> None:
        """Nothing: we close both ways at once."""


class EchoDatagramProtocol(DatagramProtocol):
    """RFC 862, UDP: the data of a datagram is sent back in another."""

    noisy = False

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        cast("IUDPTransport", self.transport).write(datagram, addr)


def make_echo(_options: EchoOptions, runtime: Runtime) -> Parts:
    """Both forms; there is nothing to configure."""

    def datagram() -> GuardedDatagrams:
        return GuardedDatagrams(EchoDatagramProtocol(), runtime.datagram_addresses)

    return Parts(streams={"listen": EchoProtocol}, datagrams={"listen": datagram})


KIND = ServiceKind(
    name="echo",
    summary="sends back what it receives (RFC 862)",
    options=EchoOptions,
    make=make_echo,
    tryout={"listen": ["tcp:7", "udp:7"]},
)
