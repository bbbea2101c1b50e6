"""The TLS layer of one session: Twisted's, with half-close, counts, and small writes gathered.

TLS closes each direction by itself, as TCP does (RFC 8446 6.1): after the peer's close_notify a service that provides
``IHalfCloseableProtocol`` is told, and goes on writing. The end of TCP without a close_notify is a truncation and ends
the session as lost.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from OpenSSL import SSL
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import alsoProvides, directlyProvides

from netservices.runtime.tls.connection import PlaintextWatcher
from netservices.runtime.transport import BackPressure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted.internet.interfaces import (
        IDelayedCall,
        IProtocol,
        IReactorTime,
    )
    from twisted.python.failure import Failure

    from netservices.runtime.session import Session, TlsState
    from netservices.runtime.tls.server import ServerCreator

_RECORD = 16_384
"""RFC 8446 5.1: a record carries no more."""
_GATHERED = 64_000
"""How many bytes of small writes are kept before they are encrypted in any case."""


class SessionTls(TLSMemoryBIOProtocol, PlaintextWatcher):
    """The layer between one session's transport and its service.

    What the service writes while it reads is encrypted together when it has read; what it writes at other times, in the
    next turn of the reactor.
    """

    def __init__(self, factory: SessionTlsFactory, wrapped: IProtocol, session: Session, clock: IReactorTime) -> None:
        super().__init__(factory, wrapped)
        self._session = session
        self._clock = clock
        self._gathered: list[bytes] = []
        self._gathered_size = 0
        self._flush_call: IDelayedCall | None = None
        self._reading = False
        self._established = False
        self._peer_ended = False
        self._ending = False
        self._ended = False

    # What the connection sees.

    def handshake_done(self, state: TlsState) -> None:
        self._established = True
        self._session.tls = state
        self._session.deadlines.stop("handshake")

    def plaintext_sent(self, count: int) -> None:
        self._session.bytes_out += count

    def plaintext_waiting(self) -> None:
        # Twisted empties the connection's buffer next, so the usual answer (one record) is only put there.
        if self._gathered and self._gathered_size <= _RECORD and not self.disconnecting:
            data = self._take()
            try:
                self.getHandle().send(data)
            except SSL.Error:
                # Twisted meets the same error, and ends the connection for it.
                super().write(data)

    def plaintext_ended(self) -> bool:
        service = self._half_closeable()
        if service is None:
            self._flush()
            return False
        self._peer_ended = True
        # From here on the transport asks what to do about the end of TCP too; before, it is a truncation.
        alsoProvides(self, IHalfCloseableProtocol)
        service.readConnectionLost()
        return not self._ended

    # What the transport sees.

    def dataReceived(self, data: bytes) -> None:
        if self._peer_ended:
            # RFC 8446 6.1: any data after a closure alert MUST be ignored.
            return
        self._reading = True
        try:
            super().dataReceived(data)
        finally:
            self._reading = False
        self._flush()
        if self._ending:
            self._end_writing()

    def readConnectionLost(self) -> None:
        """The end of TCP after a close_notify says nothing new."""

    def writeConnectionLost(self) -> None:
        """Only TLS is closed one way; TCP is not."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        connection = self.getHandle()
        super().connectionLost(reason)
        self._forget()
        connection.keep_session()

    # What the service sees.

    def write(self, data: bytes) -> None:
        """Queue for the peer; after ``loseWriteConnection`` or a lost connection, drop."""
        if not self.connected or (self._ending and self._producer is None):
            return
        # A copy of what may change; bytes as they are.
        self._gathered.append(bytes(data))
        self._gathered_size += len(data)
        if self._gathered_size > _GATHERED:
            self._flush()
        elif not self._reading and self._flush_call is None:
            self._flush_call = self._clock.callLater(0, self._flush_later)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Queue several for the peer."""
        self.write(b"".join(iovec))

    def loseWriteConnection(self) -> None:
        """Send what was written and a close_notify, and go on reading; waits for a producer to be unregistered.

        The service is then told by ``writeConnectionLost``, if it provides ``IHalfCloseableProtocol``.
        """
        self._ending = True
        self._end_writing()

    def loseConnection(self) -> None:
        """Send what was written, then close; waits for a producer to be unregistered."""
        self._flush()
        super().loseConnection()

    def abortConnection(self) -> None:
        """Close now; what was not sent is lost."""
        self._forget()
        if self.connected:
            super().abortConnection()

    def unregisterProducer(self) -> None:
        """The producer has written its last."""
        if not self.connected:
            # The transport has let go of it.
            return
        self._flush()
        super().unregisterProducer()
        if self._ending:
            self._end_writing()

    def _bufferedWrite(self, octets: bytes) -> None:
        producer = self._producer and self._producer._producer  # noqa: SLF001 - Twisted keeps it in a membrane
        if not self._established and isinstance(producer, BackPressure):
            # What waits is a greeting, for what the peer has to send: to stop reading it would wait for ever.
            self._appSendBuffer.append(octets)
        else:
            super()._bufferedWrite(octets)

    def _flush(self) -> None:
        if self._gathered:
            super().write(self._take())

    def _take(self) -> bytes:
        data = self._gathered[0] if len(self._gathered) == 1 else b"".join(self._gathered)
        self._gathered.clear()
        self._gathered_size = 0
        return data

    def _flush_later(self) -> None:
        self._flush_call = None
        self._flush()

    def _forget(self) -> None:
        self._gathered.clear()
        self._gathered_size = 0
        if self._flush_call is not None:
            self._flush_call.cancel()
            self._flush_call = None

    def _end_writing(self) -> None:
        if self._ended or self.disconnecting or not self.connected:
            return
        if not self._established or self._producer is not None:
            # It is called again when the handshake is done, or the producer has written its last.
            return
        self._flush()
        self._ended = True
        self._shutdownTLS()
        service = self._half_closeable()
        if service is not None:
            service.writeConnectionLost()

    def _half_closeable(self) -> IHalfCloseableProtocol | None:
        return cast("IHalfCloseableProtocol | None", IHalfCloseableProtocol(self.wrappedProtocol, None))


class SessionTlsFactory(TLSMemoryBIOFactory):
    """Makes the layers of one creator's connections."""

    def __init__(self, creator: ServerCreator, clock: IReactorTime) -> None:
        # What a layer wraps is given to it, never built by a factory.
        super().__init__(creator, False, Factory(), clock)
        self._session_clock = clock

    def registerProtocol(self, p: TLSMemoryBIOProtocol) -> None:
        """Called before the service is connected: what only a plain transport provides is not the layer's."""
        super().registerProtocol(p)
        directlyProvides(p)

    def wrap(self, protocol: IProtocol, session: Session) -> IProtocol:
        """The layer for one connection, to be put on its transport; it connects ``protocol`` in turn."""
        return cast("IProtocol", SessionTls(self, protocol, session, self._session_clock))


