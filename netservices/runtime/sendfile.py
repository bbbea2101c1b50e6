"""Sends a part of an open file to a peer: by sendfile(2) where the kernel can, by reading and writing where it cannot.

A read from the disk may take any time, and sendfile(2) would take it in the reactor's thread. So each chunk is first
probed with RWF_NOWAIT, which says at once whether the page cache has it; if not, a file thread reads it there, and the
reactor goes on with others meanwhile. The probe looks at one page in sixteen. The kernel reads and drops pages in runs,
so that a hole between two of them is rare, and costs one small read.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from twisted.internet import tcp
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IPullProducer, IPushProducer, ISSLTransport
from zope.interface import implementer

from netservices.runtime.files import PoolFull
from netservices.runtime.transport import ISessionTransport, is_plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Concatenate, ParamSpec

    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from netservices.runtime.files import FilePool
    from netservices.runtime.transport import StreamTransport

    P = ParamSpec("P")

T = TypeVar("T")

_CHUNK = 1 << 20
"""Bytes for one sendfile(2): what a fast connection takes in well under a millisecond."""
_AHEAD = 4 << 20
"""Bytes the kernel is asked to read while the first of them are sent."""
_PIECE = 256 << 10
"""Bytes for one read, where bytes are copied."""
_STRIDE = 64 << 10
_RETRY = 0.05
"""Seconds after which the file threads are asked again when they had too much to do."""


class FileShrank(Exception):  # noqa: N818 - says what happened to the file
    """The file ended before the part that was promised did. The connection was aborted: no short body looks whole."""


class Sender(Protocol):
    """One transfer."""

    def start(self) -> Deferred[None]:
        """Begin; fires when the transport has taken everything.

        Fails with ``ConnectionLost`` when the connection ends first, and with ``FileShrank`` or ``OSError`` after
        aborting the connection. Cancelling it aborts the connection too.
        """


def can_sendfile(transport: object) -> bool:
    """Whether bytes put into the transport's socket are what the peer gets: a plain stream, and no TLS on it."""
    return isinstance(transport, tcp.Server) and not ISSLTransport.providedBy(transport)


def make_sender(
    transport: StreamTransport,
    fd: int,
    offset: int,
    count: int,
    *,
    files: FilePool,
    clock: IReactorTime,
    sent: Callable[[int], object] | None = None,
) -> Sender:
    """The fastest way to send ``count`` bytes from ``offset`` on after all that was written to the transport before.

    ``fd`` stays the caller's, who closes it when the Deferred has fired. The transport must have no producer, and
    nobody may write to it meanwhile. ``sent`` is called with each number of bytes the transport has taken. A session's
    own count is kept either way.
    """
    kind = SendfileProducer if can_sendfile(transport) else CopyProducer
    return kind(transport, fd, offset, count, files=files, clock=clock, sent=sent)


class _Descriptor(Protocol):
    """What Twisted's plain stream transports have besides."""

    def fileno(self) -> int: ...
    def startWriting(self) -> None: ...


