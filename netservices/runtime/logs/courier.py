"""Carries lines from the reactor thread to a collector that may be slow, full or gone.

A ``Link`` is one open way to the collector. The courier opens links, keeps what a link can't take in a bounded queue,
and waits longer and longer between attempts. What does not fit is counted, the newest first to go: the start of a flood
tells most, and the count then stands exactly where the gap is.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.error import TimeoutError as ReactorTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IDelayedCall, IReactorTime
    from twisted.python.failure import Failure

FLUSH_SECONDS = 2.0
"""How long a target may take, when the daemon stops, for what it has not yet written."""
CONNECT_SECONDS = 15.0
"""How long one attempt may take, name and TLS handshake included."""
STEADY_SECONDS = 1.0
"""How long a link must last before the target counts as back: UDP takes one line before it says that nobody listens."""
_SHORTEST_PAUSE = 0.25
_LONGEST_PAUSE = 30.0
# At about 10 µs each, so that one turn stays well below the 5 ms the reactor may be held.
_LINES_PER_TURN = 100


class Written(Enum):
    """What became of a line given to a link."""

    TAKEN = auto()
    FULL = auto()
    """Not taken; the link calls the courier's ``writable`` when it can take one."""
    TOO_LARGE = auto()
    """Not taken, and never will be."""


class Link(Protocol):
    """One open way to a collector. It calls the courier's ``writable`` and ``lost``, the latter at most once."""

    def write(self, line: bytes) -> Written:
        """Pass on one line, now or not at all. Raises ``OSError`` if the collector is gone."""
        ...

    def close(self) -> Deferred[None]:
        """Send what was taken, then close; fires, always without an error, when that is done."""
        ...

    def abort(self) -> None:
        """Close now."""
        ...


class _State(Enum):
    NEW = auto()  # lines are kept until start
    IDLE = auto()  # nothing to send yet
    CONNECTING = auto()
    UP = auto()
    FULL = auto()  # a link that takes nothing at present
    WAITING = auto()  # until the next attempt
    CLOSED = auto()


class Watcher(Protocol):
    """What a courier tells about its target."""

    def dropped(self, count: int) -> bytes:
        """The line that says how many are missing."""
        ...

    def failed(self, reason: str, lines: Sequence[bytes]) -> None:
        """The target went away, once per outage; ``lines`` wait for it."""
        ...

    def recovered(self) -> None:
        """The target is back after ``failed``."""
        ...


