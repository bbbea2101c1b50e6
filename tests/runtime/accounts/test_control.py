"""The verbs, on a store and in the daemon (R28)."""

from __future__ import annotations

import xmlrpc.client
from typing import TYPE_CHECKING, Any

from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.accounts import AccountControl, AccountError, LoginRefused
from netservices.runtime.accounts.errors import AccountExistsError, UnknownAccountError
from tests.runtime.accounts.doubles import Desk
from tests.runtime.accounts.test_crypts import KNOWN

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


class ToldError(Exception):
    """What the caller hears."""


class CommandTests(SynchronousTestCase):
    """R28: on the store."""

    def setUp(self) -> None:
        self.desk = Desk()
        self.commands = self.desk.commands

    def test_added_account_is_shown_without_secrets(self) -> None:
        added = self.commands.add("Anna", "hunter2", {"admin": True, "shared_secret": True})
        self.assertEqual(added, self.commands.show("ANNA"))
        self.assertEqual((added["name"], added["admin"], added["created"]), ("anna", True, 1_000_000.0))
        self.assertNotIn("hunter2", repr(added))
        self.assertEqual(self.desk.store.find("anna").secrets.shared, b"hunter2")
        self.assertRaises(AccountExistsError, self.commands.add, "ANNA", "x", {})

    def test_changes_have_their_time(self) -> None:
        self.commands.add("anna", "x", {})
        self.desk.clock.advance(5)
        self.assertEqual(self.commands.set("anna", {"admin": True})["changed"], 1_000_005.0)
        self.desk.clock.advance(5)
        self.assertEqual(self.commands.passwd("anna", "y")["changed"], 1_000_010.0)
        self.assertEqual(self.commands.show("anna")["created"], 1_000_000.0)

    def test_shared_secret_follows_the_password_where_it_is_kept(self) -> None:
        for name, keeps, shared in (("a", True, b"y"), ("b", False, None)):
            self.commands.add(name, "x", {"shared_secret": keeps})
            self.commands.passwd(name, "y")
            self.assertEqual(self.desk.store.find(name).secrets.shared, shared)

    def test_disabled_account_can_be_added(self) -> None:
        self.assertFalse(self.commands.add("anna", "x", {"enabled": False})["enabled"])

    def test_list_comes_in_pages(self) -> None:
        entries: list[object] = [[f"u{number:03}", KNOWN[0], ""] for number in range(150)]
        self.assertEqual(self.commands.import_accounts(entries), [])
        first = self.commands.list()
        rest = self.commands.list(first[-1]["name"])
        self.assertEqual((len(first), len(rest)), (100, 50))
        self.assertEqual(first[0]["password"], "apr1")
        self.assertEqual(self.commands.list("u149"), [])

    def test_import_keeps_who_is_there(self) -> None:
        self.commands.add("anna", "x", {})
        entries: list[object] = [["anna", KNOWN[0], ""], ["bert", KNOWN[1], "/home/bert"]]
        self.assertEqual(self.commands.import_accounts(entries, True), ["anna"])
        self.assertEqual(len(self.commands.list()), 1)
        self.assertEqual(self.commands.import_accounts(entries), ["anna"])
        self.assertEqual(self.commands.show("bert")["home"], "/home/bert")
        self.assertTrue(self.desk.store.find("anna").secrets.password_hash.startswith("$argon2id$"))

    def test_mistakes_are_told_whoever_calls(self) -> None:
        self.commands.add("anna", "x", {"addresses": ["a@x"]})
        calls: list[tuple[Any, tuple[object, ...], str]] = [
            (self.commands.add, ("a/b", "x", {}), "letters, digits"), (self.commands.add, (7, "x", {}), "not text"),
            (self.commands.add, ("bert", "", {}), "empty"), (self.commands.add, ("bert", b"x", {}), "not text"),
            (self.commands.add, ("bert", "x", {"admin": 1}), "true or false"),
            (self.commands.add, ("bert", "x", {"addresses": ["A@x"]}), "belongs to the account anna"),
            (self.commands.passwd, ("bert", "x"), "no account bert"),
            (self.commands.passwd, ("anna", "a\n"), "control"),
            (self.commands.set, ("bert", {}), "no account bert"), (self.commands.set, ("anna", None), "not a table"),
            (self.commands.remove, ("bert",), "no account bert"), (self.commands.show, ("bert",), "no account bert"),
            (self.commands.list, (7,), "wanted the name"), (self.commands.import_accounts, ("x",), "wanted a list"),
            (self.commands.import_accounts, ([["a", KNOWN[0], ""]] * 1001,), "at most 1000"),
            (self.commands.import_accounts, ([], 1), "dry run"),
            (self.commands.import_accounts, ([7],), "each account"),
            (self.commands.import_accounts, ([["a", 7, ""]],), "each account"),
            (self.commands.import_accounts, ([["a", "plain", ""]],), "no form that is taken"),
            (self.commands.import_accounts, ([["a", KNOWN[0], "../x"]],), '".."'),
        ]  # fmt: skip
        for command, given, text in calls:
            error = self.assertRaises(AccountError, command, *given)
            self.assertIn(text, str(error))
        self.assertEqual([account["name"] for account in self.commands.list()], ["anna"])


