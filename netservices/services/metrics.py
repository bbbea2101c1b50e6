"""Metrics: what the daemon counts, for Prometheus and for whoever watches that it is well.

GET /metrics   the counters, in Prometheus' text form
GET /healthz   200 as long as the daemon answers
GET /readyz    200 when every section takes new sessions, else 503 with the names of those that do not
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netservices.config import ServiceOptions
from netservices.http import site
from netservices.http.answers import Answer
from netservices.http.errors import make_error, make_not_allowed, make_options
from netservices.http.site import Site
from netservices.kind import Parts, ServiceKind
from netservices.runtime.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred

    from netservices.http.request import HttpRequest
    from netservices.http.site import BodySink
    from netservices.runtime import Runtime

_METHODS = (b"GET", b"HEAD", b"OPTIONS")
_PLAIN = (b"Content-Type", b"text/plain; charset=utf-8")


class MetricsOptions(ServiceOptions):
    """Counters for Prometheus, and the two questions that a supervisor asks. It tells much: keep it on loopback."""


class MetricsHandler:
    """Three pages, each made when it is asked for."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._pages: dict[tuple[bytes, ...], Callable[[], Answer | Deferred[Answer]]] = {
            (b"metrics",): self._tell_metrics,
            (b"healthz",): lambda: _say(200, "ok"),
            (b"readyz",): self._tell_ready,
        }

    def open_body(self, request: HttpRequest) -> BodySink | None:
        """Nobody reads a body."""

    def handle(self, request: HttpRequest) -> Answer | Deferred[Answer]:
        """The page, or 404."""
        if request.method == b"OPTIONS":
            return make_options(_METHODS)
        if request.method not in _METHODS:
            return make_not_allowed(_METHODS)
        page = self._pages.get(request.target.segments)
        return page() if page is not None else make_error(404)

    def _tell_metrics(self) -> Deferred[Answer]:
        # Reading the process's own figures asks the kernel, and a thousand families take a while to write.
        made = self._runtime.files.run(self._runtime.metrics.exposition)
        return made.addCallback(lambda text: Answer(200, ((b"Content-Type", CONTENT_TYPE),), text))

    def _tell_ready(self) -> Answer:
        missing = self._runtime.list_unready()
        return _say(503, f"not ready: {', '.join(missing)}") if missing else _say(200, "ready")


def _say(status: int, text: str) -> Answer:
    return Answer(status, (_PLAIN, (b"Cache-Control", b"no-store")), f"{text}\n".encode())


def make_metrics(_options: MetricsOptions, runtime: Runtime) -> Parts:
    """A site of its own; there is nothing to configure."""
    made = Site(MetricsHandler(runtime), clock=runtime.clock, files=runtime.files)
    return Parts(streams={"listen": made.make_protocol}, alpn=(b"http/1.1",))


KIND = ServiceKind(
    name="metrics",
    summary="tells Prometheus and supervisors how the daemon is",
    options=MetricsOptions,
    make=make_metrics,
    tryout={"listen": ["tcp:8090:interface=127.0.0.1"]},
    events=site.EVENTS,
)
