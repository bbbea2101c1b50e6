"""The ``[log]`` table to the observer that does what it says."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from netservices.runtime.logs.connect import connect_journal, make_connect
from netservices.runtime.logs.courier import Courier
from netservices.runtime.logs.formats import format_json, format_prefixed, format_text, make_syslog_format
from netservices.runtime.logs.journal import format_journal
from netservices.runtime.logs.observer import LogObserver
from netservices.runtime.logs.outputs import ConsoleOutput, FileOutput, StderrOutput
from netservices.runtime.logs.targets import Console, CourierTarget, Target, WriterTarget
from netservices.runtime.logs.watch import Watch
from netservices.runtime.logs.writer import Writer
from netservices.wire.syslog import LARGEST_DATAGRAM, LARGEST_STREAM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netservices.config import LogOptions
    from netservices.runtime.logs.reactors import LogReactor
    from netservices.runtime.logs.watch import Tell

_STDERR_QUEUE = 10_000
_CONSOLE_QUEUE = 1_000


@dataclass(frozen=True)
class Places:
    """Where the machine has what no option names."""

    journal: Path = Path("/run/systemd/journal/socket")
    console: Path = Path("/dev/console")
    stderr: int = 2
    """A descriptor."""


def make_log_observer(
    options: LogOptions, *, hostname: str, state: Path, interactive: bool, reactor: LogReactor,
    environment: Mapping[str, str], places: Places | None = None,
) -> LogObserver:  # fmt: skip
    """The observer of a whole process. ``interactive`` says that the daemon stays in the foreground (``twistd -n``).

    Raises ``ValueError`` or ``OSError`` if ``[log.syslog] authority`` has no certificate or can't be read.
    """
    places = places or Places()
    make = _TargetMaker(
        options, hostname=hostname, state=state, reactor=reactor, environment=environment, places=places
    )
    to = find_targets(options, interactive=interactive, environment=environment, journal=places.journal)

    def make_targets(tell: Tell) -> list[Target]:
        return [make.target(name, tell, to) for name in to]

    return LogObserver(reactor, options.level, make_targets, make.last_resort())


def find_targets(
    options: LogOptions, *, interactive: bool, environment: Mapping[str, str], journal: Path
) -> tuple[str, ...]:  # fmt: skip
    """The names of the targets, each once; what ``to`` left out means here."""
    if options.to is not None:
        return tuple(dict.fromkeys(options.to))
    if "JOURNAL_STREAM" in environment and _is_socket(journal):
        return ("journal",)
    return ("stderr",) if interactive else ("syslog",)


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


class _TargetMaker:
    """Makes each target of one ``[log]`` table."""

    def __init__(
        self, options: LogOptions, *, hostname: str, state: Path, reactor: LogReactor,
        environment: Mapping[str, str], places: Places,
    ) -> None:  # fmt: skip
        self._options = options
        self._hostname = hostname
        self._state = state
        self._reactor = reactor
        self._environment = environment
        self._places = places

    def target(self, name: str, tell: Tell, to: tuple[str, ...]) -> Target:
        """``name`` is one of those in ``to``."""
        match name:
            case "syslog":
                return self._syslog(tell, perror_too="stderr" not in to)
            case "journal":
                return self._journal(tell)
            case "stderr":
                return self._stderr(tell)
            case _:
                return self._file(tell)

    def last_resort(self) -> Target:
        """Where it is said that the only target is away."""
        return self._stderr(lambda _name, _record: None)

    def _file(self, tell: Tell) -> Target:
        options = self._options.file
        watch = Watch("file", format_json, tell)
        output = FileOutput(self._state / options.path)
        return WriterTarget("file", Writer(self._reactor, output, limit=options.queue, watch=watch), format_json)

    def _stderr(self, tell: Tell) -> Target:
        under_systemd = not self._environment.keys().isdisjoint({"JOURNAL_STREAM", "INVOCATION_ID"})
        render = format_prefixed if under_systemd else format_text
        return WriterTarget("stderr", self._stderr_writer(Watch("stderr", render, tell)), render)

    def _stderr_writer(self, watch: Watch) -> Writer:
        return Writer(self._reactor, StderrOutput(self._places.stderr), limit=_STDERR_QUEUE, watch=watch)

    def _journal(self, tell: Tell) -> Target:
        render = partial(format_journal, facility=self._options.facility)
        connect = partial(connect_journal, self._reactor, str(self._places.journal))
        watch = Watch("journal", render, tell)
        courier = Courier(self._reactor, connect, limit=self._options.syslog.queue, watcher=watch)
        return CourierTarget("journal", courier, render)

    def _syslog(self, tell: Tell, *, perror_too: bool) -> Target:
        options = self._options.syslog
        transport = options.address.transport
        with_pid = "pid" in options.options

        def process() -> str | None:
            return str(os.getpid()) if with_pid else None

        render = make_syslog_format(
            options.format or ("rfc3164" if transport == "unix" else "rfc5424"),
            hostname=self._hostname,
            facility=self._options.facility,
            process=process,
            limit=LARGEST_DATAGRAM if transport == "udp" else LARGEST_STREAM,
            local=transport == "unix",
        )
        console = None
        if "cons" in options.options:
            watch = Watch("console", render, tell)
            output = ConsoleOutput(self._places.console)
            console = Console(Writer(self._reactor, output, limit=_CONSOLE_QUEUE, watch=watch))
        # Where stderr is a target of its own, it has every line already.
        perror = None
        if "perror" in options.options and perror_too:
            perror = self._stderr_writer(Watch("stderr", format_text, tell))
        watch = Watch("syslog", render, tell, console.show if console is not None else None)
        connect = make_connect(self._reactor, options.address, options.authority)
        courier = Courier(self._reactor, connect, limit=options.queue, watcher=watch)
        now = "ndelay" in options.options
        return CourierTarget(
            "syslog", courier, render, now=now, console=console, perror=perror, process=process
        )  # fmt: skip
