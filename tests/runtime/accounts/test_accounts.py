"""Logins: one answer for all that fail, none of it on the reactor (R25, R26, R27)."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime import EventLog
from netservices.runtime.accounts import LoginBusy, LoginRefused, UnknownAccountError
from netservices.runtime.accounts.errors import HashUnusableError, StoreBusyError
from netservices.runtime.accounts.memory import MemoryStore
from netservices.runtime.accounts.model import Account, Record, Secrets
from netservices.wire.sasl import ScramKeys, SharedSecret, make_scram_keys
from tests.runtime.accounts.doubles import Desk, make_hasher
from tests.runtime.accounts.test_crypts import KNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class BrokenStore(MemoryStore):
    """Raises ``fault`` once it is set."""

    fault: Exception | None = None
    note_fault: Exception | None = None

    def find(self, name: str) -> Record:
        if self.fault is not None:
            raise self.fault
        return super().find(name)

    def note_logins(self, times: Mapping[str, float]) -> None:
        if self.note_fault is not None:
            raise self.note_fault
        super().note_logins(times)

    def close(self) -> None:
        if self.fault is not None:
            raise self.fault


class AccountsCase(SynchronousTestCase):
    """Anna is in, and Bert is disabled."""

    def setUp(self) -> None:
        self.open(Desk())

    def open(self, desk: Desk) -> None:
        self.desk = desk
        self.accounts = desk.accounts
        self.successResultOf(desk.accounts.start())
        desk.commands.add("anna", "s\u00e4cret", {"services": ["files", "mail"], "addresses": ["a@x.org"]})
        desk.commands.add("bert", "right", {"enabled": False})

    def log_in(self, name: str | bytes, password: str | bytes, service: str | None = "files") -> Deferred[Account]:
        return self.accounts.check_password(name, password, service)

    def refused(self) -> list[dict[str, object]]:
        return self.desk.events.named("account.login.refused")


class PasswordTests(AccountsCase):
    """R25: one account, one answer."""

    def test_good_password_gives_the_account_without_secrets(self) -> None:
        account = self.successResultOf(self.log_in("anna", "s\u00e4cret"))
        self.assertEqual(account.addresses, ("a@x.org",))
        self.assertNotIn("argon2", repr(account))
        (event,) = self.desk.events.named("account.login.accepted")
        self.assertEqual((event["account"], event["service"], event["method"]), ("anna", "files", "password"))

    def test_any_carrier_of_the_name_and_password_gets_the_same_answer(self) -> None:
        for name in ("anna", "ANNA", b"Anna"):
            for password in ("s\u00e4cret", "sa\u0308cret", "s\u00e4cret".encode(), "sa\u0308cret".encode()):
                self.assertEqual(self.successResultOf(self.log_in(name, password)).name, "anna")

    def test_every_failure_has_the_same_words(self) -> None:
        """R27."""
        texts = set()
        for name, password, service, why in (
            ("nobody", "x", "files", "unknown name"), ("anna", "wrong", "files", "not proved"),
            ("anna", "S\u00e4cret", "files", "not proved"), ("bert", "right", "files", "disabled"),
            ("bert", "wrong", "files", "not proved"), ("anna", "s\u00e4cret", "chat", "not allowed here"),
            ("anna", "s\u00e4cret", None, "not allowed here"), ("anna", "", "files", "unknown name"),
            ("", "", "files", "unknown name"), ("../anna", "x", "files", "unknown name"),
            (b"\xff", b"\xff", "files", "unknown name"), ("anna", "x" * 5000, "files", "unknown name"),
            ("anna", "s\u00e4cret\0", "files", "unknown name"),
        ):  # fmt: skip
            failure = self.failureResultOf(self.log_in(name, password, service), LoginRefused)
            texts.add(failure.getErrorMessage())
            self.assertEqual(self.refused()[-1]["why"], why)
        self.assertEqual(texts, {"the name or the password is wrong"})

    def test_every_failure_costs_one_hash(self) -> None:
        """R27: an unknown name is checked against a hash of the same parameters."""
        for name, password in (("nobody", "x"), ("anna", "wrong"), ("bert", "right"), ("", "x"), ("anna", "")):
            self.desk.hasher.asked.clear()
            self.failureResultOf(self.log_in(name, password), LoginRefused)
            self.assertEqual(len(self.desk.hasher.asked), 1, name)

    def test_what_was_typed_for_an_unknown_name_is_not_logged(self) -> None:
        self.failureResultOf(self.log_in("my-password", "x"), LoginRefused)
        self.failureResultOf(self.log_in("anna", "hunter2"), LoginRefused)
        self.assertEqual([event["account"] for event in self.refused()], [None, "anna"])
        for event in self.desk.events.events:
            self.assertNotIn("my-password", repr(event))
            self.assertNotIn("hunter2", repr(event))

    def test_session_log_tells_the_peer(self) -> None:
        log = EventLog(self.desk.events, peer="192.0.2.7", session="s-1")
        self.failureResultOf(self.accounts.check_password("anna", "x", "files", log=log), LoginRefused)
        self.successResultOf(self.accounts.check_password("anna", "s\u00e4cret", "files", log=log))
        for name in ("refused", "accepted"):
            (event,) = self.desk.events.named(f"account.login.{name}")
            self.assertEqual((event["peer"], event["session"]), ("192.0.2.7", "s-1"))

    def test_thousand_characters_are_a_password(self) -> None:
        self.desk.commands.passwd("anna", "x" * 1000)
        self.successResultOf(self.log_in("anna", "x" * 1000))
        self.failureResultOf(self.log_in("anna", "x" * 999), LoginRefused)

    def test_account_that_may_everything_may_what_says_no_name(self) -> None:
        self.desk.commands.add("carl", "x", {})
        self.assertEqual(self.successResultOf(self.log_in("carl", "x", None)).name, "carl")

    def test_last_login_is_kept_once_a_minute(self) -> None:
        self.open(Desk(cache_life=0))
        self.successResultOf(self.log_in("anna", "s\u00e4cret"))
        self.assertEqual(self.desk.commands.show("anna")["last_login"], 1_000_000.0)
        self.desk.clock.advance(59)
        self.successResultOf(self.log_in("anna", "s\u00e4cret"))
        self.assertEqual(self.desk.commands.show("anna")["last_login"], 1_000_000.0)
        self.desk.clock.advance(1)
        self.successResultOf(self.log_in("anna", "s\u00e4cret"))
        self.assertEqual(self.desk.commands.show("anna")["last_login"], 1_000_060.0)


class TimeTests(AccountsCase):
    """R27: refusals come at whole steps."""

    def setUp(self) -> None:
        self.open(Desk(refusal_step=0.25))

    def test_refusal_is_heard_a_step_after_it_was_asked_for(self) -> None:
        for name, password in (("nobody", "x"), ("anna", "x"), ("bert", "right"), ("", "")):
            waiting = self.log_in(name, password)
            self.desk.clock.advance(0.24)
            self.assertNoResult(waiting)
            self.desk.clock.advance(0.02)
            self.failureResultOf(waiting, LoginRefused)
            self.desk.clock.advance(0.24)

    def test_slow_hash_ends_at_the_next_step(self) -> None:
        self.desk.hash_pool.hold()
        waiting = self.log_in("anna", "x")
        self.desk.clock.advance(0.3)
        self.desk.hash_pool.release()
        self.desk.clock.advance(0.19)
        self.assertNoResult(waiting)
        self.desk.clock.advance(0.02)
        self.failureResultOf(waiting, LoginRefused)

    def test_good_login_does_not_wait(self) -> None:
        self.successResultOf(self.log_in("anna", "s\u00e4cret"))

    def test_cancelled_refusal_leaves_no_timer(self) -> None:
        waiting = self.log_in("anna", "x")
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.desk.clock.getDelayedCalls(), [])


class CacheTests(AccountsCase):
    """R27: repeated good logins cost no hash, and what changes counts at once."""

    def setUp(self) -> None:
        super().setUp()
        self.successResultOf(self.log_in("anna", "s\u00e4cret"))
        self.desk.hasher.asked.clear()

    def test_repeated_good_login_is_not_hashed_for_a_minute(self) -> None:
        self.desk.clock.advance(59)
        self.successResultOf(self.log_in("anna", "s\u00e4cret", "mail"))
        self.assertEqual(self.desk.hasher.asked, [])
        self.desk.clock.advance(1)
        self.successResultOf(self.log_in("anna", "s\u00e4cret"))
        self.assertEqual(len(self.desk.hasher.asked), 1)

    def test_remembered_account_still_may_not_use_other_services(self) -> None:
        self.failureResultOf(self.log_in("anna", "s\u00e4cret", "chat"), LoginRefused)
        self.assertIsNone(self.accounts.recall("anna", "s\u00e4cret", "chat"))

    def test_wrong_password_is_looked_at_every_time_and_displaces_nothing(self) -> None:
        for _ in range(2):
            self.failureResultOf(self.log_in("anna", "x"), LoginRefused)
        self.assertEqual(len(self.desk.hasher.asked), 2)
        self.successResultOf(self.log_in("anna", "s\u00e4cret"))
        self.assertEqual(len(self.desk.hasher.asked), 2)

    def test_recalled_login_is_silent(self) -> None:
        before = len(self.desk.events.events)
        account = self.accounts.recall(b"Anna", "s\u00e4cret".encode(), "files")
        assert account is not None
        self.assertEqual(account.name, "anna")
        for name, password in (("anna", "x"), ("nobody", "x"), ("", ""), (b"\xff", "x")):
            self.assertIsNone(self.accounts.recall(name, password, "files"))
        self.assertEqual(len(self.desk.events.events), before)

    def test_changed_account_is_looked_at_anew(self) -> None:
        for change in (
            lambda: self.desk.commands.passwd("anna", "other"),
            lambda: self.desk.commands.set("anna", {"enabled": False}),
            lambda: self.desk.commands.remove("anna"),
        ):  # fmt: skip
            self.open(Desk())
            self.successResultOf(self.log_in("anna", "s\u00e4cret"))
            change()
            self.accounts.report_change("anna", "test")
            self.assertIsNone(self.accounts.recall("anna", "s\u00e4cret", "files"))
            self.failureResultOf(self.log_in("anna", "s\u00e4cret"), LoginRefused)


class TogetherTests(AccountsCase):
    """R27: a login storm."""

    def test_same_login_at_once_is_hashed_once(self) -> None:
        self.desk.hash_pool.hold()
        waiting = [self.log_in("anna", "s\u00e4cret", service) for service in ("files", "mail", "chat")]
        self.desk.hash_pool.release()
        self.assertEqual(len(self.desk.hasher.asked), 1)
        self.successResultOf(waiting[0])
        self.successResultOf(waiting[1])
        self.failureResultOf(waiting[2], LoginRefused)

    def test_one_that_goes_away_does_not_matter_to_the_other(self) -> None:
        self.desk.hash_pool.hold()
        first, second = self.log_in("anna", "s\u00e4cret"), self.log_in("anna", "s\u00e4cret")
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.desk.hash_pool.release()
        self.successResultOf(second)

    def test_login_that_everybody_left_is_not_hashed(self) -> None:
        self.desk.hash_pool.hold()
        waiting = [self.log_in("anna", "s\u00e4cret") for _ in range(2)]
        for login in waiting:
            login.cancel()
            self.failureResultOf(login, CancelledError)
        self.desk.hash_pool.release()
        self.assertEqual(self.desk.hasher.asked, [])
        self.assertEqual(self.accounts._checks, {})
        self.assertEqual(self.desk.events.named("account.login.deferred"), [])
        self.successResultOf(self.log_in("anna", "s\u00e4cret"))

    def test_more_than_may_wait_are_put_off_and_told_once_a_minute(self) -> None:
        self.open(Desk(queue=2))
        self.desk.hash_pool.hold()
        waiting = [self.log_in("anna", f"{number}") for number in range(9)]
        for login in waiting[3:]:
            self.assertIn("try again later", self.failureResultOf(login, LoginBusy).getErrorMessage())
        (event,) = self.desk.events.named("account.login.deferred")
        self.assertEqual(event["count"], 1)
        self.desk.clock.advance(60)
        self.failureResultOf(self.log_in("anna", "x"), LoginBusy)
        self.assertEqual(self.desk.events.named("account.login.deferred")[1]["count"], 6)
        self.desk.hash_pool.release()
        for login in waiting[:3]:
            self.failureResultOf(login, LoginRefused)
        self.successResultOf(self.log_in("anna", "s\u00e4cret"))

    def test_remembered_login_is_answered_in_a_storm(self) -> None:
        self.open(Desk(queue=0))
        self.successResultOf(self.log_in("anna", "s\u00e4cret"))
        self.desk.hash_pool.hold()
        self.log_in("anna", "x").addErrback(lambda _: None)
        self.failureResultOf(self.log_in("anna", "y"), LoginBusy)
        self.successResultOf(self.log_in("anna", "s\u00e4cret"))
        self.desk.hash_pool.release()

    def test_change_during_a_look_counts(self) -> None:
        for change, name in (({"enabled": False}, "disabled"), ({"services": []}, "not allowed here")):
            self.open(Desk())
            self.desk.hash_pool.hold()
            waiting = self.log_in("anna", "s\u00e4cret")
            self.desk.commands.set("anna", change)
            self.accounts.report_change("anna", "test")
            late = self.log_in("anna", "s\u00e4cret")
            self.desk.hash_pool.release()
            for login in (waiting, late):
                self.failureResultOf(login, LoginRefused)
            self.assertEqual([event["why"] for event in self.refused()], [name, name])
            self.assertEqual(len(self.desk.hasher.asked), 2)

    def test_disabled_account_is_not_remembered(self) -> None:
        self.failureResultOf(self.log_in("bert", "right"), LoginRefused)
        self.assertEqual(len(self.accounts._cache), 0)

    def test_password_changed_during_a_look_counts(self) -> None:
        self.desk.hash_pool.hold()
        old, new = self.log_in("anna", "s\u00e4cret"), self.log_in("anna", "other")
        self.desk.commands.passwd("anna", "other")
        self.accounts.report_change("anna", "password")
        self.desk.hash_pool.release()
        self.failureResultOf(old, LoginRefused)
        self.successResultOf(new)


class UpgradeTests(AccountsCase):
    """R26: what is kept of a password becomes today's at the next good login."""

    def import_line(self, name: str, stored: str) -> None:
        self.assertEqual(self.desk.commands.import_accounts([[name, stored, ""]]), [])

    def test_imported_hash_becomes_argon2id_and_scram_keys(self) -> None:
        for number, stored in enumerate(KNOWN):
            name = f"old{number}"
            self.import_line(name, stored)
            self.failureResultOf(self.log_in(name, "hallo"), LoginRefused)
            self.assertEqual(self.desk.store.find(name).secrets, Secrets(stored))
            self.successResultOf(self.log_in(name, "hello"))
            secrets = self.desk.store.find(name).secrets
            self.assertTrue(secrets.password_hash.startswith("$argon2id$"))
            assert secrets.scram is not None
            self.assertEqual(make_scram_keys("hello", secrets.scram.salt, 4096), secrets.scram)
            self.assertEqual(self.desk.events.named("account.hash.upgraded")[-1]["account"], name)
            self.accounts.forget(name)
            self.successResultOf(self.log_in(name, "hello"))
        self.assertEqual(len(self.desk.events.named("account.hash.upgraded")), len(KNOWN))

    def test_older_parameters_are_replaced(self) -> None:
        older = make_hasher(passes=2).make_secrets("x")
        self.desk.store.add(Record(Account("old"), older))
        self.successResultOf(self.log_in("old", "x"))
        self.assertIn(",t=1,", self.desk.store.find("old").secrets.password_hash)

    def test_shared_secret_comes_with_the_first_password_seen(self) -> None:
        self.desk.commands.set("anna", {"shared_secret": True})
        self.assertIsNone(self.desk.store.find("anna").secrets.shared)
        self.successResultOf(self.log_in("anna", "s\u00e4cret"))
        self.assertEqual(self.desk.store.find("anna").secrets.shared, "s\u00e4cret".encode())
        self.desk.commands.set("anna", {"shared_secret": False})
        self.assertIsNone(self.desk.store.find("anna").secrets.shared)

    def test_password_changed_meanwhile_stays(self) -> None:
        self.import_line("old", KNOWN[0])
        self.desk.store_pool.hold()
        waiting = self.log_in("old", "hello")
        self.desk.store_pool.release()
        self.successResultOf(waiting)
        # The same once more, with the change between the look and the writing.
        self.import_line("old2", KNOWN[0])
        change = self.desk.store.change

        def interfere(name: str, edit: Callable[[Record], Record]) -> Record:
            change(name, lambda record: replace(record, secrets=Secrets("$argon2id$new")))
            return change(name, edit)

        self.desk.store.change = interfere  # type: ignore[method-assign]
        self.successResultOf(self.log_in("old2", "hello"))
        self.assertEqual(self.desk.store.find("old2").secrets.password_hash, "$argon2id$new")
        self.assertEqual(len(self.desk.events.named("account.hash.upgraded")), 1)

    def test_hash_that_cannot_be_checked_is_told_to_the_operator_only(self) -> None:
        self.desk.hasher.fault = HashUnusableError("no libcrypt")
        self.failureResultOf(self.log_in("anna", "s\u00e4cret"), LoginRefused)
        (event,) = self.desk.events.named("account.hash.rejected")
        self.assertEqual((event["account"], event["why"]), ("anna", "no libcrypt"))

    def test_lack_of_memory_is_temporary(self) -> None:
        self.desk.hasher.fault = MemoryError("Memory allocation error")
        self.failureResultOf(self.log_in("anna", "s\u00e4cret"), LoginBusy)
        self.desk.hasher.fault = None
        self.successResultOf(self.log_in("anna", "s\u00e4cret"))


