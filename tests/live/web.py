"""What the live tests of the web share: a small tree, a daemon that serves it, and readers of answers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.live.clients import (
    make_config,
    parse_response,
)
from tests.live.harness import Daemon, make_directory, require, run

CLOSED = "daemon.session.closed"
SECRET = b"this is outside of the root"


class WebCase(SynchronousTestCase):
    """A small tree, and a daemon that serves it."""

    def setUp(self) -> None:
        self.directory = make_directory(self)
        (self.directory / "secret").write_bytes(SECRET)
        self.root = self.directory / "www"
        (self.root / "folder").mkdir(parents=True)
        (self.root / "empty").mkdir()
        (self.root / "index.html").write_bytes(b"<p>home</p>")
        (self.root / "folder" / "index.html").write_bytes(b"<p>folder</p>")
        (self.root / "text.txt").write_bytes(b"0123456789" * 100)

    def start(self, *lines: str, access_log: bool = False) -> Daemon:
        """``lines`` go into the web section."""
        text = (
            make_config(root=self.root, access_log=access_log) + "\n".join(['limits.rate = "10000/s"', *lines]) + "\n"
        )
        return Daemon(self, text, directory=self.directory)

    def curl(self, *arguments: str) -> bytes:
        """What curl prints; its failure fails the test."""
        ended = run(require("curl"), "-sS", "--max-time", "20", *arguments, cwd=self.directory)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        return ended.stdout


def split(octets: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, fields and body of what ``curl -i`` prints."""
    head, _, body = octets.partition(b"\r\n\r\n")
    response, _ = parse_response(head + b"\r\n\r\n")
    return response.status, response.fields, body


def parse_parts(content_type: str, body: bytes) -> list[tuple[str, bytes]]:
    """RFC 2046 5.1.1: the Content-Range and the bytes of every part."""
    kind, _, boundary = content_type.partition("; boundary=")
    if kind != "multipart/byteranges":
        raise AssertionError(content_type)
    start, *parts, end = (b"\r\n" + body).split(b"\r\n--" + boundary.strip('"').encode())
    if start or end.strip() != b"--":
        raise AssertionError((start, end))
    found = []
    for part in parts:
        head, _, data = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n"))
        found.append((fields["content-range"], data))
    return found
