"""Accounts in memory, with a hash that costs next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from twisted.internet.task import Clock

from netservices.runtime import EventLog
from netservices.runtime.accounts import Account, AccountCommands, Accounts, Hasher
from netservices.runtime.accounts.memory import MemoryStore
from netservices.runtime.accounts.model import Record, Secrets
from netservices.runtime.files import ImmediateFiles
from netservices.wire.sasl import ScramKeys
from tests.doubles import RecordedEvents

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from netservices.runtime.accounts.store import AccountStore


def make_hasher(**replacing: int) -> Hasher:
    """Parameters that no daemon should have."""
    return Hasher(**{"memory": 8 * 1024, "passes": 1, "scram_iterations": 4096, **replacing})


class CountingHasher(Hasher):
    """Also says how often it was asked, and about which hash."""

    def __init__(self) -> None:
        super().__init__(memory=8 * 1024, passes=1, scram_iterations=4096)
        self.asked: list[str | None] = []
        self.fault: Exception | None = None

    def check(self, stored: str | None, password: str) -> bool:
        self.asked.append(stored)
        if self.fault is not None:
            raise self.fault
        return super().check(stored, password)


def make_record(name: str, **replacing: object) -> Record:
    """An account whose secrets open nothing."""
    keys = ScramKeys(b"stored key".ljust(32), b"server key".ljust(32), b"salt", 4096)
    return Record(Account(name, created=1.0, changed=1.0), Secrets("$argon2id$made-up", keys), **replacing)  # type: ignore[arg-type]


class Desk:
    """Accounts on a fake clock, without threads, and what a test looks at beside them."""

    def __init__(
        self, store: AccountStore | None = None, *, refusal_step: float = 0.0, cache_life: float = 60.0, queue: int = 99
    ) -> None:
        self.clock = Clock()
        self.events = RecordedEvents()
        self.store = store or MemoryStore()
        self.hasher = CountingHasher()
        self.store_pool = ImmediateFiles()
        self.hash_pool = ImmediateFiles(size=1, queue=queue)
        self.commands = AccountCommands(self.store, self.hasher, self.tell)
        self.accounts = Accounts(
            self.store,
            clock=cast("IReactorTime", self.clock),
            store_pool=self.store_pool,
            hash_pool=self.hash_pool,
            hasher=self.hasher,
            log=EventLog(self.events),
            now=self.tell,
            cache_life=cache_life,
            refusal_step=refusal_step,
        )

    def tell(self) -> float:
        """Seconds since 1970, long ago."""
        return 1_000_000.0 + self.clock.seconds()
