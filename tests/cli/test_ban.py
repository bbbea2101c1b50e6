"""The verb ban."""

from __future__ import annotations

import json
import time
from ipaddress import ip_network
from typing import TYPE_CHECKING, cast

from click.testing import CliRunner
from twisted.internet.task import Clock

from netservices.cli import netservices
from netservices.cli.ban import ban as ban_group
from netservices.cli.bansource import BanSource, _NotRunningError
from netservices.daemon.bans import BanCommands
from netservices.rpc import Dispatcher
from netservices.runtime.admission import Ban, BanRegistry, MemoryBanStore
from netservices.runtime.admission.bansqlite import SqliteBanStore
from netservices.runtime.events import EventLog
from netservices.runtime.files import ImmediateFiles
from tests.cli.daemon import running_daemon
from tests.cli.test_files import CommandCase
from tests.doubles import RecordedEvents

if TYPE_CHECKING:
    from pathlib import Path

    from twisted.internet.interfaces import IReactorTime


class BanCase(CommandCase):
    """A state directory, and a registry for the daemon that may have it."""

    def setUp(self) -> None:
        super().setUp()
        self.state = self.folder / "state"
        self.state.mkdir(mode=0o700)
        self.file.write_text(f'[daemon]\nstate = "{self.state}"\n')
        clock = Clock()
        clock.rightNow = time.time()
        self.registry = BanRegistry(
            MemoryBanStore(), ImmediateFiles(), clock=cast("IReactorTime", clock), log=EventLog(RecordedEvents())
        )
        self.registry.start()
        self.addCleanup(self.registry.stop)
        self.dispatcher = Dispatcher()
        BanCommands(self.registry).register(self.dispatcher)

    def ban(self, *arguments: str, status: int = 0) -> str:
        """What the command says, on either stream."""
        return self.run_command("--config", self.file, "ban", *arguments, status=status).output

    def saved(self) -> list[Ban]:
        """What is in the state directory."""
        store = SqliteBanStore(self.state / "accounts.db")
        try:
            return store.load()
        finally:
            store.close()


class LateSource(BanSource):
    """Finds no daemon at the first attempt, as if it came up only then."""

    def __init__(self, state: Path) -> None:
        super().__init__(state)
        self.late = True

    def _call(self, verb: str, *parameters: object) -> object:
        late, self.late = self.late, False
        if late:
            raise _NotRunningError
        return super()._call(verb, *parameters)


class WithoutDaemonTests(BanCase):
    """R13: the bans of the next start."""

    def test_ban_is_added_listed_and_removed(self) -> None:
        self.assertEqual(self.ban("list"), "network\tsince\tuntil\tby\treason\n")
        said = self.ban("add", "203.0.113.0/24", "--for", "1d", "--reason", "spam")
        self.assertRegex(said, r"^203\.0\.113\.0/24 is banned since 2.*Z, until 2.*Z: spam \(by operator\)\n$")
        (ban,) = self.saved()
        self.assertEqual((ban.network, ban.reason, ban.manual), (ip_network("203.0.113.0/24"), "spam", True))
        assert ban.until is not None
        self.assertAlmostEqual(ban.until - ban.since, 86400.0)
        self.assertRegex(self.ban("list").splitlines()[1], r"^203\.0\.113\.0/24\t.*Z\t.*Z\toperator\tspam$")
        self.assertEqual(self.ban("remove", "203.0.113.0/24"), "the ban of 203.0.113.0/24 is lifted\n")
        self.assertEqual((self.saved(), self.ban("list", "--json")), ([], "[]\n"))

    def test_ban_without_an_end_is_for_good(self) -> None:
        self.assertIn("until it is removed: no reason given", self.ban("add", "2001:db8::1"))
        (told,) = json.loads(self.ban("list", "--json"))
        self.assertEqual((told["network"], told["until"], told["manual"]), ("2001:db8::1", None, True))

    def test_state_directory_is_made_by_the_first_ban_and_by_nothing_else(self) -> None:
        self.state.rmdir()
        self.ban("list")
        self.ban("remove", "203.0.113.1", status=1)
        self.assertFalse(self.state.exists())
        self.ban("add", "203.0.113.1")
        self.assertEqual(len(self.saved()), 1)
        self.assertEqual((self.state / "accounts.db").stat().st_mode & 0o777, 0o600)

    def test_ended_bans_are_not_listed(self) -> None:
        self.ban("add", "203.0.113.1")
        store = SqliteBanStore(self.state / "accounts.db")
        network = ip_network("203.0.113.2/32")
        store.save([(network, Ban(network, 1.0, 2.0, "old", "www"))])
        store.close()
        self.assertEqual(len(self.ban("list").splitlines()), 2)
        self.ban("remove", "203.0.113.2", status=1)

    def test_removing_what_is_not_there_names_the_ban_around_it(self) -> None:
        self.ban("add", "203.0.113.0/24", "--reason", "spam")
        said = self.ban("remove", "203.0.113.9", status=1)
        self.assertIn("there is no ban of 203.0.113.9; 203.0.113.0/24 is banned since", said)

    def test_wrong_usage_is_told(self) -> None:
        for arguments, text in (
            (("add", "203.0.113.1/24"), 'did you mean "203.0.113.0/24"?'),
            (("add", "host.example.org"), "is not a network"),
            (("add", "203.0.113.1", "--for", "5"), "not a duration"),
            (("add", "203.0.113.1", "--for", "0s"), "wanted more than 0s"),
            (("add", "203.0.113.1", "--reason", "a\nb"), "one printable line"),
            (("add", "203.0.113.1", "--reason", "x" * 201), "at most 200 characters"),
            (("add", "203.0.113.1", "--reason", ""), "one printable line"),
            (("remove", "x"), "is not a network"),
        ):
            self.assertIn(text, self.ban(*arguments, status=2))
        self.assertEqual(list(self.state.iterdir()), [])

    def test_loopback_is_hinted_at(self) -> None:
        for network in ("127.0.0.1", "0.0.0.0/0", "::1"):
            self.assertIn("bans.loopback = true", self.ban("add", network))
        self.assertNotIn("loopback", self.ban("add", "2001:db8::/32"))

    def test_damaged_store_is_told(self) -> None:
        (self.state / "accounts.db").write_bytes(b"no database at all" * 100)
        for arguments in (("list",), ("add", "203.0.113.1"), ("remove", "203.0.113.1")):
            self.assertIn("file is not a database", self.ban(*arguments, status=1))

    def test_group_shows_its_verbs(self) -> None:
        result = CliRunner().invoke(netservices, ["ban", "--help"])
        self.assertEqual(result.exit_code, 0)
        for verb in ban_group.commands:
            self.assertIn(verb, result.output)


