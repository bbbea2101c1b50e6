"""What live tests speak with beside curl, nc and openssl: plain sockets, TLS, raw HTTP; and the daemon's log."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from tests.live.harness import DaemonProcess

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds a socket or a condition is waited for on a slow and busy machine."""

COMBINED = re.compile(
    rb"(?P<peer>\S+) - (?P<account>\S+) \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "
    rb'"(?P<request>[^"]*)" (?P<status>\d{3}) (?P<length>\d+|-) "(?P<referer>[^"]*)" "(?P<agent>[^"]*)"\n'
)
"""A line of an access log, its newline included."""

CONFIG = """
[daemon]
shutdown = "5s"
[log]
to = ["file"]
[services.echo]
listen = ["tcp:0:interface=127.0.0.1", "tls:0:interface=127.0.0.1", "udp:0:interface=127.0.0.1"]
"""
"""An echo by every transport, and a log of JSON lines in the state directory."""


def make_config(*lines: str, root: Path | None = None, access_log: bool = False) -> str:
    """``CONFIG``, with ``lines`` in its section; with ``root`` a web section too, plain and TLS."""
    text = CONFIG + "\n".join(lines) + "\n"
    if root is not None:
        text += f"""
[services.web]
listen = ["tcp:0:interface=127.0.0.1", "tls:0:interface=127.0.0.1"]
root = "{root}"
"""
        text += 'access_log = "access.log"\n' if access_log else ""
    return text


def wait_until(condition: Callable[[], object], patience: float = PATIENCE) -> bool:
    """Whether ``condition`` came true in time; it is asked every few milliseconds."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def read_events(daemon: DaemonProcess, name: str | None = None) -> list[dict[str, Any]]:
    """The lines of the JSON log, of one event if it is named."""
    try:
        text = (daemon.state / "netservices.log").read_bytes()
    except FileNotFoundError:
        return []
    # A line that is being written has no newline yet.
    events = [json.loads(line) for line in text.split(b"\n")[:-1]]
    return [event for event in events if name in {None, event["event"]}]


def wait_for_events(
    daemon: DaemonProcess, name: str, count: int = 1, patience: float = PATIENCE
) -> list[dict[str, Any]]:
    """At least ``count`` lines of that event; those there are when the time is over."""
    wait_until(lambda: len(read_events(daemon, name)) >= count, patience)
    return read_events(daemon, name)


def read_resident(pid: int) -> int:
    """Resident memory in octets."""
    # proc(5): the second number of statm is in pages.
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def read_cpu(pid: int) -> float:
    """Seconds of CPU that the process has used."""
    # proc(5): utime and stime are fields 14 and 15, behind a name that may hold anything.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def count_threads(pid: int) -> int:
    """The process's threads."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def count_descriptors(pid: int) -> int:
    """The process's open files and sockets."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def connect(daemon: DaemonProcess, service: str, transport: str = "tcp", *, timeout: float = PATIENCE) -> socket.socket:
    """A TCP or Unix connection; the caller closes it."""
    found = daemon.find_listener(service, transport)
    if found["path"]:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        try:
            sock.connect(found["path"])
        except BaseException:
            sock.close()
            raise
        return sock
    return socket.create_connection((found["address"], found["port"]), timeout)


def read_to_end(sock: socket.socket) -> bytes:
    """All that comes until the peer has said all; what came before a reset counts too."""
    received = bytearray()
    try:
        while data := sock.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    return bytes(received)


def read_exactly(sock: socket.socket, count: int) -> bytes:
    """``count`` bytes, or fewer if the connection ends before."""
    received = bytearray()
    while len(received) < count and (data := sock.recv(count - len(received))):
        received += data
    return bytes(received)


def exchange(daemon: DaemonProcess, service: str, data: bytes, transport: str = "tcp") -> bytes:
    """Send ``data``, say that this was all, and read to the end."""
    with connect(daemon, service, transport) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return read_to_end(sock)


def is_refused(daemon: DaemonProcess, service: str, transport: str = "tcp") -> bool:
    """Whether nobody listens there any more."""
    try:
        connect(daemon, service, transport).close()
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    return False


def is_turned_away(
    daemon: DaemonProcess, service: str, transport: str = "tcp", *, data: bytes = b"", host: str | None = None
) -> bool:
    """Whether a connection (from ``host``, if given) is closed without a word, in whichever way, or stays open.

    An echo is asked to say something, so that one that stays open need not be waited for.
    """
    found = daemon.find_listener(service, transport)
    source = None if host is None else (host, 0)
    try:
        with socket.create_connection((found["address"], found["port"]), PATIENCE, source) as sock:
            sock.sendall(data or b"?")
            return sock.recv(1) == b""
    except (ConnectionResetError, BrokenPipeError):
        return True


def make_context(authority: Path | None, alpn: Sequence[str] = ()) -> ssl.SSLContext:
    """A client's context that trusts ``authority``, or without one anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authority is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(authority)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


