"""Where bans are kept: the same tests for both stores."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from ipaddress import ip_network
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.admission.bansqlite import MIGRATIONS, SqliteBanStore
from netservices.runtime.admission.banstore import (
    Ban,
    BanStore,
    BanStoreError,
    MemoryBanStore,
    make_ban_data,
    parse_ban_data,
)

ONE = Ban(ip_network("192.0.2.1/32"), 1000.25, 4600.5, "10 failed logins within 10m", "files")
TWO = Ban(ip_network("2001:db8::/64"), 900.0, 1000.0, "3 failed logins within 1m", "mail")
MANUAL = Ban(ip_network("203.0.113.0/24"), 2000.0, None, "spam — häufig", "operator", manual=True)

SAVER = """
import sys
from ipaddress import IPv4Network
from pathlib import Path
from netservices.runtime.admission.bansqlite import SqliteBanStore
from netservices.runtime.admission.banstore import Ban
store = SqliteBanStore(Path(sys.argv[1]))
store.load()
for number in range(int(sys.argv[2]), 1 << 24):
    network = IPv4Network((number, 32))
    store.save([(network, Ban(network, 1.0, None, "test", "www"))])
    print(number, flush=True)
"""


class BanTests(SynchronousTestCase):
    """A ban in words and as data."""

    def test_ban_says_whom_since_when_why_and_until_when(self) -> None:
        """R12."""
        self.assertEqual(
            str(ONE),
            "192.0.2.1 is banned since 1970-01-01T00:16:40Z, until 1970-01-01T01:16:40Z: "
            "10 failed logins within 10m (by files)",
        )
        self.assertEqual(
            str(MANUAL),
            "203.0.113.0/24 is banned since 1970-01-01T00:33:20Z, until it is removed: spam — häufig (by operator)",
        )

    def test_data_is_read_back_as_the_same_ban(self) -> None:
        for ban in (ONE, TWO, MANUAL):
            self.assertEqual(parse_ban_data(make_ban_data(ban)), ban)

    def test_other_data_is_refused(self) -> None:
        good = make_ban_data(ONE)
        for wrong in ({**good, "since": "x"}, {**good, "until": "x"}, {**good, "network": "192.0.2.1/8"}):
            with self.assertRaises(ValueError):
                parse_ban_data(wrong)
        with self.assertRaises(KeyError):
            parse_ban_data({})


class MemoryBanStoreTests(SynchronousTestCase):
    """What every store does."""

    def make(self) -> BanStore:
        return MemoryBanStore()

    def setUp(self) -> None:
        self.store = self.make()
        self.addCleanup(self.store.close)

    def test_new_store_is_empty(self) -> None:
        self.assertEqual(self.store.load(), [])

    def test_what_was_saved_is_there_in_order(self) -> None:
        """R13."""
        self.store.load()
        self.store.save([(ban.network, ban) for ban in (MANUAL, ONE, TWO)])
        self.assertEqual(self.store.load(), [TWO, ONE, MANUAL])

    def test_ban_takes_the_place_of_its_networks(self) -> None:
        self.store.load()
        self.store.save([(ONE.network, ONE), (TWO.network, TWO)])
        later = Ban(ONE.network, 3000.0, None, "again", "operator", manual=True)
        self.store.save([(ONE.network, later), (TWO.network, None), (MANUAL.network, None)])
        self.assertEqual(self.store.load(), [later])

    def test_closed_store_can_be_loaded_again(self) -> None:
        self.store.load()
        self.store.save([(ONE.network, ONE)])
        self.store.close()
        self.store.close()
        self.assertEqual(self.store.load(), [ONE])


class SqliteBanStoreTests(MemoryBanStoreTests):
    """And what only a file does."""

    def make(self) -> BanStore:
        self.path = Path(self.mktemp()).absolute()
        return SqliteBanStore(self.path, patience=0.1)

    def test_file_is_ours_alone(self) -> None:
        self.store.load()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_another_process_finds_it(self) -> None:
        """R13: a ban holds across a restart."""
        self.store.load()
        self.store.save([(MANUAL.network, MANUAL)])
        other = SqliteBanStore(self.path)
        self.addCleanup(other.close)
        self.assertEqual(other.load(), [MANUAL])

    def test_tables_of_others_stay_as_they_are(self) -> None:
        """The accounts live in the same file, with a version of their own."""
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("PRAGMA user_version = 7")
            connection.execute("CREATE TABLE accounts (name TEXT)")
            connection.execute("INSERT INTO accounts VALUES ('ada')")
            connection.commit()
        self.store.load()
        self.store.save([(ONE.network, ONE)])
        with closing(sqlite3.connect(self.path)) as connection:
            self.assertEqual(connection.execute("PRAGMA user_version").fetchone(), (7,))
            self.assertEqual(connection.execute("SELECT name FROM accounts").fetchall(), [("ada",)])

    def test_form_of_a_newer_version_is_refused(self) -> None:
        """R29."""
        self.store.load()
        self.store.close()
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("UPDATE ban_schema SET version = ?", (len(MIGRATIONS) + 1,))
            connection.commit()
        with self.assertRaisesRegex(BanStoreError, "kept by a newer netservices"):
            self.store.load()

    def test_damaged_file_is_told(self) -> None:
        self.path.write_bytes(b"this is no database, whatever its name says" * 100)
        with self.assertRaisesRegex(BanStoreError, f"{self.path}: the bans can't be kept here: file is not a database"):
            self.store.load()

    def test_missing_folder_is_told(self) -> None:
        store = SqliteBanStore(self.path / "nowhere" / "accounts.db")
        with self.assertRaisesRegex(BanStoreError, "No such file or directory"):
            store.load()

    def test_row_that_is_no_ban_is_told(self) -> None:
        self.store.load()
        self.store.save([(ONE.network, ONE)])
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("UPDATE bans SET network = 'x'")
            connection.commit()
        with self.assertRaises(BanStoreError):
            self.store.load()

    def test_locked_file_is_told_and_nothing_of_the_change_is_kept(self) -> None:
        self.store.load()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with self.assertRaisesRegex(BanStoreError, "database is locked"):
                self.store.save([(ONE.network, ONE)])
        self.assertEqual(self.store.load(), [])

    def test_file_that_somebody_else_sets_up_is_waited_for(self) -> None:
        """As the accounts do, when both are new."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("CREATE TABLE accounts (name TEXT)")
            other.execute("BEGIN EXCLUSIVE")
            with self.assertRaisesRegex(BanStoreError, "database is locked"):
                self.store.load()
            other.execute("COMMIT")
            self.assertEqual(self.store.load(), [])

    def test_mistake_of_the_caller_keeps_nothing_of_the_change(self) -> None:
        self.store.load()
        with self.assertRaises(AttributeError):
            self.store.save([(ONE.network, ONE), (TWO.network, "no ban")])  # type: ignore[list-item]
        self.assertEqual(self.store.load(), [])

    def test_what_was_told_to_be_saved_outlives_a_kill(self) -> None:
        """R13: SIGKILL at any moment."""
        self.store.load()
        self.store.close()
        told = 0
        for wanted in (1, 4, 9, 2, 7):
            with subprocess.Popen(
                [sys.executable, "-c", SAVER, str(self.path), str(told + 1)], stdout=subprocess.PIPE
            ) as process:
                assert process.stdout is not None
                for _ in range(wanted):
                    told = int(process.stdout.readline())
                os.kill(process.pid, signal.SIGKILL)
                for line in process.stdout:
                    told = int(line)
            found = {int(ban.network.network_address) for ban in self.store.load()}
            self.store.close()
            self.assertLessEqual(set(range(1, told + 1)), found)
            self.assertLessEqual(len(found), told + 1)
            told = max(found)
