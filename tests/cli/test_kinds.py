"""The verb kinds."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

from tests.cli.test_files import CommandCase


class KindsTests(CommandCase):
    """What can be served, for people and for programs."""

    def test_every_kind_has_its_line(self) -> None:
        self.assertEqual(
            self.run_command("kinds").stdout.splitlines(),
            [
                "kind\twhat it does\tknown at", "lamp\twhat a lamp does\ttcp:7 udp:7",
                "shop\twhat a shop does\ttcp:6667 unix:/run/shop",
            ],
        )  # fmt: skip

    def test_broken_kind_does_not_hide_the_others(self) -> None:
        lines = self.run_command("kinds", broken=True).stdout.splitlines()
        self.assertEqual(len(lines), 4)
        self.assertIn('wreck\tthe kind "wreck" can\'t be loaded', lines[3])

    def test_kind_shows_its_own_options(self) -> None:
        text = self.run_command("kinds", "lamp").stdout
        self.assertIn("lamp: A lamp that can be asked whether it is on.", text)
        self.assertIn('greeting\ta text\t"on"\tWhat it says.', text)
        self.assertNotIn("\nlisten\t", text)
        self.assertIn(
            "\nlisten\ta list of listen entries\trequired\t", self.run_command("kinds", "--all", "lamp").stdout
        )
        self.assertIn("root\ta folder's path\t-\tThe folder.", self.run_command("kinds", "shop").stdout)

    def test_unknown_kind_is_wrong_usage(self) -> None:
        self.assertIn('"lmap" is not a kind of service, wanted "lamp" or "shop", did you mean "lamp"?',
                      self.run_command("kinds", "lmap", status=2).stderr)  # fmt: skip

    def test_broken_kind_is_told(self) -> None:
        self.assertIn('the kind "wreck"', self.run_command("kinds", "wreck", broken=True, status=2).stderr)

    def test_json_is_for_programs(self) -> None:
        listed = json.loads(self.run_command("kinds", "--json").stdout)
        self.assertEqual(listed[0], {"kind": "lamp", "summary": "what a lamp does", "listen": ["tcp:7", "udp:7"]})
        told = json.loads(self.run_command("kinds", "--json", "lamp").stdout)
        self.assertEqual(told["options"][0]["key"], "greeting")
        self.assertEqual(told["tryout"], {"listen": ["tcp:7", "udp:7"]})

    def test_kind_without_options_says_so(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "netservices.cli", "kinds", "echo"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        self.assertIn("It has no options of its own.", done.stdout)

    def test_on_a_terminal_there_is_a_table(self) -> None:
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        environment = {**os.environ, "COLUMNS": "60", "TERM": "xterm"}
        subprocess.run(
            [sys.executable, "-m", "netservices.cli", "kinds"], stdout=slave, timeout=60, check=True, env=environment
        )
        os.close(slave)
        shown = os.read(master, 65536).decode()
        self.assertRegex(shown, r"echo +sends back")
        self.assertNotIn("\t", shown)
