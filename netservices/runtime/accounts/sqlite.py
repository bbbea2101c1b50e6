"""The accounts in one SQLite file."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections import defaultdict
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from netservices.runtime.accounts import sql
from netservices.runtime.accounts.errors import (
    AccountExistsError,
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreVersionError,
    TakenError,
    UnknownAccountError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from netservices.runtime.accounts.model import Record

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_PAUSE = 0.02
# Asked of every connection. secure_delete: what was a secret is overwritten when it goes.
_PRAGMAS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
)


class SqliteStore:
    """An ``AccountStore`` in the file ``path``, mode 0600, in write-ahead mode.

    A connection serves one thread at a time, and is kept for the next one. ``patience`` is how many seconds to wait for
    another process that writes.
    """

    def __init__(self, path: Path, *, patience: float = 5.0) -> None:
        self._path = path
        self._patience = patience
        self._lock = Lock()
        self._idle: list[sqlite3.Connection] = []

    def prepare(self) -> None:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{self._path}: can't be opened: {error.strerror}") from error
        with os.fdopen(descriptor, "rb") as file:
            # The write-ahead log takes its mode from the file's.
            os.fchmod(file.fileno(), 0o600)
        self._write_ahead()
        with self._transaction() as connection:
            version: int = connection.execute("PRAGMA user_version").fetchone()[0]
            known = len(sql.MIGRATIONS)
            if version > known:
                raise StoreVersionError(
                    f"{self._path}: made by a newer netservices (version {version} of its form, this one knows {known})"
                )
            for number in range(version, known):
                for statement in sql.MIGRATIONS[number]:
                    connection.execute(statement)
                # A pragma takes no parameters; the number is our own.
                connection.execute(f"PRAGMA user_version = {number + 1}")
        self.secret()

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def secret(self) -> bytes:
        with self._transaction() as connection:
            made = {"fact": "secret", "value": secrets.token_bytes(32)}
            connection.execute(sql.INSERT_FACT, made)
            found: bytes = connection.execute(sql.FIND_FACT, {"fact": "secret"}).fetchone()[0]
            return found

    def find(self, name: str) -> Record:
        with self._transaction(writing=False) as connection:
            return _find(connection, name)

    def find_by_address(self, address: str) -> Record:
        return self._find_owner(sql.FIND_ADDRESS, address)

    def find_by_subject(self, subject: str) -> Record:
        return self._find_owner(sql.FIND_SUBJECT, subject)

    def list_records(self, after: str = "", count: int = 100) -> list[Record]:
        with self._transaction(writing=False) as connection:
            return _load(connection, connection.execute(sql.LIST, {"after": after, "count": count}).fetchall())

    def add(self, record: Record) -> None:
        with self._transaction() as connection:
            _add(connection, record)

    def add_new(self, records: Iterable[Record], *, dry_run: bool = False) -> list[str]:
        taken: list[str] = []
        with self._transaction(writing=not dry_run) as connection:
            for record in records:
                name = record.account.name
                if connection.execute(sql.FIND, {"name": name}).fetchone() is not None:
                    taken.append(name)
                elif not dry_run:
                    _add(connection, record)
        return taken

    def change(self, name: str, edit: Callable[[Record], Record]) -> Record:
        with self._transaction() as connection:
            before = _find(connection, name)
            edited = edit(before)
            if edited is before:
                return before
            account = replace(edited.account, name=name, last_login=before.account.last_login)
            row = sql.make_row(replace(edited, account=account, revision=before.revision + 1))
            # Here the transaction has the whole file; elsewhere another change could come between.
            if connection.execute(sql.UPDATE, {**row, "before": before.revision}).rowcount != 1:
                raise StoreBusyError(f"{self._path}: another process changed {name} at the same moment")
            connection.execute(sql.REMOVE_ADDRESSES, {"name": name})
            connection.execute(sql.REMOVE_SUBJECTS, {"name": name})
            _add_keys(connection, edited)
            return _find(connection, name)

    def remove(self, name: str) -> None:
        with self._transaction() as connection:
            if connection.execute(sql.REMOVE, {"name": name}).rowcount != 1:
                raise UnknownAccountError(name)

    def note_logins(self, times: Mapping[str, float]) -> None:
        with self._transaction() as connection:
            connection.executemany(sql.NOTE_LOGIN, [{"name": name, "time": time} for name, time in times.items()])

    def _find_owner(self, statement: str, key: str) -> Record:
        with self._transaction(writing=False) as connection:
            row = connection.execute(statement, {"key": key}).fetchone()
            if row is None:
                raise UnknownAccountError(key)
            return _find(connection, row[0])

    def _write_ahead(self) -> None:
        """Set the file to write-ahead mode, which it keeps.

        SQLite does not wait here for others that do the same at the same moment, whatever its timeout is.
        """
        until = time.monotonic() + self._patience
        while True:
            try:
                with self._told(), closing(self._connect()) as connection:
                    connection.execute("PRAGMA journal_mode = WAL")
            except StoreBusyError:
                if time.monotonic() > until:
                    raise
                time.sleep(_PAUSE)
            else:
                return

    @contextmanager
    def _transaction(self, *, writing: bool = True) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction, which is kept if nothing raises."""
        with self._told():
            connection = self._take()
            try:
                connection.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
                yield connection
                connection.execute("COMMIT")
            except sqlite3.Error:
                # Whatever it has come to, the file is as it was: a new connection begins from there.
                connection.close()
                raise
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                self._give_back(connection)
                raise
            self._give_back(connection)

    def _take(self) -> sqlite3.Connection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._connect()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            self._idle.append(connection)

    def _connect(self) -> sqlite3.Connection:
        # mode=rw: a file that was removed is not made anew, without tables and with another mode.
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=rw", uri=True, timeout=self._patience, isolation_level=None,
            check_same_thread=False,
        )  # fmt: skip
        try:
            for pragma in _PRAGMAS:
                connection.execute(pragma)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say what SQLite says in words that name the file."""
        try:
            yield
        except sqlite3.Error as error:
            # The low octet is the kind of the error, the others say where it came up.
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in _BUSY:
                raise StoreBusyError(f"{self._path}: another process keeps it locked") from error
            if code in _CORRUPT:
                raise StoreCorruptError(f"{self._path}: is damaged or no database: {error}") from error
            raise StoreError(f"{self._path}: can't be used: {error}") from error


def _find(connection: sqlite3.Connection, name: str) -> Record:
    rows = connection.execute(sql.FIND, {"name": name}).fetchall()
    if not rows:
        raise UnknownAccountError(name)
    return _load(connection, rows)[0]


def _load(connection: sqlite3.Connection, rows: Sequence[Sequence[object]]) -> list[Record]:
    try:
        records = [sql.make_record(row) for row in rows]
    except (ValueError, TypeError) as error:
        raise sqlite3.DatabaseError(f"a row makes no sense: {error}") from error
    if not records:
        return []
    span = {"first": records[0].account.name, "last": records[-1].account.name}
    found: list[defaultdict[str, list[str]]] = []
    for statement in (sql.LIST_ADDRESSES, sql.LIST_SUBJECTS):
        of_name: defaultdict[str, list[str]] = defaultdict(list)
        for name, key in connection.execute(statement, span):
            of_name[name].append(key)
        found.append(of_name)
    return [sql.attach(record, *found) for record in records]


def _add(connection: sqlite3.Connection, record: Record) -> None:
    name = record.account.name
    if connection.execute(sql.FIND, {"name": name}).fetchone() is not None:
        raise AccountExistsError(name)
    connection.execute(sql.INSERT, sql.make_row(record))
    _add_keys(connection, record)


def _add_keys(connection: sqlite3.Connection, record: Record) -> None:
    """Addresses and subjects, each of which belongs to one account."""
    account = record.account
    for keys, find, insert in (
        (account.addresses, sql.FIND_ADDRESS, sql.INSERT_ADDRESS),
        (account.subjects, sql.FIND_SUBJECT, sql.INSERT_SUBJECT),
    ):
        for key in sorted(set(keys)):
            owner = connection.execute(find, {"key": key}).fetchone()
            if owner is not None:
                raise TakenError(key, owner[0])
            connection.execute(insert, {"key": key, "name": account.name})
