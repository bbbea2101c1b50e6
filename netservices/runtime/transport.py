"""The transport of an accepted connection: Twisted's, with what a session must know of it.

It tells the session's deadlines when something waits to be sent and when the peer took some of it, counts what a plain
session sends, and can send at once, without a round through the reactor, when nothing is queued before it.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING, Protocol, cast

from twisted.internet import tcp, unix
from twisted.internet.interfaces import IPushProducer, ITCPTransport
from zope.interface import implementer

from netservices.runtime.pinned import Pinned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.error import ConnectionLost

    from netservices.runtime.session import Session


class ISessionTransport(ITCPTransport):
    """A plain stream to the peer, without TLS in between."""

    def write_now(parts: Sequence[bytes]) -> None:  # noqa: N805 - zope's interfaces have no self
        """Send the parts at once if nothing is queued; what the kernel does not take is queued as by writeSequence."""

    def count_sent(count: int) -> None:  # noqa: N805 - zope's interfaces have no self
        """``count`` bytes went to the peer's socket by another way (sendfile)."""


def is_plain(transport: object) -> bool:
    """Whether what is written goes to the peer's socket as it is, and ``ISessionTransport`` may be used.

    Twisted's TLS layer claims every interface of the transport below it and hands on every method, ours that go round
    the encryption too. So it is the class that is asked, not the object.
    """
    return bool(ISessionTransport.implementedBy(type(transport)))


class StreamTransport(Protocol):
    """What a stream's protocol may do with its transport, plain or TLS: Twisted's interfaces, as one type."""

    disconnecting: bool

    def write(self, data: bytes) -> None:
        """Queue bytes for the peer."""

    def writeSequence(self, data: Sequence[bytes]) -> None:
        """Queue several."""

    def loseConnection(self) -> None:
        """Close when everything queued was taken and no producer is registered."""

    def loseWriteConnection(self) -> None:
        """Say that nothing more comes from us; go on reading."""

    def abortConnection(self) -> None:
        """Close now."""

    def registerProducer(self, producer: object, streaming: bool) -> None:  # noqa: FBT001 - Twisted's signature
        """Tell the producer when to pause and to go on."""

    def unregisterProducer(self) -> None:
        """The producer is done."""

    def pauseProducing(self) -> None:
        """Read nothing from the peer."""

    def resumeProducing(self) -> None:
        """Read again."""


class _Connection(Protocol):
    """What the mixin needs of the stock class behind it."""

    socket: socket.socket
    connected: int
    disconnecting: int
    # What FileDescriptor has queued: a string that is sent up to the offset, and strings behind it.
    dataBuffer: bytes
    offset: int
    _tempDataLen: int

    def writeSequence(self, iovec: Sequence[bytes]) -> None: ...
    def writeSomeData(self, data: bytes) -> int | ConnectionLost: ...


class _SessionMixin:
    """In front of ``tcp.Server`` or ``unix.Server`` in the order of classes."""

    session: Session | None = None
    """Set on admission; until then nothing is counted."""
    counting = True
    """False under TLS, where the TLS layer counts what goes in before encryption."""
    _sending = False

    def startWriting(self) -> None:
        if not self._sending:
            self._sending = True
            if self.session is not None:
                self.session.deadlines.unsent()
        super().startWriting()  # type: ignore[misc]

    def stopWriting(self) -> None:
        if self._sending:
            self._sending = False
            if self.session is not None:
                self.session.deadlines.sent()
        super().stopWriting()  # type: ignore[misc]

    def writeSomeData(self, data: bytes) -> int | ConnectionLost:
        sent = cast("int | ConnectionLost", super().writeSomeData(data))  # type: ignore[misc]
        if isinstance(sent, int) and sent > 0:
            self.count_sent(sent)
        return sent

    def count_sent(self, count: int) -> None:
        session = self.session
        if session is not None:
            if self.counting:
                session.bytes_out += count
            if self._sending:
                session.deadlines.unsent()
            else:
                session.deadlines.active()

    def stop_counting(self) -> None:
        this = cast("_Connection", self)
        if self.counting and self.session is not None:
            self.session.bytes_out += len(this.dataBuffer) - this.offset + this._tempDataLen  # noqa: SLF001 - Twisted has no name for it
        self.counting = False

    def write_now(self, parts: Sequence[bytes]) -> None:
        this = cast("_Connection", self)
        if self._sending or this.disconnecting or not this.connected:
            this.writeSequence(parts)
            return
        last = parts[-1] if parts else b""
        try:
            sent = self._send_pinned(parts, last) if type(last) is Pinned else this.socket.sendmsg(parts)
        except OSError:
            # Full: the reactor tells when there is room. Broken: it finds out in the usual way and closes.
            sent = 0
        if sent:
            self.count_sent(sent)
        for at, part in enumerate(parts):
            if sent < len(part):
                # Twisted queues bytes only, no views of them.
                this.writeSequence([part[sent:], *parts[at + 1 :]])
                return
            sent -= len(part)

    def _send_pinned(self, parts: Sequence[bytes], last: Pinned) -> int:
        """How many octets the kernel has taken; raises ``OSError`` only if that is none."""
        this = cast("_Connection", self)
        lead = sum(map(len, parts)) - len(last)
        # tcp(7) by way of send(2), MSG_MORE: the head waits for the body, and both go out together.
        sent = this.socket.sendmsg(parts[:-1], (), socket.MSG_MORE)
        if sent < lead:
            return sent
        with contextlib.suppress(OSError):
            sent += os.sendfile(this.socket.fileno(), last.fd, 0, len(last))
        return sent


@implementer(ISessionTransport)
class TcpSessionTransport(_SessionMixin, tcp.Server):
    """An accepted TCP connection."""


@implementer(ISessionTransport)
class UnixSessionTransport(_SessionMixin, unix.Server):
    """An accepted connection on a unix stream socket."""


@implementer(IPushProducer)
class BackPressure:
    """Stops reading from a peer while it does not take what it is sent; see ``Session.couple``."""

    def __init__(self, transport: StreamTransport) -> None:
        self._transport = transport
        self._paused = False

    def begin(self) -> None:
        """From now on."""
        self._transport.registerProducer(self, True)

    def end(self) -> None:
        """Read whatever comes, for instance the peer's goodbye."""
        self._transport.unregisterProducer()
        if self._paused:
            self.resumeProducing()

    def pauseProducing(self) -> None:
        """The peer takes nothing: read nothing."""
        self._paused = True
        self._transport.pauseProducing()

    def resumeProducing(self) -> None:
        """The peer has taken all."""
        self._paused = False
        self._transport.resumeProducing()

    def stopProducing(self) -> None:
        """The connection is gone; there is nothing to stop."""