def make_tls_layer(creator: ServerCreator, protocol: IProtocol, session: Session, clock: IReactorTime) -> IProtocol:
    """The layer for one accepted connection; for many connections, keep a ``SessionTlsFactory``."""
    return SessionTlsFactory(creator, clock).wrap(protocol, session)


_ALERT = re.compile(r"(?:ssl/tls|sslv3|tlsv1|tlsv1\.3|tlsv13) alert (.+)")
_REFUSED = "certificate verify failed: "
_WORDS = {
    "http request": "the peer spoke plain HTTP",
    "https proxy request": "the peer spoke plain HTTP",
    "wrong version number": "the peer did not speak TLS",
    "packet length too long": "the peer did not speak TLS",
    "peer did not return a certificate": "the peer showed no certificate",
    "unexpected eof while reading": "the peer closed the connection without ending TLS",
}


def describe_tls_failure(failure: Failure) -> str:
    """Why a handshake or a session under TLS failed, in words for the log; never with bytes of the peer's."""
    error = failure.value
    if isinstance(error, SSL.Error) and error.args and isinstance(error.args[0], list) and error.args[0]:
        reason = str(error.args[0][-1][2])
        alert = _ALERT.fullmatch(reason)
        if reason.startswith(_REFUSED):
            return f"the peer's certificate was refused: {reason.removeprefix(_REFUSED)}"
        return f"{alert[1]} alert from the peer" if alert else _WORDS.get(reason, reason)
    if isinstance(error, ConnectionAborted):
        return "aborted"
    if isinstance(error, ConnectionDone):
        return "the peer closed the connection"
    if isinstance(error, ConnectionLost | SSL.Error):
        return _WORDS["unexpected eof while reading"]
    return str(error)