class Courier:
    """The bounded queue in front of one collector. Everything is called on the reactor thread."""

    def __init__(
        self, clock: IReactorTime, connect: Callable[[Courier], Deferred[Link]], *, limit: int, watcher: Watcher
    ) -> None:
        """``connect`` opens a link, or fails; its Deferred may be cancelled."""
        self._clock = clock
        self._connect = connect
        self._limit = limit
        self._watcher = watcher
        self._state = _State.NEW
        self._queue: deque[bytes] = deque()
        self._link: Link | None = None
        self._attempt: Deferred[Link] | None = None
        self._timer: IDelayedCall | None = None
        self._pause = _SHORTEST_PAUSE
        self._dropped = 0
        self._stopping: Deferred[None] | None = None
        self._steady: IDelayedCall | None = None
        self._failing = False

    @property
    def away(self) -> bool:
        """The collector was found gone, and is not open again."""
        return self._failing and self._state not in {_State.UP, _State.FULL}

    def put(self, line: bytes) -> None:
        """Send ``line``, now or when the collector takes it."""
        if self._state is _State.CLOSED or self._stopping is not None:
            return
        if self._state is _State.UP and not self._queue and not self._dropped:
            self._queue.append(line)
            self._drain()
            return
        if len(self._queue) >= self._limit:
            self._dropped += 1
            return
        self._settle()
        self._queue.append(line)
        if self._state is _State.IDLE:
            self._open()

    def start(self, *, now: bool) -> None:
        """Lines may go out; ``now`` connects even if there are none."""
        if self._state is not _State.NEW:
            return
        self._state = _State.IDLE
        if now or self._queue:
            self._open()

    def retry(self) -> None:
        """If the collector is gone, look for it now."""
        self._pause = _SHORTEST_PAUSE
        if self._state is _State.WAITING:
            self._open()

    def stop(self) -> Deferred[None]:
        """Send what is queued, for at most ``FLUSH_SECONDS``, then close. Fires without an error."""
        if self._stopping is not None:
            done: Deferred[None] = Deferred()
            self._stopping.chainDeferred(done)
            return done
        stopping: Deferred[None] = Deferred()
        stopping.addTimeout(FLUSH_SECONDS, self._clock)
        stopping.addErrback(self._give_up)
        self._stopping = stopping
        if self._dropped:
            self._settle()
        if self._state in {_State.NEW, _State.WAITING} and self._queue:
            self._open()
        self._finish_if_drained()
        return stopping

    def writable(self) -> None:
        """For the link: it takes lines again."""
        if self._state is _State.FULL:
            self._state = _State.UP
            self._drain()

    def lost(self, reason: str) -> None:
        """For the link: it is gone."""
        if self._state in {_State.UP, _State.FULL}:
            self._fall(reason)

    def _open(self) -> None:
        self._cancel_timer()
        self._state = _State.CONNECTING
        attempt = self._connect(self)
        self._attempt = attempt
        attempt.addTimeout(CONNECT_SECONDS, self._clock)
        attempt.addCallbacks(self._opened, self._refused)

    def _opened(self, link: Link) -> None:
        self._attempt = None
        if self._state is not _State.CONNECTING:
            link.abort()
            return
        self._link = link
        self._state = _State.UP
        self._steady = self._clock.callLater(STEADY_SECONDS, self._recover)
        self._drain()

    def _refused(self, failure: Failure) -> None:
        self._attempt = None
        if self._state is _State.CONNECTING:
            timed_out = failure.check(DeferredTimeoutError, ReactorTimeoutError, CancelledError) is not None
            self._fall("no answer" if timed_out else describe(failure.value))

    def _drain(self) -> None:
        """Pass on what the link takes, in small portions."""
        self._cancel_timer()
        link = self._link
        for _ in range(_LINES_PER_TURN):
            if self._state is not _State.UP or link is None or not self._queue:
                break
            try:
                written = link.write(self._queue[0])
            except OSError as error:
                self._fall(describe(error))
                return
            if written is Written.FULL:
                self._state = _State.FULL
                return
            self._queue.popleft()
            if written is Written.TOO_LARGE:
                self._dropped += 1
            if not self._queue:
                self._settle()
        if self._state is _State.UP and self._queue:
            self._timer = self._clock.callLater(0, self._drain)
        self._finish_if_drained()

    def _recover(self) -> None:
        self._pause = _SHORTEST_PAUSE
        if self._failing:
            self._failing = False
            self._watcher.recovered()

    def _settle(self) -> None:
        """Put the count of dropped lines where they are missing; it may exceed the limit by its one line."""
        if self._dropped:
            count, self._dropped = self._dropped, 0
            self._queue.append(self._watcher.dropped(count))

    def _fall(self, reason: str) -> None:
        """Lose the link, or the attempt to have one, and try again later."""
        self._cancel_timer()
        self._cancel_steady()
        link, self._link = self._link, None
        self._state = _State.WAITING
        pause, self._pause = self._pause, min(self._pause * 2, _LONGEST_PAUSE)
        self._timer = self._clock.callLater(pause, self._open)
        if link is not None:
            link.abort()
        if not self._failing:
            self._failing = True
            self._watcher.failed(reason, tuple(self._queue))
        self._finish_if_drained()

    def _finish_if_drained(self) -> None:
        if self._stopping is None or self._queue or self._state is _State.CLOSED:
            return
        self._close()
        if self._link is None:
            self._finish()
        else:
            self._link.close().addBoth(lambda _: self._finish())

    def _close(self) -> None:
        self._state = _State.CLOSED
        self._cancel_timer()
        self._cancel_steady()
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.cancel()

    def _finish(self) -> None:
        self._link = None
        if self._stopping is not None and not self._stopping.called:
            self._stopping.callback(None)

    def _give_up(self, _failure: Failure) -> None:
        self._close()
        link, self._link = self._link, None
        if link is not None:
            link.abort()

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _cancel_steady(self) -> None:
        if self._steady is not None and self._steady.active():
            self._steady.cancel()
        self._steady = None


def describe(error: BaseException | None) -> str:
    """An error in a few words for an operator."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
