"""Every store does the same: the database, and its twin in memory (R26, R28)."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from netservices.runtime.accounts.memory import MemoryStore
from netservices.runtime.accounts.sqlite import SqliteStore
from tests.runtime.accounts import storecases

if TYPE_CHECKING:
    from netservices.runtime.accounts.store import AccountStore


class MemoryStoreTests(storecases.StoreCases):
    """The twin."""

    def make_store(self) -> AccountStore:
        return MemoryStore()


class SqliteStoreTests(storecases.StoreCases):
    """The database."""

    def make_store(self) -> AccountStore:
        path = Path(self.mktemp()) / "accounts.db"
        path.parent.mkdir(parents=True)
        self.addCleanup(self.check, path)
        return SqliteStore(path)

    def check(self, path: Path) -> None:
        """Whatever was done, the file is sound."""
        connection = sqlite3.connect(path)
        self.addCleanup(connection.close)
        self.assertEqual(connection.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
        self.assertEqual(connection.execute("PRAGMA foreign_key_check").fetchall(), [])