class _Transfer(ABC):
    """What both ways have in common: where it is, how it ends, and reads in a file thread."""

    _streaming: bool

    def __init__(
        self,
        transport: StreamTransport,
        fd: int,
        offset: int,
        count: int,
        *,
        files: FilePool,
        clock: IReactorTime,
        sent: Callable[[int], object] | None = None,
    ) -> None:
        self._transport = transport
        self._fd = fd
        self._offset = offset
        self._left = count
        self._files = files
        self._clock = clock
        self._sent = sent
        self._deferred: Deferred[None] = Deferred(self._cancelled)
        self._done = False
        self._busy = False
        """A file thread is reading."""

    def start(self) -> Deferred[None]:
        if self._left == 0:
            return succeed(None)
        self._transport.registerProducer(self, self._streaming)
        return self._deferred

    def stopProducing(self) -> None:
        """The connection is gone."""
        if not self._done:
            self._done = True
            self._deferred.errback(ConnectionLost(f"{self._left} bytes were left to be sent"))

    def _advance(self, count: int) -> None:
        self._offset += count
        self._left -= count
        if self._sent is not None:
            self._sent(count)
        if self._done:
            # What was just called has aborted the connection.
            return
        if self._left:
            self._again()
        else:
            self._finish()

    def _finish(self) -> None:
        self._done = True
        self._transport.unregisterProducer()
        self._deferred.callback(None)

    def _fail(self, error: Exception) -> None:
        self._done = True
        self._transport.abortConnection()
        self._deferred.errback(error)

    def _cancelled(self, _: Deferred[None]) -> None:
        self._done = True
        self._transport.abortConnection()

    def _in_thread(
        self, function: Callable[Concatenate[int, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T] | None:
        """Call ``function`` with the file's descriptor in a thread, or None after failing for want of a descriptor.

        It gets one of its own: the caller's may be closed, and its number used anew, before the thread is done.
        """
        try:
            own = os.dup(self._fd)
        except OSError as error:
            self._fail(error)
            return None
        self._busy = True
        deferred = self._files.run(function, own, *args, **kwargs)
        deferred.addBoth(self._read_ended, own)
        return deferred

    def _read_ended(self, result: T, own: int) -> T:
        self._busy = False
        os.close(own)
        return result

    def _read_failed(self, failure: Failure) -> None:
        if self._done:
            return
        if failure.check(PoolFull) is not None:
            self._clock.callLater(_RETRY, self._again)
        else:
            self._fail(cast("Exception", failure.value))

    @abstractmethod
    def _again(self) -> None:
        """Go on with what is left, unless there is a reason to wait."""


@implementer(IPullProducer)
class SendfileProducer(_Transfer):
    """Sends by sendfile(2), with nothing but public ways of Twisted's transports.

    The transport asks for more when its own buffer is empty and the socket is writable; that is when a chunk goes out,
    and ``startWriting`` has it ask again.
    """

    _streaming = False
    _begun = False
    _cached = 0
    """The page cache has everything from ``_offset`` to here, as far as is known."""

    def resumeProducing(self) -> None:
        if self._done or self._busy:
            return
        if not self._begun:
            # This is registerProducer, which asks at once; what was written before may still be in the buffer.
            self._begun = True
            self._again()
            return
        count = min(_CHUNK, self._left)
        if self._is_cached(count):
            self._send(count)
            return
        loaded = self._in_thread(_load, self._offset, count, min(_AHEAD, self._left))
        if loaded is not None:
            loaded.addCallbacks(self._loaded, self._read_failed, callbackArgs=(self._offset + count,))

    def _again(self) -> None:
        if not self._done:
            self._descriptor.startWriting()

    @property
    def _descriptor(self) -> _Descriptor:
        return cast("_Descriptor", self._transport)

    def _is_cached(self, count: int) -> bool:
        start, stop = max(self._cached, self._offset), self._offset + count
        if start < stop:
            probe = bytearray(1)
            try:
                for position in (*range(start, stop, _STRIDE), stop - 1):
                    os.preadv(self._fd, [probe], position, os.RWF_NOWAIT)
            except OSError:
                # EAGAIN: not there. EOPNOTSUPP: the file system cannot say. A broken disk shows in the thread.
                return False
            self._cached = stop
        return True

    def _loaded(self, _: None, stop: int) -> None:
        self._cached = stop
        self._again()

    def _send(self, count: int) -> None:
        try:
            sent = os.sendfile(self._descriptor.fileno(), self._fd, self._offset, count)
        except BlockingIOError:
            self._again()
            return
        except ConnectionError as error:
            self._fail(ConnectionLost(str(error)))
            return
        except OSError as error:
            self._fail(error)
            return
        if sent == 0:
            self._fail(FileShrank(f"{self._left} bytes are missing"))
            return
        if is_plain(self._transport):
            cast("ISessionTransport", self._transport).count_sent(sent)
        self._advance(sent)


@implementer(IPushProducer)
class CopyProducer(_Transfer):
    """Reads in a file thread and writes to the transport, for TLS and whatever else wraps a connection."""

    _streaming = True
    _paused = False

    def start(self) -> Deferred[None]:
        deferred = super().start()
        self._again()
        return deferred

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._again()

    def _again(self) -> None:
        if self._done or self._busy or self._paused or not self._left:
            return
        read = self._in_thread(_read, self._offset, min(_PIECE, self._left))
        if read is not None:
            read.addCallbacks(self._write, self._read_failed)

    def _write(self, data: bytes) -> None:
        if self._done:
            return
        if not data:
            self._fail(FileShrank(f"{self._left} bytes are missing"))
            return
        self._transport.write(data)
        self._advance(len(data))


def _load(fd: int, offset: int, count: int, ahead: int) -> None:
    """Wait until the page cache has ``count`` bytes, and have it go on to ``ahead``. Runs in a file thread."""
    os.posix_fadvise(fd, offset, ahead, os.POSIX_FADV_WILLNEED)
    buffer = bytearray(_PIECE)
    stop = offset + count
    while offset < stop:
        read = os.preadv(fd, [memoryview(buffer)[: stop - offset]], offset)
        if read == 0:
            # It has shrunk; sendfile(2) will find the same.
            return
        offset += read


def _read(fd: int, offset: int, count: int) -> bytes:
    return os.pread(fd, count, offset)
