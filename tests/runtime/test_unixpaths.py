"""Sockets whose paths are longer than the kernel takes."""

from __future__ import annotations

import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.unixpaths import SocketPath


class SocketPathTests(SynchronousTestCase):
    """Short names for deep places."""

    def test_short_path_is_its_own_name(self) -> None:
        path = SocketPath("/run/x")
        self.assertEqual(path.name, "/run/x")
        path.close()

    def test_deep_socket_is_bound_and_reached(self) -> None:
        deep = Path(self.mktemp()).absolute() / ("d" * 100) / ("e" * 100)
        deep.mkdir(parents=True)
        ours, theirs = SocketPath(deep / "control"), SocketPath(deep / "control")
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
            server.bind(ours.name)
            server.listen()
            client.connect(theirs.name)
        self.assertTrue((deep / "control").is_socket())

    def test_missing_folder_is_told(self) -> None:
        self.assertRaises(FileNotFoundError, SocketPath, "/nosuch" + "/deep" * 30)
