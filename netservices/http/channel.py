"""The protocol of one HTTP connection: the fast path in front, Twisted's parser with tighter rules behind it.

Reading order: ``dataReceived`` tries ready answers; what it leaves goes to ``HTTPChannel``, whose hooks here refuse
what must be refused *with an answer*, see that a head is there in time, and keep requests in order. ``_settle`` is
where every path ends: it decides whether the connection rests between two requests, which is when the fast path may
answer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.protocols.basic import LineReceiver
from twisted.web.http import HTTPChannel
from zope.interface import implementer

from netservices.http.answers import CLOSE, make_head
from netservices.http.errors import make_error
from netservices.http.logline import make_peer
from netservices.http.request import HttpRequest
from netservices.runtime import Reason
from netservices.runtime.transport import ISessionTransport, is_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from netservices.http.site import Site
    from netservices.runtime import Session
    from netservices.runtime.transport import StreamTransport

_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]")
_LONGEST_METHOD = 32
_LINGER_SECONDS = 2.0
"""How long what a refused client still sends is read, so that our answer is not lost to a reset."""
_FIRST_SECONDS = 1.0
"""How long a service that goes away waits for the first request of a connection."""
_LINGER_BYTES = 256 * 1024


@implementer(IHalfCloseableProtocol)
class HttpProtocol(HTTPChannel):
    """One connection's requests, answered in order."""

    transport: StreamTransport  # type: ignore[assignment]  # what the listener gives every stream
    _networkProducer: StreamTransport  # type: ignore[assignment]  # the same
    requests: list[HttpRequest]
    persistent: bool
    timeOut = None
    """Twisted's own timer stays off: the session's deadlines and the one for heads stand in for it."""

    def __init__(self, site: Site, session: Session) -> None:
        super().__init__()
        self.site = site
        self.session = session
        self.requestFactory = HttpRequest  # type: ignore[assignment]  # ours has what the channel uses
        self.MAX_LENGTH = site.limits.line
        self.totalHeadersSize = site.limits.head
        # One more than ours, so that it is ours that answers.
        self.maxHeaders = site.limits.fields + 1
        self.persistent = True
        self._left = site.limits.requests
        self._first_line = b""
        self._head_size = self._fields = 0
        self._resting = False
        self._draining = self._deaf = self._input_ended = False
        self._lingered = 0
        self._timer: IDelayedCall | None = None
        self._held: HttpRequest | None = None
        self._lent = False
        self._send: Callable[[Sequence[bytes]], object] = lambda _parts: None
        self._log_start = make_peer(session.peer.host) + b" - - ["

    def connectionMade(self) -> None:
        # Twisted asks for interfaces which a TLS layer need not declare, and goes on without back-pressure if they are
        # missing; what the listener gives can always be paused. It has set TCP_NODELAY, too.
        self._networkProducer = self.transport
        self.transport.registerProducer(self, True)
        at_once = is_plain(self.transport)
        self._send = cast("ISessionTransport", self.transport).write_now if at_once else self.transport.writeSequence
        self.session.on_drain = self._drain
        self.session.on_expired = self._expired
        self._settle()

    # What comes in.

    def dataReceived(self, data: bytes) -> None:
        if self._resting:
            data = self._answer_fast(data)
            if not data:
                return
            self._resting = False
        if self._deaf:
            self._linger(len(data))
            return
        if self._draining and self._between_requests():
            # What was waited for has begun to come; from here on the head has its own time.
            self._cancel_timer()
        LineReceiver.dataReceived(self, data)
        if not self._busyReceiving:
            self._settle()

    def _answer_fast(self, data: bytes) -> bytes:  # noqa: C901 - one flat loop: each call would cost a tenth of it
        """Answer what is ready; gives back what is left, from the first request that is not."""
        site = self.site
        table = site.fast
        if table is None:
            return data
        now = site.clock.seconds()
        stamps = site.stamps
        if not stamps.since <= now < stamps.until:
            stamps.at(now)
        at = 0
        while self._left > 1 and self._resting:
            end = data.find(b"\r\n\r\n", at)
            if end < 0:
                break
            border = data.find(b"\r\n", at)
            line = table.lines.get(data[at:border])
            if line is None:
                break
            prepared = line.prepared
            if not prepared.fresh_from <= now < prepared.fresh_until:
                break
            text = data[border:end]
            block = table.blocks.get(text) or table.find_block(text)
            if block is None:
                break
            if now >= prepared.renew_at:
                prepared.renew_at = prepared.fresh_until
                prepared.renew()
            self._left -= 1
            self._send(prepared.parts(stamps.date, head_only=line.head_only))
            if site.access_log is not None:
                site.access_log.add(self._log_start + stamps.log_time + b'] "' + line.said + block.tail)
            at = end + 4
            if at == len(data):
                return b""
        return data[at:] if at else data

    def lineReceived(self, line: bytes) -> None:
        if self._deaf:
            return
        self._head_size += len(line) + 2
        if not self.requests:
            if not line:
                # RFC 9112 2.2: an empty line before a request is passed over; Twisted passes over one.
                super().lineReceived(line)
                return
            self._first_line = line
            self._head_size = len(line) + 2
            self._fields = 0
            method, _, rest = line.partition(b" ")
            version = rest.rpartition(b" ")[2]
            if len(method) > _LONGEST_METHOD:
                self.refuse(501)
            elif version not in {b"HTTP/1.1", b"HTTP/1.0"} and _VERSION.fullmatch(version):
                self.refuse(505)
            else:
                super().lineReceived(line)
            return
        if line:
            self._fields += 1
            if line[:1] in {b" ", b"\t"}:
                # RFC 9112 5.2: a server may refuse obs-fold, and one that joins lines differently is a way to smuggle.
                self.refuse(400, "A header field may not go on in a second line.")
                return
            if line[:15].lower() == b"content-length:" and len(line) > 64:
                # Python raises for thousands of digits, and no length has them.
                self.refuse(400)
                return
        if self._head_size > self.site.limits.head or self._fields > self.site.limits.fields:
            self.refuse(431)
            return
        super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line is too long: the request line, if no request was begun."""
        if not self.requests:
            self._first_line = line[: self.MAX_LENGTH]
        self.refuse(431 if self.requests else 414)

    def rawDataReceived(self, data: bytes) -> None:
        if not self._deaf:
            super().rawDataReceived(data)

    def allHeadersReceived(self) -> None:
        """The head is there: who answers, does the body come first, and does the connection stay open."""
        request = self.requests[-1]
        keeps = request.begin(self._command, self._path, self._version, self.length)
        self._left -= 1
        self.persistent = keeps and self._left > 0 and not self._draining and not self._input_ended
        if request.early:
            # The answer does not depend on the body, and reading it would only cost.
            self.length = 0
            self.persistent = False
        elif request.expects:
            self._send([b"HTTP/1.1 100 Continue\r\n\r\n"])

    def allContentReceived(self) -> None:
        if self._deaf:
            # The body was refused in the middle of the bytes that end it.
            return
        self._cancel_timer()
        super().allContentReceived()

    def refuse(self, status: int, explanation: str = "") -> None:
        """Answer what cannot be read as a request, or not within the limits, and close."""
        if self._deaf:
            return
        answer = make_error(status, explanation, close=True)
        content = cast("bytes", answer.content)
        head_only = self._first_line.startswith(b"HEAD ")
        self._send([make_head(answer, self.site.date(), CLOSE), b"" if head_only else content])
        self.site.note(self.session, self._first_line, status, 0 if head_only else len(content))
        for request in self.requests:
            request.abandon()
        self.requests.clear()
        self.depart(Reason.SERVICE, linger=True)

    def _respondToBadRequestAndDisconnect(self) -> None:
        self.refuse(400)

    # What goes out.

    def send(self, parts: Sequence[bytes]) -> None:
        """Send at once what the kernel takes of it, and queue the rest."""
        self._send(parts)

    def lend_transport(self) -> None:
        """Somebody else becomes the transport's producer, until ``take_transport_back``."""
        self._lent = True
        # It is the other producer now that is told when the peer has taken something.
        self._waitingForTransport = False
        self._networkProducer.unregisterProducer()

    def take_transport_back(self) -> None:
        """Be the transport's producer again."""
        self._lent = False
        if not self._deaf and not self.transport.disconnecting:
            self._networkProducer.registerProducer(self, True)

    def requestDone(self, request: HttpRequest) -> None:
        """The answer to the first request was handed to the transport whole."""
        if self.persistent and self._waitingForTransport:
            # The peer has not taken it yet: no further request is answered until it has (see resumeProducing).
            self._held = request
            return
        self._held = None
        self._first_line = b""
        self.requests.remove(request)
        if not self.persistent:
            self.depart(Reason.SERVICE, linger=request.early)
            return
        self._handlingRequest = False
        data = b"".join(self._dataBuffer)
        self._dataBuffer = []
        self.line_mode = 1
        self._read_on()
        if self._busyReceiving:
            # Inside LineReceiver's loop, which goes on with what it holds, and settles after.
            self._buffer = data + self._buffer
            return
        self._settle()
        if data and not self._deaf:
            self.dataReceived(data)

    def pauseProducing(self) -> None:
        self._resting = False
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self._waitingForTransport = False
        if self._held is not None:
            self.requestDone(self._held)
        elif not self._handlingRequest:
            self._read_on()
            if not self._busyReceiving:
                self._settle()

    def _read_on(self) -> None:
        if not self._input_ended and not self._waitingForTransport:
            self._networkProducer.resumeProducing()

    # When it ends.

    def depart(self, reason: str, *, linger: bool = False) -> None:
        """Send what is queued, then close. ``linger``: the peer may be in the middle of sending."""
        if self._deaf:
            return
        self._fall_silent()
        if linger and not self._input_ended and is_plain(self.transport):
            # RFC 9112 9.6: closing with input unread resets the connection, and the answer may be lost with it. Under
            # TLS the wait for the peer's close_notify does the same.
            self._networkProducer.resumeProducing()
            self.session.deadlines.closing()
            self.transport.loseWriteConnection()
            self._timer = self.site.clock.callLater(_LINGER_SECONDS, self.session.close, reason)
        else:
            self.session.close(reason)

    def _fall_silent(self) -> None:
        """No request is read any more, and nothing but a file under way keeps the transport from closing."""
        self._deaf = True
        self._resting = False
        self._cancel_timer()
        if not self._lent:
            self._networkProducer.unregisterProducer()

    def loseConnection(self) -> None:
        self.depart(Reason.SERVICE)

    def _linger(self, count: int) -> None:
        self._lingered += count
        if self._lingered > _LINGER_BYTES:
            self._cancel_timer()
            self.session.close(Reason.SERVICE)

    def readConnectionLost(self) -> None:
        """The peer has said all. What it asked for whole is answered still (``nc -N``)."""
        self._input_ended = True
        if self._deaf:
            self._cancel_timer()
            self.session.close(Reason.SERVICE)
        elif not self._handlingRequest:
            self.depart(Reason.PEER)

    def writeConnectionLost(self) -> None:
        """Ours was the goodbye; its answer is waited for."""

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._deaf = True
        self._resting = False
        self._cancel_timer()
        super().connectionLost(reason)
        self.requests.clear()

    def _drain(self) -> None:
        self._draining = True
        self._resting = False
        if self._between_requests():
            if self._left < self.site.limits.requests:
                self.depart(Reason.SHUTDOWN)
            elif self._timer is None:
                # R5: a client that has just connected has its first request on the way.
                self._timer = self.site.clock.callLater(_FIRST_SECONDS, self.depart, Reason.SHUTDOWN)
        elif self._handlingRequest:
            self.persistent = False

    def _expired(self, name: str) -> None:
        """A deadline of the session is over; it closes after this."""
        if name == "idle" and self._incomplete():
            self.refuse(408)
        elif not self._deaf:
            self._fall_silent()

    # Where it stands.

    def _between_requests(self) -> bool:
        return not self.requests and not self._buffer

    def _incomplete(self) -> bool:
        return not self._handlingRequest and not self._between_requests()

    def _settle(self) -> None:
        """Between two segments: rest, or wait for the rest of a request, but not for ever."""
        if self._deaf:
            return
        if self._input_ended and not self._handlingRequest:
            self.depart(Reason.PEER)
            return
        self._resting = (
            not self.requests and not self._buffer and not self._waitingForTransport and not self._draining
        )  # fmt: skip
        if not self._incomplete():
            self._cancel_timer()
        elif self._timer is None:
            self._timer = self.site.clock.callLater(self.site.limits.head_seconds, self._late)

    def _late(self) -> None:
        self._timer = None
        self.refuse(408)

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
