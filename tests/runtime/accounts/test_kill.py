"""SIGKILL in the middle of every command loses nothing that was done, and leaves nothing half done (R29)."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.accounts import AccountCommands
from netservices.runtime.accounts.memory import MemoryStore
from netservices.runtime.accounts.sqlite import SqliteStore
from tests.runtime.accounts.busy import make_steps
from tests.runtime.accounts.doubles import make_hasher

KILLS = 20


def look(commands: AccountCommands) -> list[dict[str, object]]:
    """Everything that can be seen of all accounts."""
    found: list[dict[str, object]] = []
    while page := commands.list(found[-1]["name"] if found else ""):
        found += page
    return found


class KillTests(SynchronousTestCase):
    """R29: twenty kills at random moments, one database."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute()
        self.path.mkdir()
        self.path /= "accounts.db"
        # What the database should hold: the same commands on the twin in memory.
        self.twin = AccountCommands(MemoryStore(), make_hasher(), lambda: 1.0)
        self.done = 0

    def test_killed_commands_leave_all_or_nothing(self) -> None:
        moments = random.Random(4711)  # noqa: S311 - no secret
        for _ in range(KILLS):
            said = self.kill_one(moments.uniform(0, 0.12))
            self.follow(said)
            self.check()
        self.assertGreater(self.done, KILLS)

    def kill_one(self, delay: float) -> int:
        """Start a child, kill it, and tell how many commands are said to be done."""
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.runtime.accounts.busy", str(self.path), str(self.done)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert child.stdout is not None
        first = child.stdout.readline()
        # No wait for anything: the moment is what is random.
        time.sleep(delay)
        child.kill()
        rest, errors = child.communicate(timeout=60)
        self.assertEqual((child.returncode, errors), (-9, ""))
        return int((first + rest).split()[-1]) + 1

    def follow(self, said: int) -> None:
        """Bring the twin to where the child was."""
        for number, verb, given in make_steps(self.done):
            if number == said:
                break
            getattr(self.twin, verb)(*given)
        self.done = said

    def check(self) -> None:
        """The database is sound, and holds what was said to be done, or the command after that too."""
        connection = sqlite3.connect(self.path)
        self.assertEqual(connection.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
        self.assertEqual(connection.execute("PRAGMA foreign_key_check").fetchall(), [])
        connection.close()
        store = SqliteStore(self.path)
        store.prepare()
        found = look(AccountCommands(store, make_hasher()))
        store.close()
        if found != look(self.twin):
            number, verb, given = next(make_steps(self.done))
            step: Any = getattr(self.twin, verb)
            step(*given)
            self.done = number + 1
        self.assertEqual(found, look(self.twin))
