"""The start of the try-out configuration: CPU and time until every listener answers, and memory when idle."""

from __future__ import annotations

import os
import re
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import OURS, Outcome, Series, Settings, pin_server
from benchmarks.peers import PATIENCE, AbsentError, find_end, find_package
from tests.live.harness import DaemonProcess, NotReadyError, make_command

if TYPE_CHECKING:
    from collections.abc import Iterator

TITLE = "Start"
NOTE = (
    "`twistd -n netservices` with the try-out configuration, in a new state directory the first time, in the same one "
    "from then on. CPU is that of the process; memory is what is resident when all listeners have answered."
)


def read_cpu(pid: int) -> float:
    """Seconds of CPU the process and its ended children have used. proc(5): fields 14 to 17 of stat, in clock ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(number) for number in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def read_resident(pid: int) -> float:
    """MiB of memory that are resident. proc(5): VmRSS of status, in KiB."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def start_once(directory: Path) -> tuple[float, float, float]:
    """Start, connect to every stream listener, end: seconds of CPU, seconds, MiB. Raises ``AbsentError``."""
    began = time.perf_counter()
    try:
        daemon = DaemonProcess(
            directory, None, command=lambda config: pin_server(make_command(config, flags=())), patience=PATIENCE
        )
    except NotReadyError as error:
        raise AbsentError(find_end(str(error))) from None
    try:
        for listeners in daemon.listeners.values():
            for listener in listeners:
                if listener["transport"] == "tcp":
                    socket.create_connection((listener["address"], listener["port"]), PATIENCE).close()
        return read_cpu(daemon.pid), time.perf_counter() - began, read_resident(daemon.pid)
    finally:
        daemon.stop()


def run_benchmark(settings: Settings) -> Iterator[tuple[Outcome, dict[str, str]]]:
    """Measure first starts, and those that find their state. Raises ``AbsentError``, for one where a port is taken."""
    versions = {OURS: f"{OURS} {find_package(OURS)}, Twisted {find_package('Twisted')}"}
    names = (
        ("CPU until every listener answers", "s"),
        ("time until every listener answers", "s"),
        ("resident, idle", "MiB"),
    )
    first: list[tuple[float, float, float]] = []
    later: list[tuple[float, float, float]] = []
    for _ in range(settings.rounds):
        directory = Path(tempfile.mkdtemp(dir=settings.directory))
        first.append(start_once(directory))
        later.append(start_once(directory))
    for when, results in (("First start", first), ("Later start", later)):
        for (name, unit), values in zip(names, zip(*results, strict=True), strict=True):
            yield Outcome(f"{when}: {name}", unit, {OURS: Series(list(values))}), versions
