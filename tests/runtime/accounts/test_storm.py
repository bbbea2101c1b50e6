"""Many logins at once, with real threads, a real database and real hashes (R27)."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet import reactor
from twisted.internet.defer import DeferredList
from twisted.internet.task import LoopingCall
from twisted.trial.unittest import SkipTest, TestCase

from netservices.runtime import EventLog
from netservices.runtime.accounts import AccountCommands, Accounts, Hasher, LoginRefused, make_accounts, make_store
from netservices.runtime.accounts.make import count_hash_threads
from tests.doubles import RecordedEvents
from tests.runtime.accounts.test_crypts import KNOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred

LOGINS = 50
BOUND = 0.020
SCHEDSTAT = Path("/proc/thread-self/schedstat")


def count_wait() -> float:
    """Seconds for which this thread was ready to run and waited for a processor."""
    # proc(5), /proc/PID/schedstat: nanoseconds on a processor, nanoseconds waiting for one, turns.
    return int(SCHEDSTAT.read_text().split()[1]) / 1e9


class StormTests(TestCase):
    """R27: hashing never runs on the reactor."""

    def setUp(self) -> None:
        if not SCHEDSTAT.exists():
            raise SkipTest("this kernel does not count how long a thread waits for a processor")
        self.state = Path(self.mktemp())
        self.state.mkdir()

    async def open(self) -> Accounts:
        self.store = make_store(self.state)
        hasher = Hasher()
        accounts = make_accounts(self.store, hasher, reactor=reactor, log=EventLog(RecordedEvents()))
        await accounts.start()
        self.addCleanup(accounts.stop)
        self.commands = AccountCommands(self.store, hasher)
        return accounts

    async def measure(self, work: Callable[[], Deferred[Any]]) -> tuple[float, Any]:
        """The longest that a tick of a millisecond was late until ``work`` was done, in seconds, and its result.

        The time for which this thread could have run and had no processor, by the kernel's own count, is taken off: it
        is mostly the machine's other work, though our own threads may have a part in it. Work on the reactor stays in.
        """
        # A full collection of all that a suite has in memory takes longer than the bound, and has nothing to do with
        # logins. After this one there is none for a while.
        gc.collect()
        late: list[float] = []
        last, waited = time.monotonic(), count_wait()

        def tick() -> None:
            nonlocal last, waited
            now, wait = time.monotonic(), count_wait()
            late.append(now - last - 0.001 - (wait - waited))
            last, waited = now, wait

        ticker = LoopingCall(tick)
        ticker.start(0.001)
        result = await work()
        # What comes after the last tick counts too: a reactor that is held up to the end does not tick at all.
        tick()
        ticker.stop()
        return max(late), result

    async def test_fifty_logins_do_not_hold_the_reactor_up(self) -> None:
        accounts = await self.open()
        self.commands.add("anna", "right", {})
        self.commands.import_accounts([["old", KNOWN[0], ""]])
        # Old hashes, wrong passwords, and nobody: each is computed in another way.
        names = ["old"] * 25 + ["anna"] * 15 + [f"nobody{number}" for number in range(10)]
        late, results = await self.measure(
            lambda: DeferredList(
                [accounts.check_password(name, f"wrong{number}", "x") for number, name in enumerate(names)],
                consumeErrors=True,
            )
        )
        for good, failure in results:
            self.assertFalse(good)
            self.assertTrue(failure.check(LoginRefused), failure)
        self.assertEqual(len(results), LOGINS)
        self.assertLess(late, BOUND)

    async def test_imported_hash_is_replaced_before_the_end(self) -> None:
        accounts = await self.open()
        self.commands.import_accounts([["old", KNOWN[3], ""]])
        self.assertEqual((await accounts.check_password("old", "hello", "x")).name, "old")
        await accounts.stop()
        self.assertEqual(self.commands.show("old")["password"], "argon2id")
        self.store.close()

    def test_one_processor_is_left_for_the_rest(self) -> None:
        self.assertEqual([count_hash_threads(count) for count in (1, 2, 3, 64)], [1, 1, 2, 4])
        self.assertGreaterEqual(count_hash_threads(), 1)
