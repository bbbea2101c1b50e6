"""Links over datagram sockets: the local syslog socket, UDP, and the journal's socket."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from typing import TYPE_CHECKING

from twisted.internet.defer import succeed
from twisted.internet.interfaces import IWriteDescriptor
from zope.interface import implementer

from netservices.runtime.logs.courier import Written

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from netservices.runtime.logs.courier import Courier
    from netservices.runtime.logs.reactors import LogReactor

# The kernel is short of buffers and does not tell when it has some again.
_RETRY_SECONDS = 0.05


@implementer(IWriteDescriptor)
class DatagramLink:
    """A connected, non-blocking datagram socket, which the link owns. One line is one datagram."""

    def __init__(self, reactor: LogReactor, sock: socket.socket, courier: Courier) -> None:
        self._reactor = reactor
        self._socket = sock
        self._courier = courier
        self._timer: IDelayedCall | None = None

    def write(self, line: bytes) -> Written:
        """Raises ``OSError`` if nobody reads the socket any more."""
        try:
            self._transmit(line)
        except BlockingIOError:
            self._reactor.addWriter(self)
            return Written.FULL
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                return Written.TOO_LARGE
            if error.errno == errno.ENOBUFS:
                self._timer = self._reactor.callLater(_RETRY_SECONDS, self._courier.writable)
                return Written.FULL
            raise
        return Written.TAKEN

    def close(self) -> Deferred[None]:
        """What was taken is with the kernel already."""
        self.abort()
        return succeed(None)

    def abort(self) -> None:
        """Close now."""
        if self._socket.fileno() < 0:
            return
        self._reactor.removeWriter(self)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._socket.close()

    def fileno(self) -> int:
        """For the reactor."""
        return self._socket.fileno()

    def doWrite(self) -> None:
        """For the reactor: there is room again."""
        self._reactor.removeWriter(self)
        self._courier.writable()

    def connectionLost(self, reason: Failure) -> None:
        """For the reactor: the socket is in error."""
        self._courier.lost(reason.getErrorMessage())

    def logPrefix(self) -> str:
        """For the reactor's own events."""
        return "log"

    def _transmit(self, line: bytes) -> None:
        self._socket.send(line)


class JournalLink(DatagramLink):
    """The journal's socket: an entry that is too large for a datagram goes as a sealed file in memory.

    Source: systemd.io/JOURNAL_NATIVE_PROTOCOL.
    """

    def _transmit(self, line: bytes) -> None:
        try:
            self._socket.send(line)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
            self._transmit_file(line)

    def _transmit_file(self, line: bytes) -> None:
        descriptor = os.memfd_create("netservices-log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            left = memoryview(line)
            while left:
                left = left[os.write(descriptor, left) :]
            # The journal takes only a file that nobody can change while it reads.
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
            socket.send_fds(self._socket, [b""], [descriptor])
        finally:
            os.close(descriptor)
