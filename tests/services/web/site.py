"""A site of files in a temporary directory, with its disk in the test's hands."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.task import Clock

from netservices.http.fastpath import FastTable
from netservices.http.mediatypes import MediaTypes
from netservices.http.site import Site
from netservices.runtime import EventLog
from netservices.runtime.confined import ConfinedRoot
from netservices.runtime.files import ImmediateFiles
from netservices.services.web.documents import Documents
from tests.http.doubles import Connection

if TYPE_CHECKING:
    from pathlib import Path

    from netservices.http.accesslog import AccessLog
    from netservices.http.request import HttpRequest

KIB = 1024


class Lines:
    """An access log that only remembers."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def add(self, line: bytes) -> None:
        self.lines.append(line)


class Counted(Documents):
    """Counts what the fast path has left over."""

    asked = 0

    def handle(self, request: HttpRequest) -> Any:  # noqa: ANN401 - as above it
        self.asked += 1
        return super().handle(request)


class Tree:
    """Files, a site of them, and a clock that is a minute ahead, so that every file has settled."""

    def __init__(
        self, path: Path, *, fast: bool = True, hot_file: int = 256 * KIB, hot_cache: int = 1024 * KIB
    ) -> None:
        self.path = path
        self.clock = Clock()
        self.clock.advance(int(time.time()) + 60)
        self.files = ImmediateFiles()
        self.events: list[dict[str, Any]] = []
        self.table = FastTable()
        self.log = Lines()
        self.documents = Counted(
            ConfinedRoot(path), files=self.files, clock=self.clock, log=EventLog(cast("Any", self.events.append)),
            types=MediaTypes(), fast=self.table, index=("index.html", "index.htm"), hot_file=hot_file,
            hot_cache=hot_cache,
        )  # fmt: skip
        self.site = Site(
            self.documents,
            clock=self.clock,
            files=self.files,
            access_log=cast("AccessLog", self.log),
            fast=self.table if fast else None,
        )

    def put(self, name: str, content: bytes) -> Path:
        """A file that was changed an hour ago."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        before = int(time.time()) - 3600
        os.utime(path, (before, before))
        return path

    def connect(self) -> Connection:
        """A new connection of the site."""
        return Connection(site=self.site, clock=self.clock)

    def ask(self, head: bytes, *fields: bytes, connection: Connection | None = None) -> bytes:
        """The answer to one request."""
        connection = connection or self.connect()
        return connection.send(b"\r\n".join([head + b" HTTP/1.1", b"Host: example.org", *fields, b"", b""]))
