"""The threads for the disk, and their twin without threads."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from netservices.runtime.files import FilePool, ImmediateFiles, PoolFull

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 30.0
"""Seconds after which a test that waits for a thread has failed; none comes near."""


@implementer(IReactorFromThreads)
class Inbox:
    """What threads hand over, taken when a test says so."""

    def __init__(self) -> None:
        self._calls: queue.Queue[Callable[[], object]] = queue.Queue()

    def callFromThread(self, callable: Callable[..., Any], *args: object, **kwargs: object) -> None:  # noqa: A002 - theirs
        self._calls.put(lambda: callable(*args, **kwargs))

    def wait_for(self, deferred: Deferred[Any]) -> None:
        """Take calls until the Deferred has fired."""
        while not deferred.called:
            self._calls.get(timeout=PATIENCE)()


class Closable:
    """A result that must be closed."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        """Remember it."""
        self.closed = True


class Gate:
    """A call that ends when it may."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.result = Closable()

    def __call__(self) -> Closable:
        self.entered.set()
        if not self.opened.wait(PATIENCE):
            raise TimeoutError
        return self.result


class FilePoolTests(SynchronousTestCase):
    """``FilePool``."""

    def make(self, *, size: int = 2, queue: int = 3) -> FilePool:
        """A pool that is stopped when the test ends."""
        self.inbox = Inbox()
        pool = FilePool(self.inbox, size=size, queue=queue)
        pool.start()
        self.addCleanup(lambda: self.inbox.wait_for(pool.stop()))
        return pool

    def hold(self, pool: FilePool) -> tuple[Gate, Deferred[Closable]]:
        """One call that runs until its gate is opened."""
        gate = Gate()
        self.addCleanup(gate.opened.set)
        deferred = pool.run(gate)
        self.assertTrue(gate.entered.wait(PATIENCE))
        return gate, deferred

    def test_result_comes_back_from_another_thread(self) -> None:
        pool = self.make()
        deferred = pool.run(threading.get_ident)
        self.inbox.wait_for(deferred)
        self.assertNotEqual(self.successResultOf(deferred), threading.get_ident())

    def test_arguments_go_along(self) -> None:
        pool = self.make()
        deferred = pool.run(int, "ff", base=16)
        self.inbox.wait_for(deferred)
        self.assertEqual(self.successResultOf(deferred), 255)

    def test_error_comes_back_as_failure(self) -> None:
        pool = self.make()
        deferred = pool.run(int, "x")
        self.inbox.wait_for(deferred)
        self.failureResultOf(deferred, ValueError)

    def test_too_much_is_refused_until_there_is_room(self) -> None:
        pool = self.make(size=1, queue=2)
        gate, first = self.hold(pool)
        waiting = [pool.run(int, "1"), pool.run(int, "2")]
        self.failureResultOf(pool.run(int, "3"), PoolFull)
        gate.opened.set()
        self.inbox.wait_for(first)
        self.inbox.wait_for(waiting[1])
        self.assertEqual([self.successResultOf(deferred) for deferred in waiting], [1, 2])
        again = pool.run(int, "3")
        self.inbox.wait_for(again)
        self.assertEqual(self.successResultOf(again), 3)

    def test_no_more_threads_than_its_size(self) -> None:
        pool = self.make(size=2)
        before = threading.active_count()
        held = [self.hold(pool) for _ in range(2)]
        third = pool.run(int, "1")
        self.assertEqual(threading.active_count() - before, 2)
        self.assertNoResult(third)
        held[0][0].opened.set()
        self.inbox.wait_for(third)
        self.assertEqual(threading.active_count() - before, 2)

    def test_call_cancelled_before_its_turn_is_never_made(self) -> None:
        pool = self.make(size=1)
        gate, first = self.hold(pool)
        made: list[int] = []
        second, third = pool.run(made.append, 2), pool.run(made.append, 3)
        second.cancel()
        self.failureResultOf(second, CancelledError)
        gate.opened.set()
        self.inbox.wait_for(first)
        self.inbox.wait_for(third)
        self.assertEqual(made, [3])

    def test_result_nobody_waits_for_is_closed(self) -> None:
        pool = self.make()
        gate, deferred = self.hold(pool)
        deferred.cancel()
        self.failureResultOf(deferred, CancelledError)
        gate.opened.set()
        self.inbox.wait_for(pool.stop())
        self.assertTrue(gate.result.closed)

    def test_result_somebody_waits_for_is_left_open(self) -> None:
        pool = self.make()
        gate, deferred = self.hold(pool)
        gate.opened.set()
        self.inbox.wait_for(deferred)
        self.assertFalse(self.successResultOf(deferred).closed)

    def test_stop_waits_for_what_runs_and_cancels_what_waits(self) -> None:
        pool = self.make(size=1)
        before = threading.active_count()
        gate, running = self.hold(pool)
        waiting = pool.run(int, "1")
        stopped = pool.stop()
        self.failureResultOf(waiting, CancelledError)
        self.failureResultOf(pool.run(int, "2"), PoolFull)
        self.assertNoResult(stopped)
        gate.opened.set()
        self.inbox.wait_for(stopped)
        self.assertIs(self.successResultOf(running), gate.result)
        self.assertEqual(threading.active_count(), before)

    def test_stopped_pool_stays_stopped(self) -> None:
        pool = self.make()
        self.successResultOf(pool.stop())
        pool.start()
        self.failureResultOf(pool.run(int, "1"), PoolFull)
        self.successResultOf(pool.stop())

    def test_pool_not_started_refuses(self) -> None:
        pool = FilePool(Inbox())
        self.failureResultOf(pool.run(int, "1"), PoolFull)
        self.successResultOf(pool.stop())


class ImmediateFilesTests(SynchronousTestCase):
    """``ImmediateFiles``."""

    def test_result_is_there_at_once(self) -> None:
        files = ImmediateFiles()
        self.assertEqual(self.successResultOf(files.run(int, "ff", base=16)), 255)
        self.failureResultOf(files.run(int, "x"), ValueError)

    def test_stopped_twin_refuses(self) -> None:
        files = ImmediateFiles()
        self.successResultOf(files.stop())
        self.failureResultOf(files.run(int, "1"), PoolFull)

    def test_held_calls_are_made_on_release(self) -> None:
        files = ImmediateFiles(size=1, queue=2)
        files.hold()
        made: list[int] = []
        kept = [files.run(made.append, number) for number in range(3)]
        self.failureResultOf(files.run(made.append, 3), PoolFull)
        kept[1].cancel()
        self.failureResultOf(kept[1], CancelledError)
        self.assertEqual(made, [])
        files.release()
        self.assertEqual(made, [0, 2])
        self.successResultOf(files.run(made.append, 4))

    def test_stop_cancels_what_is_held(self) -> None:
        files = ImmediateFiles()
        files.hold()
        kept = files.run(int, "1")
        stopped = files.stop()
        self.failureResultOf(kept, CancelledError)
        self.assertNoResult(stopped)
        files.release()
        self.successResultOf(stopped)
