"""A bound ``listen`` entry, and what it leads to."""

from __future__ import annotations

import contextlib
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from twisted.internet import tcp, unix
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.protocol import DatagramProtocol, ServerFactory
from twisted.logger import LogLevel

from netservices.config import UnixListen
from netservices.daemon.gate import Door, Gate
from netservices.runtime import Address, Event
from netservices.runtime.transport import TcpSessionTransport, UnixSessionTransport

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IListeningPort, IReactorSocket, IUDPTransport
    from twisted.python.failure import Failure

    from netservices.config import Listen
    from netservices.daemon.section import Section
    from netservices.daemon.sockets import BoundSocket

LISTENER_BOUND = Event(
    "daemon.listener.bound",
    LogLevel.info,
    "{service} listens on {address} ({listen})",
    "The service is reached at this address from now on.",
)
LISTENER_CLOSED = Event(
    "daemon.listener.closed",
    LogLevel.info,
    "{service} no longer listens on {address} ({listen})",
    "Nothing is accepted at this address any more; sessions that are open go on.",
)
DATAGRAM_FAILED = Event(
    "daemon.datagram.failed",
    LogLevel.critical,
    "{service} met a bug in a datagram from {peer}: {log_failure.value}",
    "The service's code raised what it should have handled. The datagram was dropped and the daemon goes on; please "
    "report it with the traceback.",
)
DATAGRAMS_REFUSED = Event(
    "daemon.datagram.refused",
    LogLevel.critical,
    "{service} met a bug while its answering of datagrams began or ended: {log_failure.value}",
    "The service's code raised what it should have handled. If it began, the service answers no datagrams; everything "
    "else goes on. Please report it with the traceback.",
)

_LARGEST_DATAGRAM = 65_535


class _GateFactory(ServerFactory):
    """A gate for every connection."""

    noisy = False

    def __init__(self, door: Door) -> None:
        self._door = door

    def buildProtocol(self, addr: IAddress | None) -> Gate:  # noqa: ARG002 - Twisted's signature
        return Gate(self._door)


class _DatagramGate(DatagramProtocol):
    """Hands on what admission lets in."""

    noisy = False

    def __init__(self, door: Door) -> None:
        self._door = door
        self._section: Section | None = None
        self._inner: DatagramProtocol | None = None

    def startProtocol(self) -> None:
        self.swapped()

    def swapped(self) -> None:
        """Another section is behind the door."""
        if self._section is self._door.section:
            return
        self.stopProtocol()
        self._section = self._door.section
        try:
            inner = self._section.parts.datagrams[self._door.option]()
            inner.makeConnection(cast("IUDPTransport", self.transport))
        except Exception:  # noqa: BLE001 - whatever a service raises costs it its datagrams, and no reload
            self._section.log.failure(DATAGRAMS_REFUSED)
            return
        self._inner = inner

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        section = self._door.section
        if self._inner is None:
            return
        if not section.admission.admit_datagram(Address(addr[0].partition("%")[0], addr[1])):
            section.metrics.refused("datagram")
            return
        try:
            self._inner.datagramReceived(datagram, addr)
        except OSError:
            # The answer can't be sent: no route, a full buffer. Datagrams may be lost.
            return
        except Exception:  # noqa: BLE001 - whatever a service raises costs it one datagram
            section.metrics.failed()
            section.log.failure(DATAGRAM_FAILED, peer=str(Address(*addr)))

    def stopProtocol(self) -> None:
        inner, self._inner = self._inner, None
        if inner is not None:
            try:
                inner.doStop()
            except Exception:  # noqa: BLE001 - as above
                self._door.section.log.failure(DATAGRAMS_REFUSED)


class ReadingPort(Protocol):
    """What every port of Twisted's has besides its interface."""

    def stopReading(self) -> None:
        """Accept nothing until ``startReading``."""

    def startReading(self) -> None:
        """Accept again."""


class _UnixPort(unix.Port):
    """Leaves the socket's file to whoever bound it: to us, or to the service manager."""

    def connectionLost(self, reason: Failure) -> None:
        tcp.Port.connectionLost(self, reason)


