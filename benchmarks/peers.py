"""Starts and ends the servers that are measured; ours as the live tests start it."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from benchmarks.measure import OURS, pin_server
from tests.live.harness import DaemonProcess, NotReadyError, make_command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PATIENCE = 15.0
"""Seconds a server may take to start or to end."""

LIMITS = 'limits = { sessions = 100000, per_peer = 100000, rate = "10000000/1s" }\n'
"""Ours, set where no load reaches them; the peers get the like in their own words."""


class AbsentError(Exception):
    """A peer that cannot take part, and why."""


@dataclass
class Server:
    """A running server: the port of each scheme, and what version it is. ``stop`` ends it by its process id."""

    ports: dict[str, int]
    version: str
    stop: Callable[[], object]


@dataclass
class Field:
    """All contestants of a benchmark: those that run, and why the others do not. A context: leaving it ends them."""

    servers: dict[str, Server] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    def start(self, name: str, starter: Callable[[], Server]) -> None:
        """Start one, or note why it is absent."""
        try:
            server = starter()
        except AbsentError as error:
            self.absent[name] = str(error)
        else:
            self.servers[name] = server
            self._stack.callback(server.stop)

    def having(self, scheme: str) -> dict[str, Server]:
        """The running servers that offer the scheme."""
        return {name: server for name, server in self.servers.items() if scheme in server.ports}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def find_program(name: str) -> str:
    """Where the program is. Raises ``AbsentError``."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]))
    if found is None:
        raise AbsentError("not installed")
    return found


def find_version(name: str, *argv: str) -> str:
    """The name, and the first number with a point in it that the program prints when it is asked what it is."""
    output = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False
    ).stdout
    found = re.search(r"\d+(?:\.\d+)+", output.decode(errors="replace"))
    return f"{name} {found[0]}" if found else name


def find_end(log: str) -> str:
    """The last line of a log that says anything."""
    return next((line.strip() for line in reversed(log.splitlines()) if line.strip()), "said nothing")


def find_port() -> int:
    """A port of the loopback interface that is free now, for servers that cannot take port 0."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def start_server(argv: list[str], directory: Path, ports: Mapping[str, int], version: str) -> Server:
    """Start a program in the foreground and wait until every port answers. Raises ``AbsentError`` with its log."""
    directory.mkdir(exist_ok=True)
    output = directory / "output"
    with output.open("wb") as stream:
        process = subprocess.Popen(
            pin_server(argv),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        for port in ports.values():
            wait_port(port, process)
    except AbsentError as error:
        end_process(process)
        raise AbsentError(f"{error}: {find_end(output.read_text(errors='replace'))}") from None
    return Server(dict(ports), version, lambda: end_process(process))


def wait_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the port takes a connection. Raises ``AbsentError`` when the process ends or takes too long."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            try:
                status = process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
            raise AbsentError(f"ended at once with status {status}") from None
        else:
            return
    raise AbsentError(f"did not answer within {PATIENCE} s")


def end_process(process: subprocess.Popen[bytes]) -> None:
    """End a server, and its workers if it leaves any."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def start_netservices(directory: Path, config_text: str, section: str) -> Server:
    """Ours, with the ports of one section by scheme: ``tcp`` and ``tls``. Raises ``AbsentError`` with its log."""
    directory.mkdir(exist_ok=True)
    try:
        daemon = DaemonProcess(
            directory, config_text, command=lambda config: pin_server(make_command(config, flags=())), patience=PATIENCE
        )
    except NotReadyError as error:
        raise AbsentError(find_end(str(error))) from None
    ports = {("tls" if entry["tls"] else entry["transport"]): int(entry["port"]) for entry in daemon.listeners[section]}
    return Server(ports, f"{OURS} {find_package(OURS)}, Twisted {find_package('Twisted')}", daemon.stop)


def find_package(name: str) -> str:
    """The version of an installed Python package."""
    return importlib.metadata.version(name)


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A P-256 certificate for 127.0.0.1 and its key, which every contestant uses: two PEM files."""
    certificate, key = directory / "server.pem", directory / "server.key"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    argv += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-out", str(certificate)]
    subprocess.run([find_program(argv[0]), *argv[1:], "-keyout", str(key)], capture_output=True, check=True)
    return certificate, key


def find_twistd() -> list[str]:
    """The command line of this environment's twistd."""
    return [sys.executable, str(Path(sysconfig.get_path("scripts")) / "twistd"), "-n", "--pidfile="]
