"""The places of ``[log] to``, each behind the same few methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import DeferredList

from netservices.runtime.logs.formats import format_perror

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.defer import Deferred

    from netservices.runtime.logs.courier import Courier
    from netservices.runtime.logs.record import LogRecord
    from netservices.runtime.logs.writer import Writer


class Target(Protocol):
    """A place records are written to. Called on the reactor thread; nothing here blocks."""

    name: str

    def put(self, record: LogRecord) -> None:
        """Write it when its turn comes."""
        ...

    def start(self) -> None:
        """Begin; until then records wait."""
        ...

    def reopen(self) -> None:
        """Open files anew, look for what is gone."""
        ...

    def stop(self) -> Deferred[object]:
        """Write what waits, for a short time, then close."""
        ...

    def finish(self) -> None:
        """The reactor will not run any more: write what can be written without it. Blocks for a short time."""
        ...


class WriterTarget:
    """A file or stderr."""

    def __init__(self, name: str, writer: Writer, render: Callable[[LogRecord], bytes]) -> None:
        self.name = name
        self._writer = writer
        self._render = render

    def put(self, record: LogRecord) -> None:
        """Write it when its turn comes."""
        self._writer.put(self._render(record))

    def start(self) -> None:
        """Begin."""
        self._writer.start()

    def reopen(self) -> None:
        """Open the file anew."""
        self._writer.reopen()

    def stop(self) -> Deferred[object]:
        """Write what waits, then close."""
        return self._writer.stop().addCallback(lambda _: None)

    def finish(self) -> None:
        """Write what waits, without the reactor."""
        self._writer.finish()


class Console:
    """LOG_CONS of openlog(3): lines that can't be sent go to the system console."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer

    def show(self, lines: Sequence[bytes]) -> None:
        """Lines as they would have been sent."""
        for line in lines:
            # As syslog(3): without the priority, and the line ended for a terminal in raw mode.
            self.writer.put(line.partition(b">")[2].removeprefix(b"1 ") + b"\r\n")


class CourierTarget:
    """Syslog or the journal. ``now`` connects at the start; ``perror`` writes every line to stderr too."""

    def __init__(
        self, name: str, courier: Courier, render: Callable[[LogRecord], bytes], *, now: bool = False,
        console: Console | None = None, perror: Writer | None = None, process: Callable[[], str | None] = lambda: None,
    ) -> None:  # fmt: skip
        self.name = name
        self._courier = courier
        self._render = render
        self._now = now
        self._console = console
        self._perror = perror
        self._process = process

    def put(self, record: LogRecord) -> None:
        """Send it when its turn comes."""
        line = self._render(record)
        if self._perror is not None:
            self._perror.put(format_perror(record, self._process()))
        if self._console is not None and self._courier.away:
            self._console.show([line])
        self._courier.put(line)

    def start(self) -> None:
        """Begin, and connect if there is a reason."""
        for writer in self._writers():
            writer.start()
        self._courier.start(now=self._now)

    def reopen(self) -> None:
        """If the collector is gone, look for it now."""
        self._courier.retry()

    def stop(self) -> Deferred[object]:
        """Send what waits, then close."""
        stops: list[Deferred[object]] = [self._courier.stop().addCallback(lambda _: None)]
        stops += [writer.stop().addCallback(lambda _: None) for writer in self._writers()]
        return DeferredList(stops).addCallback(lambda _: None)

    def finish(self) -> None:
        """What goes to stderr and the console; a datagram has been sent already, or can't be."""
        for writer in self._writers():
            writer.finish()

    def _writers(self) -> list[Writer]:
        writers = [self._perror, self._console.writer if self._console is not None else None]
        return [writer for writer in writers if writer is not None]