class Listener:
    """One entry's sockets, adopted by the reactor. ``swap`` puts another section behind them without a gap."""

    def __init__(self, door: Door, sockets: list[BoundSocket]) -> None:
        self.door = door
        self.sockets = sockets
        self._ports: list[IListeningPort] = []
        self._datagrams: list[_DatagramGate] = []

    @property
    def addresses(self) -> list[Address]:
        """Where it is reached."""
        return [bound.address for bound in self.sockets]

    def start(self, reactor: IReactorSocket) -> None:
        """Accept from now on, once the reactor runs."""
        for bound in self.sockets:
            self._configure(bound)
            self._ports.append(self._adopt(reactor, bound))
            self.door.section.log.emit(LISTENER_BOUND, address=str(bound.address), listen=str(self.door.entry))

    def _adopt(self, reactor: IReactorSocket, bound: BoundSocket) -> IListeningPort:
        descriptor, family = bound.socket.fileno(), bound.socket.family
        if not bound.is_stream:
            gate = _DatagramGate(self.door)
            self._datagrams.append(gate)
            return reactor.adoptDatagramPort(descriptor, family, gate, maxPacketSize=_LARGEST_DATAGRAM)
        if family == socket.AF_UNIX:
            # The reactor's own way to adopt one makes a port that removes the file, the service manager's too.
            unix_port: _UnixPort = _UnixPort._fromListeningDescriptor(reactor, descriptor, _GateFactory(self.door))  # noqa: SLF001
            # Twisted sets the file's mode when it begins to listen: to what it is.
            unix_port.mode = _find_mode(bound.address.path)
            unix_port.startListening()
            unix_port.transport = UnixSessionTransport
            return unix_port
        port = cast("tcp.Port", reactor.adoptStreamPort(descriptor, family, _GateFactory(self.door)))
        # Documented on tcp.Port as the place for another class of accepted transports.
        port.transport = TcpSessionTransport
        return port

    def _configure(self, bound: BoundSocket) -> None:
        """Linux hands these options on from the listening socket to every one accepted from it."""
        if bound.is_stream and bound.socket.family != socket.AF_UNIX:
            bound.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            bound.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, self.door.section.options.keepalive)

    def swap(self, section: Section, option: str, entry: Listen) -> None:
        """From the next connection or datagram on, ``section`` answers."""
        self.door.section, self.door.option, self.door.entry = section, option, entry
        for bound in self.sockets:
            self._configure(bound)
            if isinstance(entry, UnixListen):
                # Somebody may have removed the file; whoever is connected goes on.
                with contextlib.suppress(OSError):
                    Path(entry.path).chmod(entry.mode)
        for gate in self._datagrams:
            gate.swapped()

    def pause(self) -> None:
        """Leave new connections and datagrams waiting in the kernel, as many as it keeps."""
        for port in self._ports:
            cast("ReadingPort", port).stopReading()

    def resume(self) -> None:
        """Take what has waited, and what comes."""
        for port in self._ports:
            cast("ReadingPort", port).startReading()

    def discard(self) -> None:
        """Close the sockets of a listener that was never started."""
        for bound in self.sockets:
            bound.close()

    def stop(self) -> Deferred[None]:
        """Accept nothing more; fires when the sockets are closed."""
        ports, self._ports = self._ports, []
        for bound in self.sockets:
            bound.close()
            self.door.section.log.emit(LISTENER_CLOSED, address=str(bound.address), listen=str(self.door.entry))
        self._datagrams.clear()
        return gatherResults([maybeDeferred(port.stopListening) for port in ports]).addCallback(lambda _closed: None)


def _find_mode(path: str) -> int:
    try:
        return stat.S_IMODE(Path(path).stat().st_mode)
    except (OSError, ValueError):
        # The service manager's socket may have no file: unix(7), an abstract name begins with NUL.
        return 0o600


EVENTS = (LISTENER_BOUND, LISTENER_CLOSED, DATAGRAM_FAILED, DATAGRAMS_REFUSED)
