"""From an accepted socket to a service's protocol: PROXY header, admission by the true peer, session, TLS, protocol.

The gate is the first protocol of every connection. Once the peer is admitted it puts the layers in place and steps out
of the way; a peer that is refused costs no session and no handshake.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import LogLevel
from twisted.python.failure import Failure
from zope.interface import implementer

from netservices.daemon.dialogue import Dialogue, DialogueTransport
from netservices.runtime import Event, Reason, Session, make_address
from netservices.runtime.admission import Refusal, RefusalKind, is_proxy, make_true_ends
from netservices.runtime.tls import ClosedTransport, SessionUpgrade, TlsStarted, describe_tls_failure, make_tls_layer
from netservices.wire.proxy import ProxyError, ProxyHeaderParser

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall, IProtocol, IReactorTime, ITransport

    from netservices.config import Listen
    from netservices.daemon.section import Section
    from netservices.kind import StreamFactory
    from netservices.runtime import Address, Sessions
    from netservices.runtime.admission import Ticket
    from netservices.runtime.transport import StreamTransport, TcpSessionTransport

PROXY_REFUSED = Event(
    "daemon.proxy.refused",
    LogLevel.warn,
    "{service}: closed the proxy {peer}: {reason}",
    "An address listed under `proxies` did not send a good PROXY header in time. Its clients can't be told apart "
    "without one: set the proxy up to send it, or take the address off the list.",
)

_GOODBYE = 1.0
"""Seconds in which a refused peer may read why."""
_GOODBYES = 64
"""Refused peers of one listener that are told why at the same time; in a flood the others are just closed."""


@dataclass
class Door:
    """What the gates of one listener share; a reload puts another section behind it.

    ``option`` is the listen option of the kind, ``entry`` what the file says of the listener. ``goodbyes`` counts the
    refused peers that are being told why.
    """

    section: Section
    option: str
    entry: Listen
    sessions: Sessions
    clock: IReactorTime
    goodbyes: int = 0


class Gate(Protocol):
    """Decides on one connection.

    What it needs of the section is read when the connection comes, so that a reload counts from the next one on; the
    section is held until it is known who the peer is.
    """

    transport: TcpSessionTransport

    def __init__(self, door: Door) -> None:
        self._section = door.section
        self._option = door.option
        self._tls = door.entry.tls
        self._door = door
        self._proxy: ProxyHeaderParser | None = None
        self._timer: IDelayedCall | None = None
        self._parting = False

    def connectionMade(self) -> None:
        self._peer = make_address(self.transport.getPeer())
        self._local = make_address(self.transport.getHost())
        if is_proxy(self._peer, self._section.proxies):
            self._proxy = ProxyHeaderParser()
            self._section.waits_for(self)
            self._timer = self._door.clock.callLater(
                self._section.options.timeouts.handshake, self._refuse_proxy, "no PROXY header in time"
            )
        else:
            self._admit(self._peer, self._local)

    def dataReceived(self, data: bytes) -> None:
        if self._proxy is None:
            # A refused peer that goes on talking while it is told so.
            return
        try:
            header = self._proxy.feed(data)
        except ProxyError as error:
            self._refuse_proxy(str(error))
            return
        if header is not None:
            rest, self._proxy = self._proxy.rest, None
            self._stop_timer()
            protocol = self._admit(*make_true_ends(header, self._peer, self._local))
            self._section.decided(self)
            if protocol is not None and rest:
                protocol.dataReceived(rest)

    def turn_away(self) -> None:
        """Close it now, before it is known who it is from."""
        self._proxy = None
        self._stop_timer()
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002 - Twisted's signature
        self._stop_timer()
        self._section.decided(self)
        if self._parting:
            self._parting = False
            self._door.goodbyes -= 1

    def _admit(self, peer: Address, local: Address) -> IProtocol | None:
        section = self._section
        admitted = section.admission.admit(peer)
        if isinstance(admitted, Refusal):
            self._refuse(admitted)
            return None
        session = Session(
            self._door.sessions.next_id(),
            section.name,
            peer=peer,
            local=local,
            clock=self._door.clock,
            timeouts=section.options.timeouts,
            log=section.log,
        )
        session.note_failure = section.admission.note_failure
        self._door.sessions.add(session)
        section.opened(session)
        inner = SessionProtocol(session, section, self._option, admitted, sessions=self._door.sessions, tls=self._tls)
        outer: IProtocol = inner
        self.transport.session = session
        if self._tls and section.tls is not None:
            self.transport.counting = False
            session.deadlines.start("handshake")
            outer = make_tls_layer(section.tls, outer, session, self._door.clock)
        elif section.tls is not None:
            session.upgrade = SessionUpgrade(
                section.tls, session, transport=self.transport, outer=inner, clock=self._door.clock
            )
        self.transport.protocol = outer
        outer.makeConnection(self.transport)
        # A service that has closed reads no more; TLS must, or what was written is never encrypted.
        return outer if self._tls or not session.closing else None

    def _refuse(self, refusal: Refusal) -> None:
        self._section.metrics.refused(refusal.key)
        words = self._section.parts.refusal
        if self._tls or not words or refusal.kind is RefusalKind.ACCESS or self._door.goodbyes >= _GOODBYES:
            self.transport.abortConnection()
            return
        # Closing at once could make the kernel answer the peer's first bytes with a reset, which takes our words back.
        self.transport.write(words)
        self.transport.loseWriteConnection()
        self._door.goodbyes += 1
        self._parting = True
        self._timer = self._door.clock.callLater(_GOODBYE, self.transport.abortConnection)

    def _refuse_proxy(self, reason: str) -> None:
        self._proxy = None
        self._stop_timer()
        self._section.log.emit(PROXY_REFUSED, peer=str(self._peer), reason=reason)
        self.transport.abortConnection()

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class SessionProtocol(Protocol):
    """Between the transport and a service's protocol: counts, tells the deadlines, and keeps a bug to its session."""

    transport: StreamTransport  # type: ignore[assignment]  # plain or TLS

    def __init__(
        self, session: Session, section: Section, option: str, ticket: Ticket, *, sessions: Sessions, tls: bool
    ) -> None:
        self._session = session
        self._section = section
        self._tls = tls
        self._make: StreamFactory = section.parts.streams[option]
        self._replaced = False
        self._shown: object = None
        self._sessions = sessions
        self._ticket = ticket
        self._inner: IProtocol | None = None
        self._dialogue: Dialogue | None = None

    def connectionMade(self) -> None:
        self._session.transport = self.transport
        if not self._replaced:
            self._make_inner()

    def replace(self, make_protocol: StreamFactory) -> None:
        """TLS is about to be put before this, and another protocol behind it when the handshake is done."""
        inner, self._inner = self._inner, None
        self._make, self._replaced, self._tls = make_protocol, True, True
        if inner is not None:
            cast("Any", inner).transport = ClosedTransport()
            self._guard(inner.connectionLost, Failure(TlsStarted()))

    def say(self, octets: bytes) -> None:
        """Send what the service would say."""
        cast("StreamTransport", self._shown).write(octets)

    def _make_inner(self) -> None:
        session = self._session
        try:
            self._inner = self._make(session)
            self._shown = self._listen_in(self.transport)
            self._inner.makeConnection(cast("ITransport", self._shown))
        except Exception:  # noqa: BLE001 - whatever a service raises ends its session only
            self._failed()

    def dataReceived(self, data: bytes) -> None:
        if self._inner is None:
            # It could not be made, and the connection closes.
            return
        session = self._session
        session.bytes_in += len(data)
        session.deadlines.active()
        if self._dialogue is not None:
            self._dialogue.heard(data)
        try:
            self._inner.dataReceived(data)
        except Exception:  # noqa: BLE001 - as above
            self._failed()

    def _listen_in(self, transport: StreamTransport) -> object:
        """What the service gets as its transport: where its dialogue is logged, one that shows what is written."""
        if self._section.options.log_level != "debug":
            return transport
        self._dialogue = Dialogue(self._session.log)
        return DialogueTransport(transport, self._dialogue)

    def handshakeCompleted(self) -> None:
        if self._replaced:
            self._make_inner()
        inner = cast("Any", self._inner)
        if IHandshakeListener.providedBy(inner):
            self._guard(inner.handshakeCompleted)

    def readConnectionLost(self) -> None:
        inner = cast("Any", self._inner)
        if IHalfCloseableProtocol.providedBy(inner):
            self._guard(inner.readConnectionLost)
        else:
            self._session.close(Reason.PEER)

    def writeConnectionLost(self) -> None:
        inner = cast("Any", self._inner)
        if IHalfCloseableProtocol.providedBy(inner):
            self._guard(inner.writeConnectionLost)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._inner is not None:
            inner, self._inner = self._inner, None
            self._guard(inner.connectionLost, reason)
        self._ticket.release()
        self._session.end(self._why(reason))
        self._sessions.remove(self._session)
        self._section.ended(self._session)

    def _failed(self) -> None:
        """Called while an exception of the service's is being handled."""
        self._section.metrics.failed()
        self._session.failed(Failure())

    def _why(self, reason: Failure) -> str:
        if self.transport.disconnecting:
            return Reason.SERVICE
        if reason.check(ConnectionDone) is not None:
            return Reason.PEER
        return f"{Reason.TLS}: {describe_tls_failure(reason)}" if self._tls else Reason.LOST

    def _guard(self, function: Callable[..., object], *arguments: object) -> None:
        try:
            function(*arguments)
        except Exception:  # noqa: BLE001 - as above
            self._failed()


EVENTS = (PROXY_REFUSED,)
