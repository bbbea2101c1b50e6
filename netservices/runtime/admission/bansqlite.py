"""The bans in a SQLite file, which may be the one that holds the accounts: the tables are their own.

The statements are in the SQL that SQLite and PostgreSQL have in common; only the pragmas are SQLite's.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager, suppress
from ipaddress import ip_network
from typing import TYPE_CHECKING

from netservices.runtime.admission.banstore import Ban, BanStoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from netservices.runtime.admission.access import Network

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE bans (
            network TEXT PRIMARY KEY,
            since DOUBLE PRECISION NOT NULL,
            until DOUBLE PRECISION,
            reason TEXT NOT NULL,
            made_by TEXT NOT NULL,
            manual INTEGER NOT NULL
        )""",
    ),
)
"""What takes the tables from version N to N + 1; a step that was ever released is never changed."""

# The file's own version (user_version) is that of the accounts.
_MAKE_VERSION = "CREATE TABLE IF NOT EXISTS ban_schema (version INTEGER NOT NULL)"
_FIND_VERSION = "SELECT version FROM ban_schema"
_DROP_VERSION = "DELETE FROM ban_schema"
_SET_VERSION = "INSERT INTO ban_schema (version) VALUES (:version)"
_LIST = "SELECT network, since, until, reason, made_by, manual FROM bans ORDER BY since, network"
_REMOVE = "DELETE FROM bans WHERE network = :network"
_INSERT = """INSERT INTO bans (network, since, until, reason, made_by, manual)
    VALUES (:network, :since, :until, :reason, :made_by, :manual)"""

_PRAGMAS = ("PRAGMA synchronous = FULL", "PRAGMA trusted_schema = OFF")
_PAUSE = 0.02


class SqliteBanStore:
    """A ``BanStore`` in the file ``path``, mode 0600; ``patience`` is how many seconds to wait for other writers."""

    def __init__(self, path: Path, *, patience: float = 5.0) -> None:
        self._path = path
        self._patience = patience
        self._connection: sqlite3.Connection | None = None

    def load(self) -> list[Ban]:
        with self._transaction() as connection:
            return [
                Ban(ip_network(network), since, until, reason, by, bool(manual))
                for network, since, until, reason, by, manual in connection.execute(_LIST)
            ]

    def save(self, changes: Iterable[tuple[Network, Ban | None]]) -> None:
        with self._transaction() as connection:
            for network, ban in changes:
                connection.execute(_REMOVE, {"network": str(network)})
                if ban is not None:
                    connection.execute(
                        _INSERT,
                        {
                            "network": str(network), "since": ban.since, "until": ban.until, "reason": ban.reason,
                            "made_by": ban.by, "manual": int(ban.manual),
                        },
                    )  # fmt: skip

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction, which is kept if nothing raises."""
        try:
            connection = self._connection
            if connection is None:
                connection = self._connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except (sqlite3.Error, OSError, ValueError) as error:
            # Whatever it has come to, the file is as it was before; a new connection begins from there.
            with suppress(sqlite3.Error):
                self.close()
            reason = error.strerror if isinstance(error, OSError) else error
            raise BanStoreError(f"{self._path}: the bans can't be kept here: {reason}") from error
        except BaseException:
            self.close()
            raise

    def _open(self) -> sqlite3.Connection:
        # The write-ahead log takes its mode from the file's.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(
            self._path, timeout=0.0, isolation_level=None, check_same_thread=False
        )  # fmt: skip
        try:
            self._write_ahead(connection)
            # A pragma takes no parameters; the number is our own.
            connection.execute(f"PRAGMA busy_timeout = {int(self._patience * 1000)}")
            for pragma in _PRAGMAS:
                connection.execute(pragma)
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _write_ahead(self, connection: sqlite3.Connection) -> None:
        """Set the file to write-ahead mode, which it keeps.

        SQLite does not wait here for others that do the same at the same moment, whatever its timeout is; so we do.
        """
        until = time.monotonic() + self._patience
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
                time.sleep(_PAUSE)
            else:
                return

    def _migrate(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_MAKE_VERSION)
        row = connection.execute(_FIND_VERSION).fetchone()
        version: int = row[0] if row else 0
        known = len(MIGRATIONS)
        if version > known:
            raise BanStoreError(
                f"{self._path}: its bans were kept by a newer netservices (version {version} of their form, this one "
                f"knows {known})"
            )
        if version < known:
            for step in MIGRATIONS[version:]:
                for statement in step:
                    connection.execute(statement)
            connection.execute(_DROP_VERSION)
            connection.execute(_SET_VERSION, {"version": known})
        connection.execute("COMMIT")
