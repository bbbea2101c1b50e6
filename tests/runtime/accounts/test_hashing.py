"""Passwords are argon2id, with SCRAM keys beside them (R26)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.accounts import Account, Hasher
from netservices.runtime.accounts.errors import HashUnusableError
from netservices.runtime.accounts.model import Record, Secrets
from netservices.wire.sasl import make_scram_keys
from tests.runtime.accounts.doubles import make_hasher
from tests.runtime.accounts.test_crypts import KNOWN


class HasherTests(SynchronousTestCase):
    """R26, R27."""

    def test_hash_is_argon2id_with_the_parameters_it_was_given(self) -> None:
        made = Hasher(memory=32 * 1024, passes=3, scram_iterations=5000).make_secrets("pencil")
        self.assertTrue(made.password_hash.startswith("$argon2id$v=19$m=32,t=3,p=1$"), made.password_hash)
        assert made.scram is not None
        self.assertEqual(make_scram_keys("pencil", made.scram.salt, 5000), made.scram)
        self.assertIsNone(made.shared)

    def test_plain_secret_is_kept_only_when_asked_for(self) -> None:
        self.assertEqual(make_hasher().make_secrets("p\u00e4", keeps_shared=True).shared, "p\u00e4".encode())

    def test_nothing_secret_is_shown(self) -> None:
        text = repr(make_hasher().make_secrets("pencil", keeps_shared=True))
        self.assertNotIn("pencil", text)
        self.assertNotIn("argon2", text)

    def test_right_is_right_and_wrong_is_wrong(self) -> None:
        hasher = make_hasher()
        for password in ("pencil", "\u00e4" * 511):
            stored = hasher.make_secrets(password).password_hash
            self.assertTrue(hasher.check(stored, password))
            self.assertFalse(hasher.check(stored, password + "x"))
            self.assertFalse(hasher.check(stored, ""))

    def test_imported_hash_is_checked_as_it_is(self) -> None:
        for stored in KNOWN:
            self.assertTrue(make_hasher().check(stored, "hello"))
            self.assertFalse(make_hasher().check(stored, "hallo"))

    def test_nobodys_hash_costs_the_same_and_is_never_right(self) -> None:
        """R27: the stand-in has the parameters of a real one, and is well formed, so that it is really computed."""
        hasher = make_hasher(memory=64 * 1024, passes=2)
        real = hasher.make_secrets("x").password_hash
        self.assertEqual(hasher._decoy.rsplit("$", 2)[0], real.rsplit("$", 2)[0])
        self.assertEqual(len(hasher._decoy), len(real))
        for password in ("", "x", "y" * 4096):
            self.assertFalse(hasher.check(None, password))

    def test_hash_that_is_no_hash_is_said_to_be(self) -> None:
        for stored in ("$argon2id$nonsense", "", "plain", "$1$saltsalt$fFhQNRZ9A4AYLdo7vOe8a0"):
            self.assertRaises(HashUnusableError, make_hasher().check, stored, "x")

    def test_lack_of_memory_is_no_wrong_password(self) -> None:
        stored = "$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHRzYWx0$" + "A" * 43
        self.assertRaises(MemoryError, make_hasher().check, stored, "x")

    def test_current_is_what_would_be_made_today(self) -> None:
        hasher = make_hasher()

        def is_current(secrets: Secrets, *, keeps: bool = False, judge: Hasher = hasher) -> bool:
            return judge.is_current(Record(Account("a"), secrets, keeps))

        made = hasher.make_secrets("x")
        self.assertTrue(is_current(made))
        self.assertFalse(is_current(made, keeps=True))
        self.assertTrue(is_current(hasher.make_secrets("x", keeps_shared=True), keeps=True))
        self.assertFalse(is_current(Secrets(made.password_hash)))
        self.assertFalse(is_current(Secrets(KNOWN[0], made.scram)))
        self.assertFalse(is_current(made, judge=make_hasher(passes=2)))
        self.assertFalse(is_current(made, judge=make_hasher(scram_iterations=4097)))