class ControlTests(SynchronousTestCase):
    """R28: in the daemon, where a change holds at once."""

    def setUp(self) -> None:
        self.desk = Desk()
        self.successResultOf(self.desk.accounts.start())
        self.methods = AccountControl(self.desk.accounts, self.desk.commands, ToldError).list_methods()
        self.ask("add", "anna", "old", {})

    def call(self, method: str, *parameters: object) -> Deferred[object]:
        return self.methods[f"netservices.user.{method}"](*parameters)

    def ask(self, method: str, *parameters: object) -> Any:  # noqa: ANN401 - what XML-RPC carries
        """The result, as it comes through XML-RPC."""
        result = self.successResultOf(self.call(method, *parameters))
        document = xmlrpc.client.dumps((result,), methodresponse=True, allow_none=True)  # type: ignore[arg-type]
        ((loaded,), _) = xmlrpc.client.loads(document, use_builtin_types=True)
        self.assertEqual(loaded, result)
        return loaded

    def changes(self) -> list[tuple[object, object]]:
        return [(event["account"], event["change"]) for event in self.desk.events.named("account.entry.changed")]

    def log_in(self, password: str) -> Deferred[Any]:
        return self.desk.accounts.check_password("anna", password, "files")

    def test_new_password_holds_at_once(self) -> None:
        self.successResultOf(self.log_in("old"))
        self.ask("passwd", "ANNA", "new")
        self.failureResultOf(self.log_in("old"), LoginRefused)
        self.successResultOf(self.log_in("new"))

    def test_disabled_and_removed_hold_at_once(self) -> None:
        self.successResultOf(self.log_in("old"))
        self.ask("set", "anna", {"enabled": False})
        self.failureResultOf(self.log_in("old"), LoginRefused)
        self.ask("set", "anna", {"enabled": True, "admin": True})
        self.assertTrue(self.successResultOf(self.log_in("old")).admin)
        self.assertEqual(self.ask("remove", "Anna"), "anna")
        self.failureResultOf(self.log_in("old"), LoginRefused)

    def test_changes_are_logged_without_their_values(self) -> None:
        self.ask("passwd", "anna", "hunter2")
        self.ask("set", "anna", {"home": "/x", "admin": True})
        self.ask("remove", "anna")
        self.assertEqual(
            self.changes(), [("anna", "added"), ("anna", "password"), ("anna", "admin, home"), ("anna", "removed")]
        )
        self.assertNotIn("hunter2", repr(self.desk.events.events))

    def test_import_is_logged_as_one(self) -> None:
        entries = [["anna", KNOWN[0], ""], ["bert", KNOWN[0], ""], ["carl", KNOWN[0], ""]]
        self.assertEqual(self.ask("import", entries, True), ["anna"])
        self.assertEqual(self.desk.events.named("account.entry.imported"), [])
        self.assertEqual(self.ask("import", entries), ["anna"])
        (event,) = self.desk.events.named("account.entry.imported")
        self.assertEqual(event["count"], 2)
        self.assertEqual([account["name"] for account in self.ask("list")], ["anna", "bert", "carl"])
        self.assertEqual(self.ask("show", "bert")["password"], "apr1")

    def test_what_fails_is_told_and_changes_nothing(self) -> None:
        for method, given, text in (
            ("add", ("anna", "x", {}), "already"), ("set", ("anna", {"x": 1}), "no setting"),
            ("set", (7, {}), "not text"),
            ("show", ("nobody",), "no account nobody"), ("remove", (None,), "not text"), ("import", (None,), "a list"),
        ):  # fmt: skip
            failure = self.failureResultOf(self.call(method, *given), ToldError)
            self.assertIn(text, failure.getErrorMessage())
        self.assertEqual(self.changes(), [("anna", "added")])

    def test_stopped_accounts_say_so(self) -> None:
        self.successResultOf(self.desk.accounts.stop())
        self.failureResultOf(self.call("list"), ToldError)

    def test_unknown_account_is_one_of_the_errors_that_are_told(self) -> None:
        self.assertTrue(issubclass(UnknownAccountError, AccountError))
