"""A daemon that is no more than a control socket, for the verbs that speak to one."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from socketserver import UnixStreamServer
from typing import TYPE_CHECKING
from xmlrpc.client import Fault

from twisted.internet.defer import Deferred

from netservices.rpc import Dispatcher, make_fault, make_response, parse_call
from netservices.runtime.unixpaths import SocketPath

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class _Handler(BaseHTTPRequestHandler):
    """One call after the other, as the real one answers them."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        document = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.deaf:
            self.send_error(404)
            return
        try:
            call = parse_call(document)
            self.server.calls.append(call.method)
            result = self.server.dispatcher.dispatch(call)
            if isinstance(result, Deferred):
                failures: list[object] = []
                result.addErrback(failures.append)
                if failures:
                    raise failures[0].value  # type: ignore[attr-defined]
                result = result.result
            answer = make_response(result)
        except Fault as fault:
            answer = make_fault(fault)
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Nowhere."""


class _Server(UnixStreamServer):
    dispatcher: Dispatcher
    calls: list[str]
    deaf: bool


@contextmanager
def running_daemon(state: Path, dispatcher: Dispatcher, *, deaf: bool = False) -> Iterator[list[str]]:
    """Calls to ``STATE/control`` reach ``dispatcher``; gives the list of the methods that were called.

    A ``deaf`` one answers as something that is no netservices.
    """
    path = state / "control"
    short = SocketPath(path)
    with _Server(short.name, _Handler) as server:
        short.close()
        server.dispatcher, server.calls, server.deaf = dispatcher, [], deaf
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.calls
        finally:
            server.shutdown()
            thread.join()
            path.unlink()
