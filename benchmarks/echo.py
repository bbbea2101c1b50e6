"""Echo over TCP: 64 connections that exchange 64-byte messages, against xinetd, socat and ncat."""

from __future__ import annotations

import os
import pwd
import sys
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.measure import OURS, Outcome, Settings, VoidError, measure, run_client
from benchmarks.peers import (
    LIMITS,
    Field,
    Server,
    find_port,
    find_program,
    find_version,
    start_netservices,
    start_server,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TITLE = "Echo"
NOTE = (
    "A client of our own, in Python: each connection sends 64 bytes and waits until they are back. Where it is "
    "busy all the time, the figure is a lower bound. xinetd answers inside its one process; socat and ncat make a "
    "process for each connection."
)
CONNECTIONS = 64
SIZE = 64

OURS_CONFIG = f"""
[admission]
{LIMITS}
[services.echo]
listen = ["tcp:0:interface=127.0.0.1"]
"""

XINETD = """
defaults
{{
  instances = UNLIMITED
  per_source = UNLIMITED
  cps = 100000 1
}}
service echo
{{
  type = INTERNAL UNLISTED
  id = echo-stream
  socket_type = stream
  protocol = tcp
  bind = 127.0.0.1
  port = {port}
  user = {user}
  wait = no
  disable = no
}}
"""


def start_ours(directory: Path) -> Server:
    """Netservices with one echo section."""
    return start_netservices(directory / OURS, OURS_CONFIG, "echo")


def start_xinetd(directory: Path) -> Server:
    """The internal echo of xinetd."""
    program = find_program("xinetd")
    port = find_port()
    config = directory / "xinetd.conf"
    config.write_text(XINETD.format(port=port, user=pwd.getpwuid(os.getuid()).pw_name))
    argv = [program, "-dontfork", "-f", str(config), "-pidfile", str(directory / "xinetd.pid")]
    argv += ["-filelog", str(directory / "xinetd.log")]
    return start_server(argv, directory / "xinetd", {"tcp": port}, find_version("xinetd", program, "-version"))


def start_socat(directory: Path) -> Server:
    """An echo by socat with an unnamed pipe."""
    program = find_program("socat")
    port = find_port()
    argv = [program, f"TCP-LISTEN:{port},bind=127.0.0.1,fork,backlog=1024,nodelay", "PIPE"]
    version = find_version("socat", program, "-V")
    return start_server(argv, directory / "socat", {"tcp": port}, version)


def start_ncat(directory: Path) -> Server:
    """An echo by ncat with cat(1)."""
    program = find_program("ncat")
    port = find_port()
    argv = [program, "--listen", "--keep-open", "--max-conns", "4096", "--exec", "/bin/cat", "127.0.0.1", str(port)]
    return start_server(argv, directory / "ncat", {"tcp": port}, find_version("ncat", program, "--version"))


def sample(server: Server, seconds: float) -> float:
    """One run of the client: messages a second. Raises ``VoidError``."""
    numbers = [str(number) for number in (server.ports["tcp"], CONNECTIONS, SIZE, seconds)]
    output = run_client([sys.executable, "-m", "benchmarks.echo_client", *numbers], seconds + 60)
    try:
        count, took = output.split()
        return int(count) / float(took)
    except ValueError:
        raise VoidError(f"the client said {output!r}") from None


def run_benchmark(settings: Settings) -> Iterator[tuple[Outcome, dict[str, str]]]:
    """Measure all; the outcome with the contestants' versions."""
    with Field() as contestants:
        for name, starter in {
            OURS: start_ours,
            "xinetd": start_xinetd,
            "socat": start_socat,
            "ncat": start_ncat,
        }.items():
            contestants.start(name, partial(starter, settings.directory))
        samplers = {name: partial(sample, server, settings.seconds) for name, server in contestants.servers.items()}
        versions = {name: server.version for name, server in contestants.servers.items()}
        title = f"{SIZE} bytes back and forth, {CONNECTIONS} connections"
        yield measure(title, "messages/s", samplers, settings.rounds, contestants.absent), versions