class TlsClient:
    """TLS over a plain socket, its records in memory, so that each direction ends alone; use it in ``with``."""

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        server_name: str = "localhost",
        session: ssl.SSLSession | None = None,
    ) -> None:
        self.sock = sock
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self.object = context.wrap_bio(self._in, self._out, server_hostname=server_name, session=session)
        try:
            self._drive(self.object.do_handshake)
        except BaseException:
            sock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()

    def _flush(self) -> None:
        while data := self._out.read(65536):
            self.sock.sendall(data)

    def _receive(self) -> None:
        data = self.sock.recv(65536)
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    def _drive(self, step: Callable[[], T]) -> T:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                self._receive()
            else:
                self._flush()
                return result

    def send(self, data: bytes) -> None:
        """Encrypt and send all."""
        view = memoryview(data)
        while view:
            view = view[self.object.write(view[:65536]) :]
            self._flush()

    def read(self, count: int = 65536) -> bytes:
        """The next bytes; none when the peer has said goodbye. Raises ``ssl.SSLError`` when it just hung up."""
        try:
            return self._drive(lambda: self.object.read(count))
        except ssl.SSLZeroReturnError:
            return b""

    def read_to_end(self) -> bytes:
        """All until the peer's goodbye."""
        received = bytearray()
        while data := self.read():
            received += data
        return bytes(received)

    def say_all(self) -> None:
        """Send close_notify, and go on reading."""
        try:
            self.object.unwrap()
        except ssl.SSLWantReadError:
            # It has been sent; the peer's answer comes behind what it still has to say.
            self._flush()


@dataclass(frozen=True)
class Response:
    """One HTTP answer, with its fields by lower-case name."""

    status: int
    fields: dict[str, str]
    body: bytes


def parse_response(octets: bytes) -> tuple[Response, bytes]:
    """The first answer of a connection, by its Content-Length, and what follows it; 1xx and 304 have no body."""
    head, border, rest = octets.partition(b"\r\n\r\n")
    if not border:
        raise AssertionError(f"no whole answer: {octets[:200]!r}")
    first, *lines = head.decode("latin-1").split("\r\n")
    version, status, _reason = first.split(" ", 2)
    if version != "HTTP/1.1":
        raise AssertionError(f"no HTTP/1.1 answer: {first!r}")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = 0 if status == "304" else int(fields.get("content-length", len(rest)))
    return Response(int(status), fields, rest[:length]), rest[length:]


def parse_responses(octets: bytes) -> list[Response]:
    """All answers of a connection."""
    responses = []
    while octets:
        response, octets = parse_response(octets)
        responses.append(response)
    return responses


def ask_raw(daemon: DaemonProcess, request: bytes, service: str = "web", transport: str = "tcp") -> bytes:
    """Send bytes on a new connection, nothing after them, and read to the end."""
    with connect(daemon, service, transport) as sock:
        sock.sendall(request)
        return read_to_end(sock)


def ask(daemon: DaemonProcess, target: str, *fields: str, method: str = "GET", service: str = "web") -> Response:
    """One request on a connection of its own; ``target`` goes as it is."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", *fields, "", ""]
    octets = ask_raw(daemon, "\r\n".join(lines).encode("latin-1"), service)
    if method == "HEAD":
        head, _, rest = octets.partition(b"\r\n\r\n")
        if rest:
            raise AssertionError(f"HEAD was answered with a body: {rest[:200]!r}")
        response, _ = parse_response(head + b"\r\n\r\n")
        return response
    response, rest = parse_response(octets)
    if rest:
        raise AssertionError(f"there is more than one answer: {rest[:200]!r}")
    return response