class ScramTests(AccountsCase):
    """R26: SCRAM from the keys, R27: nobody can tell who has some."""

    def find(self, name: str | bytes, service: str | None = "files") -> ScramKeys:
        return self.successResultOf(self.accounts.find_scram_keys(name, service))

    def test_real_keys_are_found_by_every_form_of_the_name(self) -> None:
        keys = self.find("anna")
        self.assertTrue(keys.genuine)
        self.assertEqual(self.find(b"ANNA"), keys)
        self.assertEqual(keys, self.desk.store.find("anna").secrets.scram)

    def test_who_may_not_gets_keys_like_an_unknown_name(self) -> None:
        self.desk.commands.import_accounts([["old", KNOWN[0], ""]])
        for name, service in (
            ("nobody", "files"), ("bert", "files"), ("anna", "chat"), ("old", "files"), (b"\xff", "x"), ("a/b", "x"),
        ):  # fmt: skip
            keys = self.find(name, service)
            self.assertFalse(keys.genuine)
            self.assertEqual((len(keys.salt), keys.iterations), (16, 4096))
            self.assertEqual(self.find(name, service), keys)
        self.assertEqual(self.find("NoBody"), self.find(b"nobody"))
        self.assertNotEqual(self.find("nobody").salt, self.find("nobody2").salt)

    def test_fake_keys_outlive_the_process(self) -> None:
        keys = self.find("nobody")
        self.desk = Desk(self.desk.store)
        self.accounts = self.desk.accounts
        self.successResultOf(self.accounts.start())
        self.assertEqual(self.find("nobody"), keys)

    def prove(
        self, name: str, shown: ScramKeys | SharedSecret, service: str = "files", *, proved: bool = True
    ) -> Deferred[Account]:
        return self.accounts.check_proof(name, shown, service, proved=proved)

    def test_proof_lets_in_who_may(self) -> None:
        self.assertEqual(self.successResultOf(self.prove("Anna", self.find("anna"))).name, "anna")
        self.assertEqual(self.desk.events.named("account.login.accepted")[-1]["method"], "scram")

    def test_proof_of_keys_that_are_not_genuine_lets_nobody_in(self) -> None:
        for name, service in (("nobody", "files"), ("bert", "files"), ("anna", "chat"), ("", "files")):
            self.failureResultOf(self.prove(name, self.find(name, service), service), LoginRefused)
        self.failureResultOf(self.prove("anna", self.find("anna"), "chat"), LoginRefused)
        self.failureResultOf(self.prove("bert", self.find("anna")), LoginRefused)
        self.failureResultOf(self.prove("nobody", self.find("anna")), LoginRefused)

    def test_failed_exchange_is_refused_and_told(self) -> None:
        self.failureResultOf(self.prove("anna", self.find("anna"), proved=False), LoginRefused)
        self.assertEqual([(event["account"], event["why"]) for event in self.refused()], [("anna", "not proved")])

    def test_proof_of_keys_that_were_replaced_does_not_hold(self) -> None:
        keys = self.find("anna")
        self.desk.commands.passwd("anna", "s\u00e4cret")
        self.failureResultOf(self.prove("anna", keys), LoginRefused)

    def test_shared_secret_is_of_who_opted_in(self) -> None:
        self.desk.commands.add("carl", "shared", {"shared_secret": True})
        shown = self.successResultOf(self.accounts.find_shared_secret("CARL", "files"))
        self.assertEqual(shown, SharedSecret(b"shared"))
        self.assertEqual(self.successResultOf(self.prove("carl", shown)).name, "carl")
        self.assertEqual(self.desk.events.named("account.login.accepted")[-1]["method"], "secret")
        self.failureResultOf(self.prove("carl", shown, proved=False), LoginRefused)
        self.failureResultOf(self.prove("anna", shown), LoginRefused)
        self.failureResultOf(self.prove("anna", SharedSecret(b"")), LoginRefused)
        self.desk.commands.set("carl", {"enabled": False})
        self.failureResultOf(self.prove("carl", shown), LoginRefused)
        for name in ("anna", "nobody", "", "carl"):
            fake = self.successResultOf(self.accounts.find_shared_secret(name, "files"))
            self.assertFalse(fake.genuine)
            self.assertEqual(len(fake.secret), 32)
            self.failureResultOf(self.prove(name, fake), LoginRefused)


