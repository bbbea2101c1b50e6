"""The verbs init, check, schema and manual."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from netservices import __version__
from netservices.cli import netservices
from netservices.config.starter import make_starter
from tests.config.made_up import MadeUpKinds
from tests.config.test_loading import FIVE_MISTAKES


class CommandCase(SynchronousTestCase):
    """Runs the command with made-up kinds, in a folder of its own."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.file = self.folder / "netservices.toml"

    def run_command(self, *arguments: object, broken: bool = False, status: int = 0) -> Result:
        result = CliRunner(env={"NETSERVICES_CONFIG": ""}).invoke(
            netservices, [str(argument) for argument in arguments], obj=MadeUpKinds(broken=broken)
        )
        self.assertEqual(result.exit_code, status, result.output)
        return result


class CheckTests(CommandCase):
    """R1, R3: check tells everything; 2 means that the daemon would not start."""

    def check(self, text: str, *options: str, status: int = 0) -> Result:
        self.file.write_text(text)
        return self.run_command("check", self.file, *options, status=status)

    def test_five_mistakes_are_five_lines_and_status_2(self) -> None:
        result = self.check(FIVE_MISTAKES, status=2)
        lines = result.stderr.splitlines()
        self.assertEqual(len(lines), 5)
        for line, number in zip(lines, (2, 3, 6, 10, 12), strict=True):
            self.assertTrue(line.startswith(f"{self.file}:{number}: "), line)
        self.assertEqual(result.stdout, "")
        self.assertEqual([path.name for path in self.folder.iterdir()], ["netservices.toml"])

    def test_five_mistakes_end_the_real_command_with_2(self) -> None:
        self.file.write_text(FIVE_MISTAKES.replace("lamp", "echo").replace("lmap", "ehco"))
        done = subprocess.run(
            [sys.executable, "-m", "netservices.cli", "check", "netservices.toml"],
            cwd=self.folder, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 5, done.stderr)
        self.assertIn('did you mean "echo"?', lines[4])
        self.assertEqual([path.name for path in self.folder.iterdir()], ["netservices.toml"])

    def test_good_file_is_said_to_be(self) -> None:
        result = self.check(
            '[services.lamp]\nlisten = ["tcp:7", "tcp:8"]\n[services.shop]\nlisten = ["tcp:9"]\nenabled = false'
        )
        self.assertEqual(result.output, f"{self.file} is good: 1 service, 2 listeners, 1 off\n")

    def test_listeners_of_every_option_are_counted(self) -> None:
        result = self.check('[services.shop]\nlisten = ["tcp:7"]\nline = { listen = ["tcp:8", "tcp:9"] }')
        self.assertIn("is good: 1 service, 3 listeners", result.output)

    def test_warning_leaves_the_status_unless_strict(self) -> None:
        text = '[services.lamp]\nlisten = ["tcp:7"]\ngreeting = "off"'
        result = self.check(text)
        self.assertEqual(result.stderr, f"{self.file}:3: warning: services.lamp.greeting: lamp says off, wanted on\n")
        self.assertIn("is good", result.stdout)
        result = self.check(text, "--strict", status=2)
        self.assertIn("3: warning: ", result.stderr)
        self.assertEqual(result.stdout, "")

    def test_mistake_of_meaning_ends_with_2_and_tells_the_warnings_too(self) -> None:
        text = '[services.lamp]\nlisten = ["tcp:7"]\ngreeting = "off"\n[services.shop]\nlisten = ["tcp:7"]'
        lines = self.check(text, status=2).stderr.splitlines()
        self.assertEqual(len(lines), 2)
        self.assertIn("is taken by", lines[1])

    def test_without_a_file_the_tryout_is_checked(self) -> None:
        self.assertIn("the built-in try-out configuration is good: 2 services", self.run_command("check").stdout)

    def test_config_option_and_variable_are_heard(self) -> None:
        self.file.write_text("x = 1")
        self.assertIn("1: x: ", self.run_command("--config", self.file, "check", status=2).stderr)
        result = CliRunner(env={"NETSERVICES_CONFIG": str(self.file)}).invoke(netservices, ["check"], obj=MadeUpKinds())
        self.assertEqual(result.exit_code, 2)

    def test_missing_file_ends_with_2(self) -> None:
        self.assertIn("can't be read: No such file", self.run_command("check", self.file, status=2).stderr)

    def test_broken_kind_ends_with_2(self) -> None:
        self.assertIn('the kind "wreck"', self.run_command("check", broken=True, status=2).stderr)


class InitTests(CommandCase):
    """Section 2 of the design: the starter file."""

    def test_starter_is_written_for_all_to_read(self) -> None:
        before = os.umask(0o077)
        self.addCleanup(os.umask, before)
        result = self.run_command("init", self.file)
        self.assertIn(f"{self.file} is written", result.stdout)
        self.assertEqual(self.file.read_text(), make_starter(MadeUpKinds()))
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o644)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["netservices.toml"])
        self.run_command("check", self.file)

    def test_file_that_is_there_stays_unless_forced(self) -> None:
        self.file.write_text("mine")
        self.assertIn("is there already; --force overwrites it", self.run_command("init", self.file, status=2).stderr)
        self.assertEqual(self.file.read_text(), "mine")
        self.run_command("init", "--force", self.file)
        self.assertEqual(self.file.read_text(), make_starter(MadeUpKinds()))
        self.assertEqual([path.name for path in self.folder.iterdir()], ["netservices.toml"])

    def test_folder_that_is_missing_fails_with_1(self) -> None:
        result = self.run_command("init", self.folder / "gone" / "x.toml", status=1)
        self.assertIn("No such file or directory", result.stderr)

    def test_folder_is_not_overwritten(self) -> None:
        self.file.mkdir()
        self.run_command("init", "--force", self.file, status=1)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["netservices.toml"])

    def test_broken_kind_writes_nothing(self) -> None:
        self.assertIn('the kind "wreck"', self.run_command("init", self.file, broken=True, status=2).stderr)
        self.assertFalse(self.file.exists())


class OtherVerbTests(CommandCase):
    """The rest."""

    def test_schema_is_json(self) -> None:
        schema = json.loads(self.run_command("schema").stdout)
        self.assertIn("lamp", schema["properties"]["services"]["properties"])

    def test_manual_is_brought_up_to_date_once(self) -> None:
        page = self.folder / "lamp.md"
        page.write_text("<!-- options: lamp -->\n<!-- end -->\n")
        self.assertIn("brought up to date", self.run_command("manual", page).stdout)
        self.assertIn("`greeting`", page.read_text())
        self.assertEqual(self.run_command("manual", page).stdout, "")
        page.write_text("<!-- options: desk -->\n<!-- end -->\n")
        self.assertIn("desk", self.run_command("manual", page, status=2).stderr)

    def test_version_is_told(self) -> None:
        self.assertEqual(self.run_command("--version").stdout, f"netservices {__version__}\n")

    def test_help_names_every_public_verb(self) -> None:
        text = self.run_command("--help").stdout
        for verb in ("init", "check", "schema", "kinds"):
            self.assertRegex(text, rf"(?m)^  {verb} ")
        self.assertNotRegex(text, r"(?m)^  manual ")
        self.assertIn("3 the daemon", text)

    def test_unknown_verb_is_wrong_usage(self) -> None:
        self.assertIn("chekc", self.run_command("chekc", status=2).stderr)
