"""The accounts of a state directory, put together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from netservices.runtime.accounts.accounts import Accounts
from netservices.runtime.accounts.sqlite import SqliteStore
from netservices.runtime.files import FilePool

if TYPE_CHECKING:
    from pathlib import Path

    from netservices.runtime.accounts.hashing import Hasher
    from netservices.runtime.events import EventLog
    from netservices.runtime.reactor import Reactor

DATABASE = "accounts.db"
"""The file in the state directory."""
_MOST_THREADS = 4


def make_store(state: Path) -> SqliteStore:
    """The database of a state directory; ``prepare`` opens it."""
    return SqliteStore(state / DATABASE)


def count_hash_threads(processors: int | None = None) -> int:
    """How many hashes are made at once: one processor is left for everything else."""
    return max(1, min(_MOST_THREADS, (processors or os.cpu_count() or 1) - 1))


def make_accounts(
    store: SqliteStore, hasher: Hasher, *, reactor: Reactor, log: EventLog, queue: int = 256, cache: float = 60.0
) -> Accounts:
    """Accounts with threads of their own: two for the database, few for hashing; ``queue`` logins may wait for one.

    Nothing runs before ``start``.
    """
    return Accounts(
        store,
        clock=reactor,
        store_pool=FilePool(reactor, size=2, queue=4 * queue, name="accounts"),
        hash_pool=FilePool(reactor, size=count_hash_threads(), queue=queue, name="passwords"),
        hasher=hasher,
        log=log,
        cache_life=cache,
    )
