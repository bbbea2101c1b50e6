"""The verb user (R28)."""

from __future__ import annotations

import json
import os
import pty
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any
from xmlrpc.client import Fault

from click.testing import CliRunner
from twisted.trial.unittest import SkipTest

from netservices.cli import netservices
from netservices.rpc import Dispatcher, FaultCode
from netservices.runtime.accounts import AccountControl, Hasher
from netservices.runtime.accounts.sqlite import SqliteStore
from tests.cli.daemon import running_daemon
from tests.cli.test_files import CommandCase
from tests.config.made_up import MadeUpKinds
from tests.runtime.accounts.doubles import Desk
from tests.runtime.accounts.test_crypts import KNOWN

if TYPE_CHECKING:
    from netservices.runtime.accounts.model import Record


class UserCase(CommandCase):
    """A state directory."""

    def setUp(self) -> None:
        super().setUp()
        self.state = self.folder / "state"
        self.file.write_text(f'[daemon]\nstate = "{self.state}"\n')

    def user(self, *arguments: object, stdin: str | bytes = "", status: int = 0) -> str:
        """What the command says, on either stream."""
        result = CliRunner(env={"NETSERVICES_CONFIG": ""}).invoke(
            netservices,
            ["--config", str(self.file), "user", *map(str, arguments)],
            obj=MadeUpKinds(),
            input=stdin,
        )
        self.assertEqual(result.exit_code, status, result.output)
        return result.output

    def add(self, name: str, *options: object) -> str:
        return self.user("add", name, "--password-stdin", *options, stdin="s\u00e4cret\n")

    def show(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.user("show", name, "--json"))
        return found

    def find(self, name: str) -> Record:
        """What is in the database."""
        store = SqliteStore(self.state / "accounts.db")
        try:
            return store.find(name)
        finally:
            store.close()

    def has_password(self, name: str, password: str) -> bool:
        return Hasher().check(self.find(name).secrets.password_hash, password)


