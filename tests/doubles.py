"""What tests stand in for the world with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.logger import ILogObserver
from twisted.python.failure import Failure
from zope.interface import implementer

from netservices.config import Timeouts
from netservices.runtime import Address, EventLog, Runtime, Session
from netservices.runtime.connect import Connector
from netservices.runtime.files import ImmediateFiles
from netservices.runtime.metrics import Metrics

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.logger import LogEvent


@implementer(ILogObserver)
class RecordedEvents:
    """An observer that keeps every event."""

    def __init__(self) -> None:
        self.events: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        self.events.append(event)

    def named(self, name: str) -> list[dict[str, object]]:
        """Those of one name, in order."""
        return [dict(event) for event in self.events if event.get("event") == name]


class FakeTransport(StringTransportWithDisconnection):
    """A connection in memory, with what the gate and services use of ours."""

    def __init__(self, peer: tuple[str, int] = ("192.0.2.7", 4000), local: tuple[str, int] = ("192.0.2.1", 7)) -> None:
        super().__init__(hostAddress=IPv4Address("TCP", *local), peerAddress=IPv4Address("TCP", *peer))
        self.session: Session | None = None
        self.counting = True
        self.half_closed = False
        self.aborted = False

    def stop_counting(self) -> None:
        self.counting = False

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def abortConnection(self) -> None:
        self.aborted = True
        self.loseConnection()

    def loseConnection(self) -> None:
        """Closes at once, as a peer that takes everything would make it."""
        self.disconnecting = True
        self.disconnected = True
        if self.connected:
            self.connected = False
            self.protocol.connectionLost(Failure(ConnectionDone()))

    def hang_up(self, failure: Exception | None = None) -> None:
        """The peer is gone."""
        self.connected = False
        self.protocol.connectionLost(Failure(failure or ConnectionDone()))


class FakeDatagrams:
    """A datagram socket in memory."""

    def __init__(self, local: tuple[str, int] = ("192.0.2.1", 7)) -> None:
        self.written: list[tuple[bytes, object]] = []
        self._local = IPv4Address("UDP", *local)

    def getHost(self) -> IPv4Address:
        return self._local

    def write(self, datagram: bytes, addr: object = None) -> None:
        self.written.append((datagram, addr))


def make_session(clock: Clock, log: EventLog | None = None) -> Session:
    """An open session with the built-in timeouts. Whoever makes it ends it, or cancels its deadlines."""
    return Session(
        "test-1",
        "test",
        peer=Address("192.0.2.7", 4000),
        local=Address("192.0.2.1", 7),
        clock=cast("IReactorTime", clock),
        timeouts=Timeouts(),
        log=log or EventLog(RecordedEvents()),
    )


def make_runtime(**replacing: object) -> Runtime:
    """What a section is lent, with a fake clock, no threads and a log that goes nowhere."""
    lent: dict[str, Any] = {
        "service": "test",
        "hostname": "host.example.org",
        "state": Path("state"),
        "clock": Clock(),
        "log": EventLog(RecordedEvents()),
        "files": ImmediateFiles(),
        "datagram_addresses": list,
        "metrics": Metrics(),
        "list_unready": list,
        "connect": Connector(Clock(), ImmediateFiles()),
        "accounts": None,
        "portal": None,
    }
    return Runtime(**{**lent, **replacing})
