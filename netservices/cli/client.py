"""The command's end of the control socket: XML-RPC over HTTP on a unix socket."""

from __future__ import annotations

import http.client
import os
import socket
import xmlrpc.client
from typing import TYPE_CHECKING, Any

from netservices.runtime.unixpaths import SocketPath

if TYPE_CHECKING:
    from pathlib import Path

_PATIENCE = 30.0
"""Seconds a call may take; a reload waits for the disk."""


class NoAnswerError(Exception):
    """The daemon can't be reached; the text says where and why."""


class DaemonClient:
    """Calls methods of the daemon that has its control socket at ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def call(self, method: str, *parameters: object) -> object:
        """The method's result. Raises ``xmlrpc.client.Fault`` with what it was refused for, and ``NoAnswerError``."""
        proxy = xmlrpc.client.ServerProxy("http://control/", transport=_UnixTransport(self._path), allow_none=True)
        with proxy:
            try:
                function: Any = getattr(proxy, method)
                return function(*parameters)
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno else str(error)
                raise NoAnswerError(f"no daemon answers at {self._path}: {reason}") from error
            except (http.client.HTTPException, xmlrpc.client.ProtocolError, xmlrpc.client.ResponseError) as error:
                raise NoAnswerError(f"what answers at {self._path} is no netservices: {error}") from error


class _UnixTransport(xmlrpc.client.Transport):
    """Speaks to a file instead of a host."""

    def __init__(self, path: Path) -> None:
        super().__init__(use_builtin_types=True)
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ANN401 - the base class's type
        self._connection = (host, _UnixConnection(self._path))
        return self._connection[1]


class _UnixConnection(http.client.HTTPConnection):
    """An HTTP connection over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("control", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_PATIENCE)
        path = SocketPath(self._path)
        try:
            self.sock.connect(path.name)
        finally:
            path.close()