class WithoutDaemonTests(UserCase):
    """R28: on the database itself."""

    def test_account_goes_through_its_life(self) -> None:
        self.assertEqual(
            self.add("Anna", "--services", "files, mail", "--address", "A@x.org", "--address", "b@x.org", "--admin",
                     "--quota-bytes", "10GiB", "--quota-files", "7", "--home", "/srv/a", "--mailbox", "box",
                     "--subject", "CN=Anna", "--shared-secret"),
            "anna is added\n",
        )  # fmt: skip
        found = self.show("anna")
        for key, value in (
            ("services", ["files", "mail"]), ("addresses", ["a@x.org", "b@x.org"]), ("admin", True),
            ("quota_bytes", "10GiB"), ("quota_files", 7), ("home", "/srv/a"), ("mailbox", "box"),
            ("subjects", ["CN=Anna"]), ("shared_secret", True), ("enabled", True), ("last_login", None),
        ):  # fmt: skip
            self.assertEqual(found[key], value, key)
        self.assertLess(abs(found["created"] - time.time()), 60)
        self.assertTrue(self.has_password("anna", "s\u00e4cret"))
        self.assertEqual(self.find("anna").secrets.shared, "s\u00e4cret".encode())
        self.assertEqual(self.user("disable", "anna"), "anna is disabled\n")
        self.assertFalse(self.show("anna")["enabled"])
        self.assertEqual(self.user("enable", "ANNA"), "anna is enabled\n")
        self.assertTrue(self.show("anna")["enabled"])
        said = self.user("passwd", "anna", "--password-stdin", stdin="other\r\nmore\n")
        self.assertEqual(said, "anna has a new password\n")
        self.assertTrue(self.has_password("anna", "other"))
        self.assertIn("anna is removed", self.user("remove", "anna"))
        self.assertIn("there is no account anna", self.user("show", "anna", status=1))

    def test_settings_are_cleared_and_kept(self) -> None:
        self.add(
            "anna", "--home", "/x", "--mailbox", "box", "--quota-bytes", "1MiB", "--quota-files", "7",
            "--address", "a@x", "--subject", "CN=a", "--services", "files", "--admin", "--shared-secret",
        )  # fmt: skip
        before = self.show("anna")
        self.assertEqual(self.user("set", "anna", "--no-admin"), "anna is changed: admin\n")
        after = self.show("anna")
        self.assertEqual({**before, "admin": False, "changed": 0}, {**after, "changed": 0})
        self.user(
            "set", "anna", "--home", "none", "--mailbox", "none", "--quota-bytes", "none", "--quota-files", "none",
            "--address", "none", "--subject", "none", "--services", "all", "--no-shared-secret",
        )  # fmt: skip
        after = self.show("anna")
        for key in ("home", "mailbox", "quota_bytes", "quota_files", "services"):
            self.assertIsNone(after[key], key)
        self.assertEqual((after["addresses"], after["subjects"], after["shared_secret"]), ([], [], False))
        self.user("set", "anna", "--services", "none")
        self.assertEqual(self.show("anna")["services"], [])

    def test_list_is_a_table_and_json(self) -> None:
        self.add("bert", "--services", "none")
        self.add("anna", "--admin")
        lines = self.user("list").splitlines()
        self.assertEqual(lines[0].split("\t"), ["name", "enabled", "services", "admin", "password", "last login"])
        self.assertEqual(lines[1].split("\t"), ["anna", "yes", "all", "yes", "argon2id", "never"])
        self.assertEqual(lines[2].split("\t"), ["bert", "yes", "none", "no", "argon2id", "never"])
        self.assertEqual([account["name"] for account in json.loads(self.user("list", "--json"))], ["anna", "bert"])

    def test_show_is_for_people_and_has_no_secrets(self) -> None:
        self.add("anna", "--shared-secret")
        text = self.user("show", "anna")
        self.assertIn("\nservices: all\n", text)
        self.assertIn("\nhome: its own\n", text)
        self.assertIn("\nquota bytes: none\n", text)
        self.assertIn("\nlast login: never\n", text)
        for secret in ("s\u00e4cret", "argon2id$"):
            self.assertNotIn(secret, text + self.user("show", "anna", "--json"))

    def test_mistakes_end_with_their_status_and_change_nothing(self) -> None:
        self.add("anna")
        for arguments, stdin, status, text in (
            (("add", "anna", "--password-stdin"), "x\n", 1, "there is an account anna already"),
            (("add", "a/b", "--password-stdin"), "x\n", 1, "letters, digits"),
            (("add", "bert", "--password-stdin"), "\n", 2, "no password on stdin"),
            (("add", "bert", "--password-stdin"), "", 2, "no password on stdin"),
            (("add", "bert", "--password-stdin"), b"\xff\n", 2, "not UTF-8"),
            (("add", "bert", "--password-stdin"), "x" * 9000, 1, "1024"),
            (("add", "bert", "--password-stdin"), "a\x07b\n", 1, "control"),
            (("add", "bert"), "x\n", 2, "--password-stdin"), (("add", "bert", "x"), "", 2, "unexpected extra argument"),
            (("passwd", "bert", "--password-stdin"), "x\n", 1, "no account bert"),
            (("set", "anna"), "", 2, "nothing to set"), (("set", "anna", "--quota-bytes", "7"), "", 1, "not a size"),
            (("set", "anna", "--quota-files", "seven"), "", 1, "wanted a number"),
            (("set", "anna", "--quota-files", "9" * 10), "", 1, "wanted a number"),
            (("set", "anna", "--services", "a b"), "", 1, "is not the name of a section"),
            (("remove", "bert"), "", 1, "no account bert"), (("disable", "bert"), "", 1, "no account bert"),
        ):  # fmt: skip
            self.assertIn(text, self.user(*arguments, stdin=stdin, status=status), arguments)
        self.assertEqual(len(self.user("list").splitlines()), 2)

    def test_damaged_database_is_named(self) -> None:
        self.state.mkdir(mode=0o700)
        (self.state / "accounts.db").write_bytes(b"nonsense" * 1000)
        self.assertIn(f"{self.state}/accounts.db: is damaged or no database", self.user("list", status=1))

    def test_state_that_is_a_file_is_told(self) -> None:
        self.state.write_text("")
        self.assertIn("can't be used", self.user("list", status=1))

    def test_help_needs_nothing(self) -> None:
        self.file.unlink()
        self.assertIn("--password-stdin", self.user("add", "--help"))
        self.assertFalse(self.state.exists())

    def test_password_is_asked_for_twice_at_a_terminal(self) -> None:
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        # In a session of its own there is no other terminal to ask at.
        child = subprocess.Popen(
            [sys.executable, "-m", "netservices.cli", "--config", str(self.file), "user", "add", "anna"],
            stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert child.stderr is not None
        for _ in range(2):
            asked = b""
            while not asked.endswith(b": "):
                octet = child.stderr.read(1)
                self.assertNotEqual(octet, b"", asked)
                asked += octet
            os.write(ours, b"terminal\n")
        output, errors = child.communicate(timeout=60)
        self.assertEqual((child.returncode, output), (0, b"anna is added\n"))
        self.assertNotIn(b"terminal", errors)
        self.assertTrue(self.has_password("anna", "terminal"))

    def test_root_writes_as_the_owner_of_the_state(self) -> None:
        if os.geteuid() != 0:
            raise SkipTest("only root can become somebody else")
        state = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, state)
        os.chown(state, 65534, 65534)
        self.file.write_text(f'[daemon]\nstate = "{state}"\n')
        # Coverage could not write what it has measured as that user.
        environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        done = subprocess.run(
            [sys.executable, "-m", "netservices.cli", "--config", str(self.file),
             "user", "add", "anna", "--password-stdin"],
            input=b"x\n", capture_output=True, timeout=60, check=False, env=environ,
        )  # fmt: skip
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual({path.stat().st_uid for path in state.iterdir()}, {65534})


