"""TLS in the middle of a session: STARTTLS, STLS and AUTH TLS, one implementation for all of them.

What is known of the peer before was sent in plain text, by the peer or by anybody between. So nothing of it lives on:
octets that came with the command end the session, the service's protocol is replaced by a new one, and what it had set
on the session is undone (RFC 3207 4.2, RFC 2595 4, RFC 4217 4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from twisted.internet.error import ConnectionDone

from netservices.runtime.tls.transport import make_tls_layer
from netservices.wire.lines import NotEmptyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IProtocol, IReactorTime

    from netservices.runtime.session import Session
    from netservices.runtime.tls.server import ServerCreator
    from netservices.runtime.transport import TcpSessionTransport

INJECTED = "octets came with the command that starts TLS"
"""The reason in the ``closed`` event of a session that was refused."""


class TlsStarted(ConnectionDone):
    """What a protocol is told instead of the end of its connection: the session goes on under TLS, without it."""


class SessionOuter(Protocol):
    """The protocol around a service's own; the layer of TLS is put before it."""

    def say(self, octets: bytes) -> None:
        """Send what the service would say, with whatever looks at its dialogue."""

    def replace(self, make_protocol: Callable[[Session], IProtocol]) -> None:
        """End the service's protocol with ``TlsStarted``, and make another one when the handshake is done."""


class SessionUpgrade:
    """The one upgrade that a plain session may make; ``outer`` is the protocol on ``transport``."""

    def __init__(
        self, creator: ServerCreator, session: Session, *, transport: TcpSessionTransport, outer: SessionOuter,
        clock: IReactorTime,
    ) -> None:  # fmt: skip
        self._creator = creator
        self._session = session
        self._transport = transport
        self._outer = outer
        self._clock = clock

    def start(
        self, make_protocol: Callable[[Session], IProtocol], *, go_ahead: bytes, refusal: bytes,
        require_empty: Callable[[], None],
    ) -> bool:  # fmt: skip
        """As ``Session.start_tls`` says."""
        session, transport = self._session, self._transport
        if session.closing:
            return False
        try:
            require_empty()
        except NotEmptyError:
            self._outer.say(refusal)
            session.close(INJECTED)
            return False
        session.upgrade = None
        self._outer.say(go_ahead)
        session.forget()
        self._outer.replace(make_protocol)
        transport.stop_counting()
        session.deadlines.start("handshake")
        layer = make_tls_layer(self._creator, cast("IProtocol", self._outer), session, self._clock)
        transport.protocol = layer
        layer.makeConnection(transport)
        # The service may have stopped reading until it had answered.
        transport.resumeProducing()
        return True


class ClosedTransport:
    """The transport of a protocol that was replaced: as after the end of a connection, nothing is sent any more."""

    disconnecting = True
    connected = False

    def write(self, data: bytes) -> None:
        """Drop it."""

    def writeSequence(self, data: Sequence[bytes]) -> None:
        """Drop them."""

    def write_now(self, parts: Sequence[bytes]) -> None:
        """Drop them."""

    def loseConnection(self) -> None:
        """The connection is no longer the protocol's to close."""

    def loseWriteConnection(self) -> None:
        """As ``loseConnection``."""

    def abortConnection(self) -> None:
        """As ``loseConnection``."""

    def registerProducer(self, producer: object, streaming: bool) -> None:  # noqa: ARG002, FBT001 - Twisted's signature
        """What is produced goes nowhere, so that the producer is told to stop."""
        cast("Any", producer).stopProducing()

    def unregisterProducer(self) -> None:
        """There is none."""

    def pauseProducing(self) -> None:
        """Nothing is read for it."""

    def resumeProducing(self) -> None:
        """As ``pauseProducing``."""
