"""Which file is the configuration."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from netservices.config import ConfigError
from netservices.config.finding import find_path


class FindPathTests(SynchronousTestCase):
    """Section 3 of the design: --config, the variable, the current directory, /etc, in that order."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.here = self.folder / "netservices.toml"
        self.system = self.folder / "system.toml"

    def find(self, explicit: str | None = None, *, uid: int = 1000, **environment: str) -> Path | None:
        return find_path(explicit, environment, folder=self.folder, system=self.system, uid=uid)

    def test_order_is_kept(self) -> None:
        self.assertIsNone(self.find())
        self.system.touch()
        self.assertEqual(self.find(), self.system)
        self.here.touch()
        self.assertEqual(self.find(), self.here)
        self.assertEqual(self.find(NETSERVICES_CONFIG="/v"), Path("/v"))
        self.assertEqual(self.find("/e", NETSERVICES_CONFIG="/v"), Path("/e"))

    def test_empty_variable_does_not_count(self) -> None:
        self.assertIsNone(self.find(NETSERVICES_CONFIG=""))

    def test_without_a_folder_it_is_the_current_one(self) -> None:
        self.assertFalse(Path("netservices.toml").exists())
        self.assertIsNone(find_path(None, {}, system=self.system))

    def refuse(self) -> str:
        return str(self.assertRaises(ConfigError, self.find, uid=0))

    def test_root_takes_only_roots_file(self) -> None:
        self.here.touch()
        self.here.chmod(0o644)
        if os.geteuid() == 0:
            self.assertEqual(self.find(uid=0), self.here)
            os.chown(self.here, 1000, 1000)
        self.assertIn("does not belong to root, wanted a file that only root can change", self.refuse())
        self.assertEqual(self.find("x", uid=0), Path("x"))

    def test_root_takes_no_file_that_others_may_write(self) -> None:
        self.here.touch()
        if os.geteuid() != 0:
            self.assertIn("does not belong to root", self.refuse())
            return
        for mode in (0o664, 0o646):
            self.here.chmod(mode)
            self.assertIn("may be written by others", self.refuse())

    def test_root_follows_no_link_of_others(self) -> None:
        self.here.symlink_to("/etc/passwd")
        if os.geteuid() == 0:
            self.assertEqual(self.find(uid=0), self.here)
            os.lchown(self.here, 1000, 1000)
        self.assertIn("does not belong to root", self.refuse())

    def test_link_to_nothing_is_found_for_loading_to_tell(self) -> None:
        self.here.symlink_to(self.folder / "nothing")
        self.assertEqual(self.find(), self.here)
        self.assertEqual(self.find(uid=0), self.here)