class ImportTests(UserCase):
    """R28: accounts from elsewhere."""

    def test_lines_become_accounts_and_the_others_are_told(self) -> None:
        self.add("anna")
        source = self.folder / "htpasswd"
        source.write_text(f"anna:{KNOWN[0]}\nbert:{KNOWN[1]}\ncarl:plain\n")
        for options, verb in ((["--dry-run"], "would be"), ([], "are")):
            said = self.user("import", source, *options)
            self.assertIn(f"{source}:1: anna: there is an account of the name\n", said)
            self.assertIn(f"{source}:3: carl: its password is not hashed\n", said)
            self.assertIn(f"1 {verb} imported, 2 {verb} skipped\n", said)
            self.assertEqual(len(self.user("list").splitlines()), 2 if options else 3)
        self.assertEqual(self.show("bert")["password"], "bcrypt")
        self.assertTrue(self.has_password("anna", "s\u00e4cret"))

    def test_homes_and_stdin(self) -> None:
        line = f"bert:{KNOWN[3]}:1:1:Bert:/home/bert:/bin/sh\n"
        self.user("import", "-", "--homes", stdin=line)
        self.assertEqual(self.show("bert")["home"], "/home/bert")
        self.user("import", "-", stdin=line.replace("bert", "carl"))
        self.assertIsNone(self.show("carl")["home"])

    def test_missing_file_is_wrong_usage(self) -> None:
        self.assertIn("No such file", self.user("import", self.folder / "gone", status=2))

    def test_five_thousand_lines_are_fast(self) -> None:
        source = self.folder / "passwd"
        source.write_text("".join(f"user{n}:{KNOWN[3]}:{n}:{n}:User {n}:/home/user{n}:/bin/sh\n" for n in range(5000)))
        began = time.process_time()
        self.assertIn("5000 are imported, 0 are skipped", self.user("import", source, "--homes"))
        self.assertLess(time.process_time() - began, 5)
        self.assertEqual(len(json.loads(self.user("list", "--json"))), 5000)


class WithDaemonTests(UserCase):
    """R28: through the running daemon."""

    def setUp(self) -> None:
        super().setUp()
        self.state.mkdir(mode=0o700)
        self.desk = Desk()
        self.successResultOf(self.desk.accounts.start())
        self.dispatcher = Dispatcher()
        control = AccountControl(
            self.desk.accounts, self.desk.commands, lambda text: Fault(int(FaultCode.FAILED), text)
        )
        for name, method in control.list_methods().items():
            self.dispatcher.add(name, method)

    def test_every_verb_reaches_the_daemon_and_holds_at_once(self) -> None:
        with running_daemon(self.state, self.dispatcher) as calls:
            self.assertEqual(self.add("anna", "--quota-bytes", "10GiB"), "anna is added\n")
            check = self.desk.accounts.check_password
            self.assertEqual(self.successResultOf(check("anna", "s\u00e4cret", "x")).quota_bytes, 10 << 30)
            self.user("passwd", "anna", "--password-stdin", stdin="other\n")
            self.successResultOf(check("anna", "other", "x"))
            self.assertIsNone(self.desk.accounts.recall("anna", "s\u00e4cret", "x"))
            self.user("set", "anna", "--admin")
            self.assertTrue(self.show("anna")["admin"])
            self.user("disable", "anna")
            self.assertIsNone(self.desk.accounts.recall("anna", "other", "x"))
            self.user("enable", "anna")
            entries = "".join(f"u{number:03}:{KNOWN[0]}\n" for number in range(150))
            self.assertIn("150 are imported", self.user("import", "-", stdin=entries))
            self.assertEqual(len(self.user("list").splitlines()), 152)
            self.user("remove", "anna")
            self.assertIn("there is no account anna", self.user("show", "anna", status=1))
        self.assertEqual(calls.count("netservices.user.import"), 2)
        self.assertEqual(calls.count("netservices.user.set"), 3)
        self.assertFalse((self.state / "accounts.db").exists())

    def test_daemon_that_does_not_answer_is_not_gone_round(self) -> None:
        listening = socket.socket(socket.AF_UNIX)
        self.addCleanup(listening.close)
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        self.file.write_text(f'[daemon]\nstate = "{folder}"\n')
        listening.bind(str(folder / "control"))
        listening.listen()

        def hang_up() -> None:
            # The standard library's client tries a second time.
            for _ in range(2):
                connection, _ = listening.accept()
                connection.close()

        thread = Thread(target=hang_up)
        thread.start()
        self.addCleanup(thread.join)
        self.assertIn("netservices: ", self.user("list", status=3))
        self.assertFalse((folder / "accounts.db").exists())

    def test_dead_daemons_socket_does_not_matter(self) -> None:
        left = socket.socket(socket.AF_UNIX)
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        self.file.write_text(f'[daemon]\nstate = "{folder}"\n')
        left.bind(str(folder / "control"))
        left.close()
        self.add("anna")
        self.assertTrue((folder / "accounts.db").exists())
