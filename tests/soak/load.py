"""Load on a daemon: clients that go on until they are told to stop, and what the daemon holds meanwhile."""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tests.live.clients import (
    TlsClient,
    ask,
    connect,
    count_descriptors,
    count_threads,
    exchange,
    make_config,
    make_context,
    read_resident,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from tests.live.harness import DaemonProcess

OPEN_LIMITS = 'limits = { rate = "1000000/s", sessions = 20000, per_peer = 20000 }'
"""Limits that no test reaches."""


def make_open_config(root: Path, *, access_log: bool = True) -> str:
    """An echo and a web section without limits to speak of."""
    return make_config(OPEN_LIMITS, root=root, access_log=access_log) + OPEN_LIMITS + "\n"


@dataclass(frozen=True)
class Holdings:
    """What a process holds at one moment; memory in octets."""

    resident: int
    descriptors: int
    threads: int


def read_holdings(daemon: DaemonProcess) -> Holdings:
    """What the daemon holds now."""
    return Holdings(read_resident(daemon.pid), count_descriptors(daemon.pid), count_threads(daemon.pid))


def make_turns(daemon: DaemonProcess, target: str, content: bytes) -> list[Callable[[], bool]]:
    """Short sessions of every sort; each says whether the daemon did as it should."""
    context = make_context(daemon.authority)

    def echo() -> bool:
        return exchange(daemon, "echo", b"hello" * 100) == b"hello" * 100

    def echo_over_tls() -> bool:
        with TlsClient(connect(daemon, "echo", "tls"), context) as client:
            client.send(b"hello" * 100)
            client.say_all()
            return client.read_to_end() == b"hello" * 100

    def web() -> bool:
        return ask(daemon, target).body == content

    def web_over_tls() -> bool:
        with TlsClient(connect(daemon, "web", "tls"), context) as client:
            client.send(f"GET {target} HTTP/1.0\r\n\r\n".encode())
            return client.read_to_end().endswith(content)

    return [echo, web, echo_over_tls, web, web_over_tls, web]


class Load:
    """``count`` threads that take turns until the ``with`` block ends; whoever fails is noted, not raised.

    Once ``forgiving`` is set, because the daemon is about to be killed, whatever goes wrong is nobody's fault.
    """

    def __init__(self, turns: list[Callable[[], bool]], count: int = 4) -> None:
        self._turns = turns
        self.forgiving = False
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(count)]
        self._lock = threading.Lock()
        self.done = 0
        """Turns that went well."""
        self.failed: list[str] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        while not self._over.is_set():
            number += 1
            turn = self._turns[number % len(self._turns)]
            try:
                good, said = turn(), "a wrong answer"
            except (OSError, AssertionError, ssl.SSLError) as error:
                good, said = False, repr(error)
            with self._lock:
                if good:
                    self.done += 1
                elif not self.forgiving and len(self.failed) < 20:
                    self.failed.append(f"{turn.__name__}: {said}")
            if not good:
                # The daemon may be away: not so often, then.
                self._over.wait(0.01)