class WithDaemonTests(BanCase):
    """R13: a running daemon makes the change itself."""

    def test_daemon_is_asked_and_the_disk_left_alone(self) -> None:
        with running_daemon(self.state, self.dispatcher) as calls:
            self.assertIn("203.0.113.0/24 is banned", self.ban("add", "203.0.113.0/24", "--for", "1h"))
            self.assertEqual(len(self.registry.list_bans()), 1)
            self.assertEqual(len(self.ban("list").splitlines()), 2)
            self.assertEqual(self.ban("remove", "203.0.113.0/24"), "the ban of 203.0.113.0/24 is lifted\n")
            self.assertEqual(self.registry.list_bans(), [])
            self.assertIn("there is no ban of", self.ban("remove", "203.0.113.0/24", status=1))
        self.assertEqual(calls[0], "netservices.ban.add")
        self.assertEqual(list(self.state.iterdir()), [])

    def test_long_list_is_asked_for_in_pages(self) -> None:
        for number in range(250):
            self.registry.add(ip_network((number, 32)), seconds=None, reason="")
        with running_daemon(self.state, self.dispatcher) as calls:
            self.assertEqual(len(self.ban("list").splitlines()), 251)
        self.assertEqual(len(calls), 4)

    def test_what_a_daemon_says_is_shown_without_control_characters(self) -> None:
        dispatcher = Dispatcher()
        data = {"network": "203.0.113.1", "since": 1.0, "until": None, "reason": "a\x85b", "by": "w", "manual": False}
        dispatcher.add("netservices.ban.list", lambda after: [] if after else [{**data, "number": 1}])
        with running_daemon(self.state, dispatcher):
            self.assertIn("a\\u0085b", self.ban("list"))

    def test_answer_that_is_no_ban_is_told(self) -> None:
        dispatcher = Dispatcher()
        dispatcher.add("netservices.ban.add", lambda *_: {"network": "x"})
        with running_daemon(self.state, dispatcher):
            self.assertIn("the daemon's answer is no ban", self.ban("add", "203.0.113.1", status=1))

    def test_something_that_does_not_answer_is_no_reason_to_write_behind_its_back(self) -> None:
        """Status 3."""
        with running_daemon(self.state, self.dispatcher, deaf=True):
            self.assertIn("no netservices", self.ban("add", "203.0.113.1", status=3))
        self.assertEqual(list(self.state.iterdir()), [])

    def test_ban_added_while_a_daemon_starts_reaches_it(self) -> None:
        """It may have read its bans just before ours was among them."""
        source = LateSource(self.state)
        with running_daemon(self.state, self.dispatcher) as calls:
            source.add(ip_network("203.0.113.1"), None, "spam")
            self.assertEqual(calls, ["netservices.ban.add"])
            source.late = True
            source.remove(ip_network("203.0.113.1"))
        self.assertEqual((self.registry.list_bans(), self.saved()), ([], []))
