"""Starts the daemon as its own process for a live test, and other programs beside it.

Live tests block, so they are ``SynchronousTestCase``. Nothing here waits without a bound, and no process outlives its
test.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.trial.unittest import SkipTest

from tests.run import STRICT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from twisted.trial.unittest import SynchronousTestCase

PATIENCE = 30.0
"""Seconds a start or an end may take on a slow and busy machine."""

FOREIGN = (
    "NETSERVICES_CONFIG",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
)
"""What the shell or the service manager around the tests would tell the daemon; it is none of its business."""


class NotReadyError(AssertionError):
    """The daemon ended, or took too long, before its listeners were open; carries its whole log."""


def make_command(config: Path | None, flags: Sequence[str] = STRICT) -> list[str]:
    """The command that starts the daemon in the foreground, the try-out without ``config``.

    ``flags`` are Python's, and make every warning an error.
    """
    twistd = Path(sysconfig.get_path("scripts")) / "twistd"
    command = [sys.executable, *flags, str(twistd), "-n", "--pidfile=", "netservices"]
    return command if config is None else [*command, "--config", str(config)]


def make_environ(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a program under test: ours, without what is meant for another daemon."""
    environ = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return environ | dict(extra or {})


class DaemonProcess:
    """A daemon that runs in ``directory`` and keeps its state below; without ``config_text`` it is the try-out.

    Made, it is ready: every listener is open. Raises ``NotReadyError``. Whoever makes it calls ``stop``.
    """

    def __init__(
        self,
        directory: Path,
        config_text: str | None,
        *,
        environ: Mapping[str, str] | None = None,
        command: Callable[[Path | None], list[str]] = make_command,
        patience: float = PATIENCE,
    ) -> None:
        self.directory = directory
        # The try-out keeps its state where it was started, and says so.
        self.state = directory / ("netservices-state" if config_text is None else "state")
        self.config = None if config_text is None else directory / "netservices.toml"
        self.output = directory / "output"
        if self.config is not None and config_text is not None:
            self.config.write_text(config_text)
        # Python's output is unbuffered so that the log is whole at any moment.
        given = make_environ({"STATE_DIRECTORY": str(self.state), "PYTHONUNBUFFERED": "1"} | dict(environ or {}))
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                command(self.config),
                cwd=directory,
                env=given,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # A group of its own, to be ended with its children, in the session of the suite, which ends with it.
                process_group=0,
            )
        try:
            self.listeners = self._wait_ready(patience)
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        return self.process.pid

    @property
    def authority(self) -> Path:
        """The certificate file of the local authority, for clients to trust."""
        return self.state / "tls" / "ca.pem"

    def _wait_ready(self, patience: float) -> dict[str, list[dict[str, Any]]]:
        end = time.monotonic() + patience
        while time.monotonic() < end:
            # A file of an earlier daemon in the same state has another process id; a file half written does not parse.
            try:
                written = json.loads((self.state / "listeners.json").read_text())
            except (FileNotFoundError, json.JSONDecodeError):
                written = {}
            if written.get("pid") == self.process.pid:
                services: dict[str, list[dict[str, Any]]] = written["services"]
                return services
            try:
                status = self.process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
            raise NotReadyError(f"the daemon ended with status {status} before it was ready:\n{self.log()}")
        raise NotReadyError(f"the daemon was not ready within {patience} s:\n{self.log()}")

    def reread(self) -> None:
        """Read the listeners again, after a reload."""
        self.listeners = json.loads((self.state / "listeners.json").read_text())["services"]

    def find_listener(self, service: str, transport: str) -> dict[str, Any]:
        """The section's first listener of that transport, named as in ``listen``: ``tcp tls udp unix``."""
        for listener in self.listeners.get(service, []):
            if transport == ("tls" if listener.get("tls") else listener["transport"]):
                return listener
        raise LookupError(f"{service} has no {transport} listener in {self.listeners}")

    def port(self, service: str, transport: str = "tcp") -> int:
        """The port that the section's first ``tcp``, ``tls`` or ``udp`` listener got."""
        return int(self.find_listener(service, transport)["port"])

    def url(self, service: str, path: str = "/", *, tls: bool = False) -> str:
        """The address of a page; ``path`` is already quoted."""
        listener = self.find_listener(service, "tls" if tls else "tcp")
        address = listener["address"]
        host = f"[{address}]" if ":" in address else address
        return f"{'https' if tls else 'http'}://{host}:{listener['port']}{path}"

    def log(self) -> str:
        """All that the daemon has written to stdout and stderr."""
        return self.output.read_text(errors="backslashreplace")

    def signal(self, number: signal.Signals) -> None:
        """Send the daemon a signal."""
        self.process.send_signal(number)

    def wait(self, patience: float = PATIENCE) -> int:
        """Wait for the daemon's end, which something else brings about; its exit status. Raises ``TimeoutExpired``."""
        return self.process.wait(patience)

    def stop(self, patience: float = PATIENCE) -> int:
        """End the daemon with SIGTERM, and with SIGKILL if it does not listen; its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(patience)
        self.kill()
        return self.process.returncode

    def kill(self) -> None:
        """End the daemon and its children at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Daemon(DaemonProcess):
    """A daemon for one test: its folder and its process are gone after it.

    A test that does not stop it has it stopped, and fails unless it ends with status 0. A test fails as well when the
    daemon wrote that an exception was ignored: a warning in a destructor has no other way to be an error. Give the
    ``directory`` of a daemon before it to start on the state that one left.
    """

    def __init__(
        self,
        testcase: SynchronousTestCase,
        config_text: str | None,
        *,
        directory: Path | None = None,
        environ: Mapping[str, str] | None = None,
        command: Callable[[Path | None], list[str]] = make_command,
        patience: float = PATIENCE,
    ) -> None:
        self._testcase = testcase
        super().__init__(
            directory or make_directory(testcase), config_text, environ=environ, command=command, patience=patience
        )
        testcase.addCleanup(self._finish)

    def _finish(self) -> None:
        ended = self.process.poll() is not None
        status = self.stop()
        if not ended and status != 0:
            self._testcase.fail(f"the daemon ended with status {status} on SIGTERM:\n{self.log()}")
        if "Exception ignored in" in self.log():
            self._testcase.fail(f"the daemon ignored an exception:\n{self.log()}")


def make_directory(testcase: SynchronousTestCase) -> Path:
    """A new folder that is removed after the test; its path is short enough for a Unix socket in it."""
    directory = Path(tempfile.mkdtemp(prefix="netservices-"))
    testcase.addCleanup(shutil.rmtree, directory, ignore_errors=True)
    return directory


def require(program: str) -> str:
    """Where the program is; the test is skipped when it is not installed."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    found = shutil.which(program, path=path)
    if found is None:
        raise SkipTest(f"{program} is not installed")
    return found


def run(
    *argv: str,
    input: bytes = b"",  # noqa: A002 - as subprocess.run has it
    timeout: float = PATIENCE,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end with ``input`` on stdin; its status, stdout and stderr. Raises ``TimeoutExpired``."""
    return subprocess.run(
        argv, input=input, timeout=timeout, env=make_environ(environ), cwd=cwd, capture_output=True, check=False
    )
