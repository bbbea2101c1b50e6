"""Root writes as the owner of the state, shown by a process of its own since there is no way back."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.live.harness import make_directory, run

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = "import os, pathlib, sys; from netservices.cli.ownership import become_owner; \
become_owner(pathlib.Path(sys.argv[1])); print(os.getresuid(), os.getresgid(), os.getgroups())"


class OwnershipTests(SynchronousTestCase):
    """DESIGN: a verb run by root becomes the run-time user before it writes."""

    def become(self, state: Path) -> str:
        return run(sys.executable, "-c", SCRIPT, str(state)).stdout.decode().strip()

    def test_own_directory_changes_nothing(self) -> None:
        state = make_directory(self)
        before = f"{os.getresuid()} {os.getresgid()} {os.getgroups()}"
        self.assertEqual(self.become(state), before)
        self.assertEqual(self.become(state / "missing"), before)

    def test_root_becomes_the_owner_for_good(self) -> None:
        if os.geteuid() != 0:
            raise SkipTest("only root can become somebody else")
        state = make_directory(self)
        os.chown(state, 65534, 65533)
        self.assertEqual(self.become(state), "(65534, 65534, 65534) (65533, 65533, 65533) []")
