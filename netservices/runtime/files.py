"""Threads for what blocks on the disk: few, with a limited queue, and let go of in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorFromThreads

P = ParamSpec("P")
T = TypeVar("T")


class PoolFull(Exception):  # noqa: N818 - a state of the pool, not a fault of whoever asks
    """As much is waiting already as may wait, or the pool is not running: try later, or refuse the peer."""


class _Job:
    """One call, and whether anybody still wants to know how it went."""

    __slots__ = ("_call", "deferred", "started", "wanted")

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self.started = False
        self.wanted = True
        self.deferred: Deferred[object] = Deferred(self._cancel)

    def perform(self) -> object:
        """Make the call; its result, or the ``Failure`` it ended in. Runs in a thread of the pool."""
        self.started = True
        if not self.wanted:
            return None
        try:
            return self._call()
        except Exception:  # noqa: BLE001 - whatever it is, it is told to whoever asked
            return Failure()

    def _cancel(self, _: Deferred[object]) -> None:
        # The Deferred itself tells whoever cancelled; a call that has begun cannot be interrupted.
        self.wanted = False


class FilePool:
    """At most ``size`` calls at once on threads of their own, and ``queue`` more that wait.

    The Deferreds fire in the thread of ``reactor``, which is the only one that may use the pool. Before ``start`` it
    refuses everything.
    """

    def __init__(self, reactor: IReactorFromThreads, *, size: int = 4, queue: int = 1024, name: str = "files") -> None:
        self._reactor = reactor
        self._pool = ThreadPool(minthreads=0, maxthreads=size, name=name)
        self._most = size + queue
        self._jobs: set[_Job] = set()
        self._running = self._ended = False
        self._stopped: list[Deferred[None]] = []

    def start(self) -> None:
        """Take work from now on. A pool that was stopped does not start again."""
        if not self._running and not self._ended:
            self._running = True
            self._pool.start()

    def stop(self) -> Deferred[None]:
        """Refuse new work and cancel what waits; fires when what runs has ended and the threads are gone."""
        self._running = False
        self._ended = True
        stopped: Deferred[None] = Deferred()
        self._stopped.append(stopped)
        for job in [job for job in self._jobs if not job.started]:
            job.deferred.cancel()
        self._end_if_idle()
        return stopped

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Call ``function`` in a thread; fires with what it returns, fails with what it raises or with ``PoolFull``.

        When the Deferred is cancelled before the call has begun, there is no call. Cancelled later, the call goes on,
        and what it returns is closed if it has a ``close``: an open file must not get lost between two threads.
        """
        if not self._running or len(self._jobs) >= self._most:
            return fail(PoolFull("the file threads have too much to do, or are stopped"))
        job = _Job(lambda: function(*args, **kwargs))
        self._jobs.add(job)
        self._perform(job)
        return cast("Deferred[T]", job.deferred)

    def _perform(self, job: _Job) -> None:
        self._pool.callInThread(lambda: self._reactor.callFromThread(self._finished, job, job.perform()))

    def _finished(self, job: _Job, result: object) -> None:
        self._jobs.discard(job)
        if job.wanted:
            job.wanted = False
            job.deferred.callback(result)
        else:
            close = getattr(result, "close", None)
            if close is not None:
                close()
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if not self._ended or self._jobs or not self._stopped:
            return
        if not self._pool.joined:
            # The threads have nothing to do, so this does not wait for more than their goodbye.
            self._pool.stop()
        stopped, self._stopped = self._stopped, []
        for deferred in stopped:
            deferred.callback(None)


class ImmediateFiles(FilePool):
    """A twin for tests, without threads: every call is made at once, and its Deferred has fired when ``run`` returns.

    It is started already. ``hold`` keeps calls back until ``release``, as a slow disk would.
    """

    def __init__(self, *, size: int = 4, queue: int = 1024) -> None:
        super().__init__(cast("IReactorFromThreads", None), size=size, queue=queue)
        self._held: list[_Job] | None = None
        self.start()

    def hold(self) -> None:
        """From now on, keep every call waiting."""
        self._held = self._held or []

    def release(self) -> None:
        """Make the calls that were kept waiting, in their order, and those to come at once again."""
        held, self._held = self._held or [], None
        for job in held:
            self._perform(job)

    def _perform(self, job: _Job) -> None:
        if self._held is None:
            self._finished(job, job.perform())
        else:
            self._held.append(job)
