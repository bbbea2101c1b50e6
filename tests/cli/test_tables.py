"""Tables for people, and lines with tabs for programs."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

PRINT = """
from netservices.cli.tables import print_table
print_table(("name", "why"), [("203.0.113.0/24", "[bold]spam"), ("b", "c " * 40)])
"""


class PrintTableTests(SynchronousTestCase):
    """Whoever reads it."""

    def test_program_gets_tabs(self) -> None:
        done = subprocess.run([sys.executable, "-c", PRINT], capture_output=True, text=True, timeout=60, check=True)
        self.assertEqual(done.stdout.splitlines()[:2], ["name\twhy", "203.0.113.0/24\t[bold]spam"])

    def test_person_gets_a_table_that_fits_and_nothing_in_it_is_markup(self) -> None:
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        environment = {**os.environ, "COLUMNS": "60", "TERM": "xterm"}
        subprocess.run([sys.executable, "-c", PRINT], stdout=slave, timeout=60, check=True, env=environment)
        os.close(slave)
        shown = os.read(master, 65536).decode()
        self.assertRegex(shown, r"203\.0\.113\.0/24 +\[bold\]spam")
        self.assertNotIn("\t", shown)
        self.assertGreater(len(shown.splitlines()), 3)
