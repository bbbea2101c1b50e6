"""One request on the full path: what was asked, checked, and the sending of its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.web.http_headers import Headers

from netservices.http.answers import CLOSE, KEEP_ALIVE, Answer, FileContent, has_body, make_head
from netservices.http.errors import make_error
from netservices.http.sender import FileSender
from netservices.http.targets import BadTarget, Target, parse_host, parse_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.python.failure import Failure

    from netservices.http.channel import HttpProtocol
    from netservices.http.site import BodySink
    from netservices.runtime import Session

KNOWN_METHODS = frozenset(
    {b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"CONNECT"},
)  # fmt: skip
"""RFC 9110 9.3 and RFC 5789; any other is answered 501."""
_NOWHERE = Target((), directory=False)


class HttpRequest:
    """A request whose head is there.

    ``field`` gives one header field and ``requestHeaders`` has all of them, as they came; ``host`` is the name asked
    for, in lower case, without the port, empty in a request of HTTP/1.0 that names none. ``started`` says that an
    answer is under way.
    """

    def __init__(self, channel: HttpProtocol, _queued: int) -> None:
        self._channel: HttpProtocol | None = channel
        self.site = channel.site
        self.session: Session = channel.session
        self.requestHeaders = Headers()
        self.method = b""
        self.raw_target = b""
        self.version = b""
        self.target = _NOWHERE
        self.host = b""
        self.port: int | None = None
        self.refusal: Answer | None = None
        """What it is answered whatever its body is."""
        self.early = False
        """Whether it is answered without waiting for its body."""
        self.expects = False
        """Whether the client waits for 100 Continue, and is to have it."""
        self.started = False
        self._sink: BodySink | None = None
        self._body = 0
        self._sender: FileSender | None = None
        self._noted = False
        self._status = self._length = 0

    def field(self, name: bytes) -> bytes | None:
        """A field's value, several joined by a comma (RFC 9110 5.3), or None."""
        values = self.requestHeaders.getRawHeaders(name)
        return b", ".join(values) if values else None

    @property
    def sink(self) -> BodySink | None:
        """Who has read its body, as the handler said; None after the answer."""
        return self._sink

    def first_line(self) -> bytes:
        """The request line, as it came."""
        return b"%b %b %b" % (self.method, self.raw_target, self.version)

    # What the channel calls, in this order.

    def begin(self, method: bytes, raw_target: bytes, version: bytes, length: int | None) -> bool:
        """The head is complete, ``length`` of body follow (None: chunked); whether the client keeps the connection."""
        self.method, self.raw_target, self.version = method, raw_target, version
        self.refusal = self._check()
        if self.refusal is None:
            self._choose_sink(length)
        self.early = self.early or (self.refusal is not None and length != 0)
        options = [option.strip().lower() for option in (self.field(b"Connection") or b"").split(b",")]
        return CLOSE not in options and (version == b"HTTP/1.1" or KEEP_ALIVE in options)

    def handleContentChunk(self, data: bytes) -> None:
        """Some of the body."""
        self._body += len(data)
        if self._channel is None:
            return
        if self._body > self._most():
            self._channel.refuse(413)
        elif self._sink is not None:
            self._sink.write(data)

    def requestReceived(self, _method: bytes, _target: bytes, _version: bytes) -> None:
        """All of it is there."""
        if self.refusal is not None:
            self.send(self.refusal)
        else:
            self.site.serve(self)

    def connectionLost(self, _reason: Failure) -> None:
        """There is nobody to answer any more."""
        if self.started:
            self._note()
        else:
            self.abandon()
        self._channel = None

    def abandon(self) -> None:
        """Its body will not come whole."""
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.abandon()

    # The answer.

    def send(self, answer: Answer) -> None:
        """Send the one answer. Closes the file it may have, now or when it was sent."""
        channel = self._channel
        if channel is None or self.started:
            answer.discard()
            return
        if answer.close:
            channel.persistent = False
        connection = (b"" if self.version == b"HTTP/1.1" else KEEP_ALIVE) if channel.persistent else CLOSE
        try:
            head = make_head(answer, self.site.date(), connection)
        except ValueError:
            answer.discard()
            raise
        self.started = True
        self._sink = None
        self._status = answer.status
        content = answer.content
        if self.method == b"HEAD" or not has_body(answer.status):
            answer.discard()
            channel.send([head])
        elif isinstance(content, FileContent):
            self._sender = FileSender(channel, content)
            self._sender.start(head).addCallbacks(self._sent, self._broke).addErrback(self.session.failed)
            return
        else:
            self._length = len(content)
            channel.send([head, content])
        self._sent(None)

    def _sent(self, _ignored: object) -> None:
        self._note()
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.requestDone(self)

    def _broke(self, failure: Failure) -> None:
        # What was promised cannot be kept: the client must not take what it has for the whole.
        self._note()
        self.site.broken(self, failure)

    def _note(self) -> None:
        if self._noted:
            return
        self._noted = True
        length = self._sender.sent if self._sender is not None else self._length
        agent = self.field(b"User-Agent") or b""
        self.site.note(
            self.session, self.first_line(), self._status, length, referer=self.field(b"Referer") or b"", agent=agent
        )

    # The checks.

    def _check(self) -> Answer | None:
        if self._is_ambiguous():
            return make_error(400, close=True)
        if self.method not in KNOWN_METHODS:
            return make_error(501)
        hosts = self._values(b"Host")
        # RFC 9112 3.2: exactly one in HTTP/1.1; two are wrong in any version.
        if len(hosts) > 1 or (not hosts and self.version == b"HTTP/1.1"):
            return make_error(400, "A request names exactly one Host.", close=True)
        try:
            self.target = parse_target(self.raw_target)
            # RFC 9112 3.2.2: with a whole address as target, that counts, but a bad Host is bad still.
            for authority in (*hosts, self.target.authority):
                if authority is not None:
                    self.host, self.port = parse_host(authority)
        except BadTarget as error:
            return make_error(400, str(error), close=True)
        form = self.target.form
        if (form == "authority" and self.method != b"CONNECT") or (form == "asterisk" and self.method != b"OPTIONS"):
            return make_error(400, close=True)
        expected = self.field(b"Expect")
        # RFC 9110 10.1.1: 417 for what is not understood; HTTP/1.0 has no expectations.
        if expected is not None and self.version == b"HTTP/1.1" and expected.lower() != b"100-continue":
            return make_error(417, close=True)
        return None

    def _is_ambiguous(self) -> bool:
        """Whether two readers could see the end of the body in two places."""
        codings = self._values(b"Transfer-Encoding")
        if not codings:
            return False
        # RFC 9112 6.1: a 1.0 client has no transfer codings, and no request has a length besides.
        chunked = [coding.lower() for coding in codings] == [b"chunked"]
        return self.version != b"HTTP/1.1" or not chunked or bool(self._values(b"Content-Length"))

    def _choose_sink(self, length: int | None) -> None:
        if length == 0:
            return
        self._sink = self.site.handler.open_body(self)
        if length is not None and length > self._most():
            self.abandon()
            self.refusal = make_error(413, close=True)
        elif self.field(b"Expect") is not None and self.version == b"HTTP/1.1":
            if self._sink is not None:
                self.expects = True
            else:
                # RFC 9110 10.1.1: nobody reads the body, and the client has not begun to send it.
                self.early = True

    def _most(self) -> int:
        return self._sink.limit if self._sink is not None else self.site.limits.unread_body

    def _values(self, name: bytes) -> Sequence[bytes]:
        return self.requestHeaders.getRawHeaders(name) or ()
