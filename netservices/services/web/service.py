"""The section as it runs: the site, its directory and its access log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from twisted.application.service import Service
from twisted.logger import LogLevel

from netservices.http.accesslog import AccessLog
from netservices.http.errors import make_error
from netservices.http.fastpath import FastTable
from netservices.http.mediatypes import SYSTEM_FILES, MediaTypes
from netservices.http.site import HttpLimits, Site
from netservices.kind import Parts
from netservices.runtime import Event
from netservices.runtime.confined import ConfinedRoot
from netservices.services.web.documents import Documents

if TYPE_CHECKING:
    from netservices.runtime import EventLog, Runtime
    from netservices.services.web.options import WebOptions

ROOT_MISSING = Event(
    "web.root.missed",
    LogLevel.warn,
    "the directory {path} can't be served: {reason}",
    "Every request is answered 404 until the directory is there; nothing has to be restarted then.",
)
EVENTS = (ROOT_MISSING,)

_WELCOME = b"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>It works</title></head>
<body>
<h1>It works</h1>
<p>This page was made by netservices when it first started, because the web section of its configuration names no
<code>root</code>. It is the file <code>www/index.html</code> in the state directory.</p>
<p>Put files beside it, or write <code>root = "/srv/www"</code> into the section, and they are served.</p>
</body>
</html>
"""


class WebRoot(Service):
    """Sees at start that there is something to serve, and learns the machine's media types."""

    def __init__(self, path: Path, documents: Documents, log: EventLog, *, make: bool) -> None:
        """``make``: the directory is ours to make."""
        self._path = path
        self._documents = documents
        self._log = log
        self._make = make

    def startService(self) -> None:
        """A few short reads, before anything listens."""
        super().startService()
        self._documents.types = MediaTypes.load(Path(name) for name in SYSTEM_FILES)
        try:
            if self._make and not self._path.exists():
                self._path.mkdir(mode=0o755)
                (self._path / "index.html").write_bytes(_WELCOME)
            next(self._path.iterdir(), None)
        except OSError as error:
            self._log.emit(ROOT_MISSING, path=str(self._path), reason=error.strerror or str(error))


def make_refusal() -> bytes:
    """What a plain peer over a limit is sent: a whole answer, so that browsers and programs know what to do."""
    page = make_error(503).content
    fields = (
        b"HTTP/1.1 503 Service Unavailable",
        b"Server: netservices",
        b"Retry-After: 10",
        b"Content-Type: text/html; charset=utf-8",
        b"Content-Length: %d" % len(page if isinstance(page, bytes) else b""),
        b"Connection: close",
    )
    return b"\r\n".join([*fields, b"", page if isinstance(page, bytes) else b""])


def make_web(options: WebOptions, runtime: Runtime) -> Parts:
    """One site of files."""
    path = options.root if options.root is not None else runtime.state / "www"
    fast = FastTable()
    documents = Documents(
        ConfinedRoot(path),
        files=runtime.files,
        clock=runtime.clock,
        log=runtime.log,
        types=MediaTypes(),
        fast=fast,
        index=options.index,
        hot_file=options.hot_file,
        hot_cache=options.hot_cache,
    )
    workers: list[Service] = [WebRoot(path, documents, runtime.log, make=options.root is None)]
    access_log = None
    if options.access_log is not None:
        access_log = AccessLog(
            runtime.state / options.access_log, files=runtime.files, clock=runtime.clock, log=runtime.log
        )
        workers.append(access_log)
    limits = HttpLimits(
        line=options.request_line,
        head=options.request_head,
        head_seconds=options.head_timeout,
        requests=options.requests,
    )
    site = Site(
        documents, clock=runtime.clock, files=runtime.files, limits=limits, access_log=access_log, fast=fast
    )  # fmt: skip
    return Parts(
        streams={"listen": site.make_protocol},
        workers=tuple(workers),
        refusal=make_refusal(),
        alpn=(b"http/1.1",),
    )
