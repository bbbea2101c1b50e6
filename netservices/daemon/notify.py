"""What the service manager is told (sd_notify(3)), and the beat by which it knows that we live (its watchdog)."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING

from twisted.internet.task import LoopingCall

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    from twisted.internet.interfaces import IReactorTime

_OURS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")

# A status is shown on one line of `systemctl status`.
_LONGEST = 1000


def take_environment(environment: MutableMapping[str, str]) -> dict[str, str]:
    """Take what is meant for this process alone out of ``environment``, so that no program we run speaks for us."""
    return {name: environment.pop(name) for name in _OURS if name in environment}


def find_watchdog(environment: Mapping[str, str], pid: int) -> float | None:
    """sd_watchdog_enabled(3): how many seconds we may be silent; None when nobody listens, or not to us."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    if environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    if not (microseconds.isascii() and microseconds.isdigit()) or len(microseconds) > 18 or int(microseconds) == 0:
        return None
    return int(microseconds) / 1e6


class Notifier:
    """Tells the service manager how it goes. Without one, nothing happens; nothing that goes wrong here hurts.

    ``environment`` is what the process was started with, ``pid`` the process itself; ``monotonic`` is CLOCK_MONOTONIC
    in nanoseconds. Whoever makes it calls ``close``.
    """

    def __init__(
        self, environment: Mapping[str, str], *, clock: IReactorTime, pid: int,
        monotonic: Callable[[], int] = time.monotonic_ns,
    ) -> None:  # fmt: skip
        self._pid = pid
        self._monotonic = monotonic
        self._address = _parse_address(environment.get("NOTIFY_SOCKET", ""))
        self._watchdog = find_watchdog(environment, pid) if self._address is not None else None
        self._socket: socket.socket | None = None
        self._beat = LoopingCall(self._tell, "WATCHDOG=1")
        self._beat.clock = clock

    @property
    def period(self) -> float | None:
        """Seconds between two beats: half of what the service manager allows, as it recommends."""
        return None if self._watchdog is None else self._watchdog / 2

    def ready(self, status: str = "") -> None:
        """Everything is bound and answers; also at the end of a reload, whether it was taken over or refused."""
        self._tell("READY=1", f"MAINPID={self._pid}", *_say_status(status))
        if self.period is not None and not self._beat.running:
            # The first beat is sent at once.
            self._beat.start(self.period)

    def status(self, text: str) -> None:
        """How it goes, in one line."""
        self._tell(*_say_status(text))

    def reloading(self) -> None:
        """A reload begins; ``ready`` ends it."""
        # sd_notify(3): the manager tells by the time that this is the reload it asked for.
        self._tell("RELOADING=1", f"MONOTONIC_USEC={self._monotonic() // 1000}", "STATUS=Reloading")

    def stopping(self, patience: float) -> None:
        """The end begins, and takes at most ``patience`` seconds."""
        # A margin for what comes after the sessions: workers, stores, the log.
        self._tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int((patience + 10) * 1e6)}", "STATUS=Stopping")

    def close(self) -> None:
        """Say nothing more."""
        if self._beat.running:
            self._beat.stop()
        self._address = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _tell(self, *lines: str) -> None:
        if self._address is None or not lines:
            return
        # A manager that is slow, gone or never was there is no reason to wait, or to end.
        with contextlib.suppress(OSError):
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
            self._socket.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)


def _parse_address(text: str) -> str | None:
    """sd_notify(3): a path, or ``@`` and a name that no file has; None for anything else."""
    if text.startswith("/"):
        return text
    return f"\0{text[1:]}" if text.startswith("@") and len(text) > 1 else None


def _say_status(text: str) -> list[str]:
    return [f"STATUS={' '.join(text.split())[:_LONGEST]}"] if text else []
