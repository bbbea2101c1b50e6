"""What every verb is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from netservices.catalog import Catalogue
from netservices.cli.context import Asked, has_ipv6_loopback
from tests.config.made_up import MadeUpKinds

QUICK = """
import resource, sys
from netservices.config import load_tryout
sys.path.insert(0, ".")
before = resource.getrusage(resource.RUSAGE_SELF)
kinds = __import__("tests.config.made_up", fromlist=["x"]).MadeUpKinds()
load_tryout(kinds, ipv6=True)
after = resource.getrusage(resource.RUSAGE_SELF)
print(after.ru_utime + after.ru_stime, "twisted" in sys.modules)
"""


LIGHT = """
import sys
from netservices.cli import netservices
netservices(sys.argv[1:], standalone_mode=False)
print("heavy" if {"twisted", "rich"} & sys.modules.keys() else "light")
"""


class AskedTests(SynchronousTestCase):
    """Which kinds, which file."""

    def test_kinds_are_this_machines_unless_given(self) -> None:
        self.assertIsInstance(Asked(None).kinds, Catalogue)
        made_up = MadeUpKinds()
        self.assertIs(Asked(None, made_up).kinds, made_up)

    def test_ipv6_loopback_is_looked_up(self) -> None:
        self.assertIsInstance(has_ipv6_loopback(), bool)
        table = Path(self.mktemp())
        self.assertFalse(has_ipv6_loopback(table))
        table.write_text("fe800000000000000000000000000001 02 40 20 80     eth0\n")
        self.assertFalse(has_ipv6_loopback(table))
        table.write_text(table.read_text() + "00000000000000000000000000000001 01 80 10 80       lo\n")
        self.assertTrue(has_ipv6_loopback(table))


class StartTests(SynchronousTestCase):
    """R6: the configuration takes little of the second that a start has."""

    def test_loading_the_tryout_is_cheap_and_without_twisted(self) -> None:
        best = 9.0
        for _ in range(3):
            done = subprocess.run([sys.executable, "-c", QUICK], capture_output=True, text=True, timeout=60, check=True)
            seconds, twisted = done.stdout.split()
            self.assertEqual(twisted, "False")
            best = min(best, float(seconds))
        # Python's own start counts in here, and a machine may be busy: the whole is still far below R6's second.
        self.assertLess(best, 0.5)

    def test_help_and_version_need_no_kind(self) -> None:
        for word in ("--version", "--help"):
            done = subprocess.run(
                [sys.executable, "-c", LIGHT, word], capture_output=True, text=True, timeout=60, check=True
            )
            self.assertEqual(done.stdout.splitlines()[-1], "light")
