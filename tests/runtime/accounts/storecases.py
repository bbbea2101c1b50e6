"""What holds for any store; beside the tests, for trial runs every case it sees in a test module."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.accounts.errors import AccountExistsError, TakenError, UnknownAccountError
from netservices.runtime.accounts.model import Account, Record, Secrets
from netservices.wire.sasl import ScramKeys
from tests.runtime.accounts.doubles import make_record

if TYPE_CHECKING:
    from netservices.runtime.accounts.store import AccountStore


def put(record: Record, **fields: object) -> Record:
    """The record with other fields of its account."""
    return replace(record, account=replace(record.account, **fields))  # type: ignore[arg-type]


class StoreCases(SynchronousTestCase):
    """What holds for any store; ``make_store`` gives an empty one."""

    store: AccountStore

    def make_store(self) -> AccountStore:
        raise NotImplementedError

    def setUp(self) -> None:
        self.store = self.make_store()
        self.store.prepare()
        self.addCleanup(self.store.close)

    def test_record_comes_back_whole(self) -> None:
        """R28: everything an account has."""
        account = Account(
            "zo\u00eb", enabled=False, services=("files", "mail"), home="/srv/z", mailbox="box", admin=True,
            addresses=("a@x.org", "b@x.org"), quota_bytes=2**60, quota_files=7, subjects=("CN=zo\u00eb",), created=1.5,
            changed=2.5, last_login=3.5,
        )  # fmt: skip
        keys = ScramKeys(b"\xff" * 32, b"\0" * 32, b"\0salt", 4096)
        record = Record(account, Secrets("$argon2id$x", keys, b"\0shared\xff"), keeps_shared=True, revision=1)
        self.store.add(record)
        self.assertEqual(self.store.find("zo\u00eb"), record)

    def test_nothing_is_not_the_same_as_everything(self) -> None:
        record = Record(Account("a", services=()), Secrets("$apr1$x"))
        self.store.add(record)
        self.store.add(Record(Account("b"), Secrets("$apr1$x")))
        self.assertEqual(self.store.find("a"), record)
        self.assertEqual(self.store.find("a").account.services, ())
        self.assertIsNone(self.store.find("b").account.services)

    def test_unknown_is_unknown(self) -> None:
        for call in (
            lambda: self.store.find("x"), lambda: self.store.remove("x"), lambda: self.store.find_by_address("x@y"),
            lambda: self.store.find_by_subject("CN=x"), lambda: self.store.change("x", lambda record: record),
        ):  # fmt: skip
            self.assertRaises(UnknownAccountError, call)
        self.store.note_logins({"x": 1.0})
        self.assertEqual(self.store.list_records(), [])

    def test_name_is_given_once(self) -> None:
        self.store.add(make_record("a"))
        self.assertRaises(AccountExistsError, self.store.add, put(make_record("a"), admin=True))
        self.assertFalse(self.store.find("a").account.admin)

    def test_address_and_subject_belong_to_one(self) -> None:
        anna = put(make_record("anna"), addresses=("x@y", "a@y"), subjects=("CN=a",))
        self.store.add(anna)
        for fields in ({"addresses": ("b@y", "x@y")}, {"subjects": ("CN=a",)}):
            self.assertRaisesRegex(TakenError, "anna", self.store.add, put(make_record("bert"), **fields))
            self.assertRaises(UnknownAccountError, self.store.find, "bert")
        self.store.add(make_record("bert"))
        self.assertRaises(TakenError, self.store.change, "bert", lambda record: put(record, addresses=("a@y",)))
        self.assertEqual(self.store.find("bert"), make_record("bert"))
        self.assertEqual(self.store.find_by_address("x@y").account.name, "anna")
        self.assertEqual(self.store.find_by_subject("CN=a").account.addresses, ("a@y", "x@y"))

    def test_account_keeps_its_own_address_when_it_changes(self) -> None:
        self.store.add(put(make_record("anna"), addresses=("x@y",), subjects=("CN=a",)))
        self.store.change("anna", lambda record: put(record, addresses=("x@y", "z@y"), subjects=()))
        self.assertEqual(self.store.find_by_address("z@y").account.addresses, ("x@y", "z@y"))
        self.assertRaises(UnknownAccountError, self.store.find_by_subject, "CN=a")

    def test_change_is_counted_and_leaves_name_and_login(self) -> None:
        self.store.add(make_record("a"))
        self.store.note_logins({"a": 9.0})
        changed = self.store.change("a", lambda record: put(record, name="b", last_login=1.0, home="/x"))
        self.assertEqual(changed, self.store.find("a"))
        self.assertEqual((changed.revision, changed.account.home, changed.account.last_login), (2, "/x", 9.0))

    def test_change_to_the_same_record_is_none(self) -> None:
        self.store.add(make_record("a"))
        self.assertEqual(self.store.change("a", lambda record: record).revision, 1)

    def test_change_that_raises_changes_nothing(self) -> None:
        self.store.add(make_record("a"))

        def fail(_: Record) -> Record:
            raise ZeroDivisionError

        self.assertRaises(ZeroDivisionError, self.store.change, "a", fail)
        self.assertEqual(self.store.find("a").revision, 1)
        self.store.add(make_record("b"))

    def test_removed_account_frees_what_it_had(self) -> None:
        self.store.add(put(make_record("a"), addresses=("x@y",), subjects=("CN=a",)))
        self.store.remove("a")
        self.store.add(put(make_record("b"), addresses=("x@y",), subjects=("CN=a",)))
        self.assertEqual(self.store.find_by_address("x@y").account.name, "b")

    def test_list_goes_on_from_a_name(self) -> None:
        for name in ("c", "a", "\u00e4", "b"):
            self.store.add(put(make_record(name), addresses=(f"{name}@y",)))
        names = [record.account.name for record in self.store.list_records()]
        self.assertEqual(names, ["a", "b", "c", "\u00e4"])
        page = self.store.list_records("a", 2)
        self.assertEqual([record.account.addresses for record in page], [("b@y",), ("c@y",)])
        self.assertEqual(self.store.list_records("\u00e4", 2), [])

    def test_new_ones_are_added_and_taken_names_are_told(self) -> None:
        self.store.add(put(make_record("b"), admin=True))
        new = [make_record(name) for name in ("a", "b", "c")]
        self.assertEqual(self.store.add_new(new, dry_run=True), ["b"])
        self.assertEqual(len(self.store.list_records()), 1)
        self.assertEqual(self.store.add_new(new), ["b"])
        self.assertEqual(len(self.store.list_records()), 3)
        self.assertTrue(self.store.find("b").account.admin)

    def test_new_ones_are_added_all_or_none(self) -> None:
        new = [put(make_record(name), addresses=("x@y",)) for name in ("a", "b")]
        self.assertRaises(TakenError, self.store.add_new, new)
        self.assertEqual(self.store.list_records(), [])

    def test_secret_is_the_stores_own(self) -> None:
        self.assertEqual(len(self.store.secret()), 32)
        self.assertEqual(self.store.secret(), self.store.secret())
        other = self.make_store()
        other.prepare()
        self.addCleanup(other.close)
        self.assertNotEqual(other.secret(), self.store.secret())

    def test_preparing_again_and_closing_lose_nothing(self) -> None:
        self.store.add(make_record("a"))
        secret = self.store.secret()
        self.store.close()
        self.store.prepare()
        self.assertEqual(self.store.find("a"), make_record("a"))
        self.assertEqual(self.store.secret(), secret)

    def test_text_that_looks_like_sql_is_text(self) -> None:
        name = "a'; DROP TABLE accounts; --"
        self.store.add(make_record(name))
        self.assertEqual(self.store.find(name).account.name, name)
