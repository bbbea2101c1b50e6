"""A site: who answers, within which limits, and where it is noted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.logger import LogLevel
from twisted.python.failure import Failure

from netservices.http.channel import HttpProtocol
from netservices.http.errors import make_error
from netservices.http.logline import make_line, make_peer
from netservices.http.stamps import Stamps
from netservices.runtime import Event

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from netservices.http.accesslog import AccessLog
    from netservices.http.answers import Answer
    from netservices.http.fastpath import FastTable
    from netservices.http.request import HttpRequest
    from netservices.runtime import Session
    from netservices.runtime.files import FilePool

REQUEST_FAILED = Event(
    "http.request.failed",
    LogLevel.critical,
    "{service} session {session} from {peer}: {method} {target} met a bug: {log_failure.value}",
    "The code behind a request raised what it should have handled. The client was answered 500, or cut off if an "
    "answer was under way; please report it with the traceback.",
)
FILE_FAILED = Event(
    "http.file.failed",
    LogLevel.error,
    "{service} session {session} from {peer}: {target} could not be sent whole: {reason}",
    "A file became shorter while it was sent, or the disk failed. The client was cut off, so that it does not take "
    "what it has for the whole.",
)
EVENTS = (REQUEST_FAILED, FILE_FAILED)


@dataclass(frozen=True)
class HttpLimits:
    """What a client may send; beyond it, it is answered and the connection closed. In bytes, and seconds."""

    line: int = 8192
    """One line: the request line (414) or one header field (431)."""
    head: int = 32768
    """The request line and all fields together (431)."""
    fields: int = 100
    """Header fields (431)."""
    head_seconds: float = 10.0
    """From the first byte of a request to the end of its head, and of a body nobody reads (408)."""
    requests: int = 10_000
    """Requests of one connection; the last is answered with ``Connection: close``."""
    unread_body: int = 65536
    """A body that nobody reads is taken up to this and thrown away (413)."""


class BodySink(Protocol):
    """Who reads a request's body while it comes."""

    limit: int
    """The longest body taken, in bytes; beyond it the client is answered 413."""

    def write(self, data: bytes) -> None:
        """The next bytes. They come before ``handle`` is called."""

    def abandon(self) -> None:
        """The rest will not come, and ``handle`` will not be called."""


class Handler(Protocol):
    """Who answers a site's requests."""

    def open_body(self, request: HttpRequest) -> BodySink | None:
        """Who reads the body of ``request``, of which the head is there; None: nobody, it is thrown away."""

    def handle(self, request: HttpRequest) -> Answer | Deferred[Answer]:
        """The answer; the body, if there is one, has come whole. Whatever is raised becomes a 500."""


class Site:
    """One site of one service: makes the protocol of each session."""

    def __init__(
        self, handler: Handler, *, clock: IReactorTime, files: FilePool, limits: HttpLimits | None = None,
        access_log: AccessLog | None = None, fast: FastTable | None = None,
    ) -> None:  # fmt: skip
        """``clock`` tells seconds of the epoch, as the reactor does. ``fast`` None: all take the full path."""
        self.handler = handler
        self.clock = clock
        self.files = files
        self.limits = limits or HttpLimits()
        self.access_log = access_log
        self.fast = fast
        self.stamps = Stamps()

    def make_protocol(self, session: Session) -> HttpProtocol:
        """A ``StreamFactory``."""
        return HttpProtocol(self, session)

    def date(self) -> bytes:
        """The Date field's value, now."""
        return self.stamps.at(self.clock.seconds()).date

    def serve(self, request: HttpRequest) -> None:
        """Have ``request`` answered."""
        try:
            result = self.handler.handle(request)
            if isinstance(result, Deferred):
                result.addCallback(request.send).addErrback(lambda failure: self._failed(request, failure))
            else:
                request.send(result)
        except Exception:  # noqa: BLE001 - a bug in a handler ends its request, not the daemon
            self._failed(request, Failure())

    def note(
        self,
        session: Session,
        request_line: bytes,
        status: int,
        length: int,
        *,
        referer: bytes = b"",
        agent: bytes = b"",
    ) -> None:
        """One line for the access log, if there is one."""
        if self.access_log is not None:
            when = self.stamps.at(self.clock.seconds()).log_time
            self.access_log.add(
                make_line(
                    make_peer(session.peer.host),
                    when,
                    request_line,
                    status=status,
                    length=length,
                    referer=referer,
                    agent=agent,
                )
            )

    def broken(self, request: HttpRequest, failure: Failure) -> None:
        """The answer to ``request`` was begun and cannot be ended."""
        if failure.check(ConnectionLost) is None:
            reason = failure.getErrorMessage()
            request.session.log.emit(FILE_FAILED, target=request.raw_target.decode("latin-1"), reason=reason)
            request.session.abort("failed")

    def _failed(self, request: HttpRequest, failure: Failure) -> None:
        log = request.session.log
        log.failure(
            REQUEST_FAILED,
            failure,
            method=request.method.decode("latin-1"),
            target=request.raw_target.decode("latin-1"),
        )
        if request.started:
            request.session.abort("bug")
        else:
            request.send(make_error(500, close=True))
