"""Links over streams: TCP, TLS and a local stream socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IHandshakeListener, IPushProducer, ITCPTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from zope.interface import implementer

from netservices.runtime.logs.courier import Link, Written, describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IStreamClientEndpoint
    from twisted.python.failure import Failure

    from netservices.runtime.logs.courier import Courier


class _StreamTransport(ITCPTransport, IConsumer):
    """What TCP, TLS and local streams all have; Twisted declares less."""


def frame_local(line: bytes) -> bytes:
    """As syslog(3) does on a local stream socket: a NUL ends a line."""
    return line + b"\0"


@implementer(IPushProducer)
class StreamLink(Protocol):
    """One connection. It is paused by its transport, so that no more than the transport's own buffer is in flight.

    What the transport had taken when the connection broke may be lost: no syslog transport confirms a line.
    """

    def __init__(self, courier: Courier, frame: Callable[[bytes], bytes], ready: Deferred[Link]) -> None:
        self._courier = courier
        self._frame = frame
        self._ready: Deferred[Link] | None = ready
        self._closed: Deferred[None] = Deferred()
        self._paused = False

    def connectionMade(self) -> None:
        """For Twisted."""
        transport = self._transport()
        # A collector that vanished without a word is found out although it never sends anything.
        if ITCPTransport.providedBy(transport):
            transport.setTcpKeepAlive(True)
        transport.registerProducer(self, True)
        self._opened()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """For Twisted."""
        ready, self._ready = self._ready, None
        self._closed.callback(None)
        if ready is None:
            self._courier.lost(describe(reason.value))
        elif not ready.called:
            ready.errback(reason)

    def pauseProducing(self) -> None:
        """For the transport: enough is waiting."""
        self._paused = True

    def resumeProducing(self) -> None:
        """For the transport: it was sent."""
        self._paused = False
        self._courier.writable()

    def stopProducing(self) -> None:
        """For the transport: connectionLost follows."""

    def write(self, line: bytes) -> Written:
        """Take the line unless enough is waiting."""
        if self._paused:
            return Written.FULL
        self._transport().write(self._frame(line))
        return Written.TAKEN

    def close(self) -> Deferred[None]:
        """Send what was taken, then close."""
        transport = self._transport()
        transport.unregisterProducer()
        transport.loseConnection()
        return self._closed

    def abort(self) -> None:
        """Close now."""
        if not self._closed.called:
            self._transport().abortConnection()

    def _opened(self) -> None:
        ready, self._ready = self._ready, None
        if ready is not None and not ready.called:
            ready.callback(self)

    def _transport(self) -> _StreamTransport:
        if self.transport is None:
            raise ConnectionError("not connected")
        return cast("_StreamTransport", self.transport)


@implementer(IHandshakeListener)
class TlsLink(StreamLink):
    """One connection that is open when its handshake, with the check of the collector's name, is done."""

    def handshakeCompleted(self) -> None:
        """For Twisted."""
        super()._opened()

    def _opened(self) -> None:
        """The connection alone is not enough."""


class StreamFactory(Factory):
    """Makes the one link of one attempt."""

    noisy = False

    def __init__(self, make: Callable[[], StreamLink]) -> None:
        self._make = make
        self.link: StreamLink | None = None

    def buildProtocol(self, _addr: IAddress | None) -> StreamLink:
        """For Twisted."""
        self.link = self._make()
        self.link.factory = self
        return self.link


def connect_stream(
    courier: Courier, endpoint: IStreamClientEndpoint, *, frame: Callable[[bytes], bytes],
    link_class: type[StreamLink] = StreamLink,
    wrap: Callable[[StreamFactory], IProtocolFactory] = lambda factory: factory,
) -> Deferred[Link]:  # fmt: skip
    """Open a link through ``endpoint``; ``wrap`` puts TLS around the factory."""

    def cancel(_ready: Deferred[Link]) -> None:
        connecting.cancel()
        if factory.link is not None and factory.link.transport is not None:
            factory.link.abort()

    def refuse(failure: Failure) -> None:
        if not ready.called:
            ready.errback(failure)

    ready: Deferred[Link] = Deferred(cancel)
    factory = StreamFactory(lambda: link_class(courier, frame, ready))
    connecting: Deferred[IProtocol] = endpoint.connect(wrap(factory))
    connecting.addCallbacks(lambda _: None, refuse)
    return ready