class OtherMethodsTests(AccountsCase):
    """R21, and what is no login."""

    def test_certificate_is_its_account(self) -> None:
        self.desk.commands.set("anna", {"subjects": ["CN=Anna,O=X"]})
        self.assertEqual(self.successResultOf(self.accounts.check_subject("CN=Anna,O=X", "files")).name, "anna")
        for subject, service in (("CN=Anna,O=X", "chat"), ("CN=anna,O=X", "files"), ("", "files")):
            self.failureResultOf(self.accounts.check_subject(subject, service), LoginRefused)

    def test_accounts_are_found_without_a_login(self) -> None:
        self.assertEqual(self.successResultOf(self.accounts.find_account("BERT")).name, "bert")
        self.assertEqual(self.successResultOf(self.accounts.find_by_address(b"A@X.org")).name, "anna")
        for deferred in (
            self.accounts.find_account("nobody"), self.accounts.find_account("a/b"),
            self.accounts.find_by_address("b@x.org"), self.accounts.find_by_address("no address"),
        ):  # fmt: skip
            self.failureResultOf(deferred, UnknownAccountError)


class TroubleTests(AccountsCase):
    """The database does not answer."""

    def setUp(self) -> None:
        self.broken = BrokenStore()
        self.open(Desk(self.broken))
        self.broken.fault = StoreBusyError("accounts.db: locked")

    def test_login_is_put_off_and_the_operator_told_once_a_minute(self) -> None:
        for _ in range(3):
            self.failureResultOf(self.log_in("anna", "s\u00e4cret"), LoginBusy)
            self.failureResultOf(self.accounts.find_scram_keys("anna", "files"), LoginBusy)
        (event,) = self.desk.events.named("account.store.failed")
        self.assertEqual(event["why"], "accounts.db: locked")
        self.failureResultOf(self.accounts.find_account("anna"), StoreBusyError)
        self.broken.fault = None
        self.successResultOf(self.log_in("anna", "s\u00e4cret"))

    def test_busy_database_threads_put_off(self) -> None:
        self.broken.fault = None
        self.successResultOf(self.desk.store_pool.stop())
        self.failureResultOf(self.log_in("anna", "s\u00e4cret"), LoginBusy)

    def test_failure_of_what_nobody_waits_for_is_told(self) -> None:
        self.broken.fault = None
        self.broken.note_fault = StoreBusyError("accounts.db: locked")
        self.successResultOf(self.log_in("anna", "s\u00e4cret"))
        (event,) = self.desk.events.named("account.store.failed")
        self.assertEqual(event["why"], "accounts.db: locked")
        self.assertEqual(self.accounts._background, set())

    def test_failure_to_close_is_told(self) -> None:
        self.successResultOf(self.accounts.stop())
        self.assertEqual(len(self.desk.events.named("account.store.failed")), 1)


class StopTests(AccountsCase):
    """In order."""

    def test_waiting_logins_are_put_off(self) -> None:
        self.desk.hash_pool.hold()
        waiting = self.log_in("anna", "s\u00e4cret")
        stopped = self.accounts.stop()
        self.failureResultOf(waiting, LoginBusy)
        self.failureResultOf(self.log_in("anna", "s\u00e4cret"), LoginBusy)
        self.desk.hash_pool.release()
        self.successResultOf(stopped)

    def test_writing_is_finished_first(self) -> None:
        self.desk.commands.import_accounts([["old", KNOWN[0], ""]])
        waiting = self.log_in("old", "hello")
        self.successResultOf(waiting)
        stopped = self.accounts.stop()
        self.successResultOf(stopped)
        self.assertTrue(self.desk.store.find("old").secrets.password_hash.startswith("$argon2id$"))
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])
