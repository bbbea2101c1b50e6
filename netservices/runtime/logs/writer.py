"""One thread that writes lines to a place that may block; the reactor only ever hands lines over."""

from __future__ import annotations

import contextlib
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from netservices.runtime.logs.courier import FLUSH_SECONDS, describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from netservices.runtime.logs.courier import Watcher
    from netservices.runtime.logs.outputs import Output
    from netservices.runtime.logs.reactors import LogReactor

_RETRY_SECONDS = 1.0
_LARGEST_BATCH = 65_536
_END = b""
"""No line is empty: this one tells the thread to look at its orders."""


class Writer:
    """The bounded queue in front of one ``Output``. Methods are for the reactor thread unless they say otherwise.

    The thread starts with ``start``, not before, because a daemon forks until then. It never keeps the process alive.
    """

    def __init__(
        self, reactor: LogReactor, output: Output, *, limit: int, watch: Watcher, retry: float = _RETRY_SECONDS
    ) -> None:
        self._reactor = reactor
        self._output = output
        self._limit = limit
        self._watch = watch
        self._retry = retry
        # SimpleQueue.put is reentrant: a destructor that runs inside of it may log as well. Its size is bounded in put.
        self._queue: SimpleQueue[bytes] = SimpleQueue()
        self._orders = threading.Event()
        self._reopening = False
        self._stopping = False
        self._failing = False
        self.dropped = 0
        """Lines that are missing and not yet reported."""
        self._thread = threading.Thread(target=self._run, name="netservices log", daemon=True)
        self._started = False
        self._done: Deferred[None] | None = None

    def put(self, line: bytes) -> None:
        """Write ``line`` when its turn comes."""
        if self._stopping:
            return
        if self._queue.qsize() >= self._limit:
            self.dropped += 1
            return
        self._settle()
        self._queue.put(line)

    def start(self) -> None:
        """Begin to write."""
        if not self._started:
            self._started = True
            self._thread.start()

    def reopen(self) -> None:
        """Open the place anew; if it had failed, look again now."""
        self._reopening = True
        self._wake()

    def stop(self) -> Deferred[None]:
        """Write what is queued, for at most ``FLUSH_SECONDS``, then end. Fires without an error."""
        done: Deferred[None] = Deferred()
        if self._done is not None:
            self._done.chainDeferred(done)
            return done
        self._done = done
        if self._stopping and not self._thread.is_alive():
            done.callback(None)
            return done
        done.addTimeout(FLUSH_SECONDS, self._reactor)
        done.addErrback(lambda _: None)
        self._end()
        return done

    def finish(self) -> None:
        """The reactor will not run any more: write what is queued now. Blocks, for at most ``FLUSH_SECONDS``."""
        self._end()
        self._thread.join(FLUSH_SECONDS)

    def _end(self) -> None:
        self.start()
        self._settle()
        self._stopping = True
        self._wake()

    def _settle(self) -> None:
        """Put the count of dropped lines where they are missing."""
        if self.dropped:
            count, self.dropped = self.dropped, 0
            self._queue.put(self._watch.dropped(count))

    def _wake(self) -> None:
        self._orders.set()
        self._queue.put(_END)

    def _finished(self) -> None:
        if self._done is not None and not self._done.called:
            self._done.callback(None)

    # What follows runs on the writer's own thread.

    def _run(self) -> None:
        while True:
            batch = self._take()
            self._write(batch)
            if self.dropped and self._queue.empty():
                self._tell(self._settle)
            if self._stopping and self._queue.empty():
                break
        self._output.reopen()
        self._tell(self._finished)

    def _take(self) -> bytes:
        """Some lines together, after waiting for the first."""
        line = self._queue.get()
        lines = [line]
        size = len(line)
        with contextlib.suppress(Empty):
            while size < _LARGEST_BATCH:
                line = self._queue.get_nowait()
                lines.append(line)
                size += len(line)
        if self._reopening:
            self._reopening = False
            self._orders.clear()
            self._output.reopen()
        return b"".join(lines)

    def _write(self, batch: bytes) -> None:
        """All of it, however long the place fails; only stopping gives up. A line that was cut is continued."""
        left = memoryview(batch)
        while left:
            try:
                written = self._output.write(bytes(left))
            except OSError as error:
                if self._stopping:
                    return
                self._fail(describe(error))
                left = self._pause(batch, left)
            else:
                left = left[written:]
                if written:
                    self._recover()

    def _pause(self, batch: bytes, left: memoryview) -> memoryview:
        """Wait, or until there are orders; what is left to write then."""
        self._orders.wait(self._retry)
        self._orders.clear()
        if not self._reopening:
            return left
        self._reopening = False
        self._output.reopen()
        # A new file starts with a whole line.
        written = len(batch) - len(left)
        return memoryview(batch)[batch.rfind(b"\n", 0, written) + 1 :]

    def _fail(self, reason: str) -> None:
        if not self._failing:
            self._failing = True
            self._tell(lambda: self._watch.failed(reason, ()))

    def _recover(self) -> None:
        if self._failing:
            self._failing = False
            self._tell(self._watch.recovered)

    def _tell(self, what: Callable[[], object]) -> None:
        self._reactor.callFromThread(what)
