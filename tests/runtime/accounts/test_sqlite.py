"""The database's file: its mode, its version, and everything that can be wrong with it (R29)."""

from __future__ import annotations

import os
import resource
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.accounts import sql
from netservices.runtime.accounts.errors import StoreBusyError, StoreCorruptError, StoreError, StoreVersionError
from netservices.runtime.accounts.model import Record, Secrets
from netservices.runtime.accounts.sqlite import SqliteStore
from tests.runtime.accounts.doubles import make_record

WRITER = """
import sys
from pathlib import Path
from dataclasses import replace
from netservices.runtime.accounts.errors import AccountExistsError
from netservices.runtime.accounts.sqlite import SqliteStore
from tests.runtime.accounts.doubles import make_record
store = SqliteStore(Path(sys.argv[1]), patience=30)
store.prepare()
try:
    store.add(make_record("shared"))
except AccountExistsError:
    pass
def count(record):
    return replace(record, account=replace(record.account, quota_files=(record.account.quota_files or 0) + 1))
for number in range(40):
    store.add(make_record(f"{sys.argv[2]}{number}"))
    store.change("shared", count)
store.close()
"""


class SqliteCase(SynchronousTestCase):
    """A database of its own."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.path = self.folder / "accounts.db"
        self.store = self.make_store()

    def make_store(self) -> SqliteStore:
        store = SqliteStore(self.path, patience=0.05)
        self.addCleanup(store.close)
        return store


class FileTests(SqliteCase):
    """What stands on the disk."""

    def test_nobody_else_may_read_it(self) -> None:
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        self.store.prepare()
        self.store.add(make_record("a"))
        names = sorted(path.name for path in self.folder.iterdir())
        self.assertEqual(names, ["accounts.db", "accounts.db-shm", "accounts.db-wal"])
        for path in self.folder.iterdir():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path)

    def test_mode_that_was_loosened_is_mended(self) -> None:
        self.store.prepare()
        self.path.chmod(0o644)
        self.make_store().prepare()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_connections_are_durable_and_keep_the_rules(self) -> None:
        self.store.prepare()
        connection = self.store._connect()
        self.addCleanup(connection.close)
        found = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "busy_timeout", "user_version")
        ]
        # https://www.sqlite.org/pragma.html: synchronous 2 is FULL.
        self.assertEqual(found, ["wal", 2, 1, 1, 50, len(sql.MIGRATIONS)])

    def test_secret_that_was_replaced_is_not_left_in_the_file(self) -> None:
        self.store.prepare()
        record = make_record("a")
        self.store.add(replace(record, secrets=replace(record.secrets, shared=b"very-secret-1"), keeps_shared=True))
        self.store.close()
        self.assertIn(b"very-secret-1", self.path.read_bytes())
        self.store.change("a", lambda r: replace(r, secrets=Secrets("$argon2id$other"), keeps_shared=False))
        self.store.close()
        self.assertNotIn(b"very-secret-1", self.path.read_bytes())

    def test_missing_folder_is_told_with_the_path(self) -> None:
        store = SqliteStore(self.folder / "gone" / "accounts.db")
        self.assertRaisesRegex(StoreError, r"gone/accounts\.db: can't be opened: No such file", store.prepare)

    def test_file_that_went_away_is_not_made_anew(self) -> None:
        self.store.prepare()
        self.store.close()
        self.path.unlink()
        self.assertRaisesRegex(StoreError, r"accounts\.db: can't be used", self.store.find, "a")
        self.assertFalse(self.path.exists())


class VersionTests(SqliteCase):
    """R29: forward only."""

    def test_newer_version_is_refused_and_left_alone(self) -> None:
        self.store.prepare()
        self.store.close()
        newer = len(sql.MIGRATIONS) + 1
        connection = sqlite3.connect(self.path)
        connection.execute(f"PRAGMA user_version = {newer}")
        connection.close()
        before = self.path.read_bytes()
        self.assertRaisesRegex(
            StoreVersionError, rf"accounts\.db: made by a newer netservices \(version {newer} .* knows {newer - 1}",
            self.make_store().prepare,
        )  # fmt: skip
        self.assertEqual(self.path.read_bytes(), before)

    def test_empty_file_becomes_a_database(self) -> None:
        self.path.touch()
        self.store.prepare()
        self.store.add(make_record("a"))

    def test_step_that_fails_leaves_the_version_and_no_table(self) -> None:
        connection = sqlite3.connect(self.path)
        connection.execute("CREATE TABLE installation (x)")
        connection.close()
        self.assertRaisesRegex(StoreError, "installation already exists", self.store.prepare)
        connection = sqlite3.connect(self.path)
        self.addCleanup(connection.close)
        self.assertEqual(connection.execute("PRAGMA user_version").fetchone(), (0,))
        self.assertEqual(connection.execute("SELECT name FROM sqlite_master").fetchall(), [("installation",)])


class TroubleTests(SqliteCase):
    """Clear words, and nothing half done."""

    def test_locked_database_is_told_and_later_works(self) -> None:
        self.store.prepare()
        other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")
        self.assertRaisesRegex(
            StoreBusyError, r"accounts\.db: another process keeps it locked", self.store.add, make_record("a")
        )
        # Reading goes on meanwhile: that is what the write-ahead log is for.
        self.assertEqual(self.store.list_records(), [])
        other.execute("ROLLBACK")
        self.store.add(make_record("a"))

    def test_locked_first_start_is_told(self) -> None:
        other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(other.close)
        other.execute("CREATE TABLE x (y)")
        other.execute("BEGIN EXCLUSIVE")
        self.assertRaises(StoreBusyError, self.store.prepare)

    def test_file_that_is_no_database_is_told(self) -> None:
        self.path.write_bytes(b"no database at all\n" * 100)
        self.assertRaisesRegex(StoreCorruptError, r"accounts\.db: is damaged or no database", self.store.prepare)

    def test_damaged_page_is_told(self) -> None:
        self.store.prepare()
        self.store.add_new([make_record(f"a{number}") for number in range(200)])
        self.store.close()
        octets = bytearray(self.path.read_bytes())
        octets[4096:] = b"\xa5" * (len(octets) - 4096)
        self.path.write_bytes(octets)
        self.assertRaisesRegex(StoreCorruptError, r"accounts\.db", self.make_store().find, "a7")

    def test_row_that_makes_no_sense_is_told(self) -> None:
        self.store.prepare()
        self.store.add(make_record("a"))
        other = sqlite3.connect(self.path)
        self.addCleanup(other.close)
        for statement in ("UPDATE accounts SET services = '{'", "UPDATE accounts SET scram_stored_key = x'00'"):
            other.execute(statement)
            other.commit()
            self.assertRaisesRegex(
                StoreError, r"accounts\.db: can't be used: a row makes no sense", self.store.find, "a"
            )
            other.execute("UPDATE accounts SET services = NULL")
            other.commit()

    def test_full_disk_is_told_and_loses_nothing(self) -> None:
        """A limit on the size of files stands in for the disk."""
        self.store.prepare()
        self.store.add(make_record("a"))
        size = max(path.stat().st_size for path in self.folder.iterdir())
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 4096, hard))
        try:
            new = [make_record(f"b{number}") for number in range(2000)]
            self.assertRaisesRegex(StoreError, r"accounts\.db: can't be used", self.store.add_new, new)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        self.assertEqual([record.account.name for record in self.store.list_records()], ["a"])
        self.store.add(make_record("b"))

    def test_threads_share_one_store(self) -> None:
        self.store = SqliteStore(self.path, patience=30)
        self.addCleanup(self.store.close)
        self.store.prepare()
        self.store.add(make_record("shared"))

        def count(record: Record) -> Record:
            return replace(record, account=replace(record.account, quota_files=(record.account.quota_files or 0) + 1))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: self.store.change("shared", count), range(60)))
        record = self.store.find("shared")
        self.assertEqual((record.account.quota_files, record.revision), (60, 61))
        self.assertLessEqual(len(self.store._idle), 4)

    def test_two_processes_that_start_and_write_at_once_lose_nothing(self) -> None:
        self.store = SqliteStore(self.path, patience=30)
        self.addCleanup(self.store.close)
        children = [
            subprocess.Popen([sys.executable, "-c", WRITER, str(self.path), name], stderr=subprocess.PIPE)
            for name in "xy"
        ]
        for child in children:
            _, errors = child.communicate(timeout=60)
            self.assertEqual((child.returncode, errors), (0, b""))
        self.assertEqual(len(self.store.list_records(count=1000)), 81)
        self.assertEqual(self.store.find("shared").account.quota_files, 80)
