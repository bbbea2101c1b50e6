"""The control socket: XML-RPC over HTTP on ``STATE/control``, for the ``netservices`` command.

The socket's file has mode 0600 in a directory of mode 0700: whoever may connect is the daemon's own user, or root.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xmlrpc.client import Fault

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import LogLevel

from netservices.config import ServiceOptions, UnixListen
from netservices.daemon.gate import Door
from netservices.daemon.listener import Listener
from netservices.daemon.section import Section
from netservices.daemon.sockets import open_sockets
from netservices.http.answers import Answer
from netservices.http.errors import make_error
from netservices.http.site import Site
from netservices.kind import Parts
from netservices.rpc import Dispatcher, FaultCode, make_fault, make_response, parse_call
from netservices.runtime import Event
from netservices.runtime.admission import Admission, make_proxies
from netservices.runtime.metrics import SectionMetrics

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from netservices.daemon.shared import Shared
    from netservices.http.request import HttpRequest

CONTROL_FAILED = Event(
    "daemon.control.failed",
    LogLevel.critical,
    "the control method {method} met a bug: {log_failure.value}",
    "The code behind a verb of the netservices command raised what it should have handled; please report it with the "
    "traceback.",
)

_LARGEST_CALL = 1 << 20


class _Body:
    """A call's document while it comes."""

    limit = _LARGEST_CALL

    def __init__(self) -> None:
        self.octets = bytearray()

    def write(self, data: bytes) -> None:
        """The next bytes."""
        self.octets += data

    def abandon(self) -> None:
        """The rest will not come; what is here goes with the request."""


class ControlHandler:
    """Answers calls to ``dispatcher``; what a method raises besides ``Fault`` is logged and told as -32500."""

    def __init__(self, dispatcher: Dispatcher, shared: Shared) -> None:
        self._dispatcher = dispatcher
        self._log = shared.log

    def open_body(self, request: HttpRequest) -> _Body | None:
        """A call's document; what does not come by POST is not read."""
        return _Body() if request.method == b"POST" else None

    def handle(self, request: HttpRequest) -> Answer | Deferred[Answer]:
        """The response or fault; 405 for anything but POST."""
        if request.method != b"POST":
            return make_error(405, fields=((b"Allow", b"POST"),))
        method = "?"
        try:
            body = request.sink
            call = parse_call(bytes(body.octets) if isinstance(body, _Body) else b"")
            method = call.method
            result = maybeDeferred(self._dispatcher.dispatch, call)
        except Fault as fault:
            return _say(make_fault(fault))
        return result.addCallback(make_response).addErrback(self._failed, method).addCallback(_say)

    def _failed(self, failure: Failure, method: str) -> bytes:
        if isinstance(failure.value, Fault):
            return make_fault(failure.value)
        self._log.failure(CONTROL_FAILED, failure, method=method)
        return make_fault(Fault(FaultCode.APPLICATION_ERROR, "the daemon met a bug; its log has the traceback"))


def _say(document: bytes) -> Answer:
    return Answer(200, ((b"Content-Type", b"text/xml; charset=utf-8"),), document)


def make_control(dispatcher: Dispatcher, shared: Shared) -> Listener:
    """The bound control socket. Raises ``BindError``."""
    entry = UnixListen(str(shared.state / "control"), 0o600)
    options = ServiceOptions(kind="control", listen=(entry,))
    log = shared.log.bind(service="control")
    site = Site(ControlHandler(dispatcher, shared), clock=shared.clock, files=shared.files)
    section = Section(
        "control",
        options,
        Parts(streams={"listen": site.make_protocol}),
        Admission(options, clock=shared.clock, log=log),
        log,
        make_proxies(()),
        SectionMetrics(shared.metrics, "control", shared.clock.seconds),
    )
    return Listener(Door(section, "listen", entry, shared.sessions, shared.clock), open_sockets(entry))


EVENTS = (CONTROL_FAILED,)
