"""Good logins of the last minute (R27)."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.accounts.cache import LoginCache
from tests.runtime.accounts.doubles import make_record


class LoginCacheTests(SynchronousTestCase):
    """R27: keyed, short-lived, bounded."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.cache = LoginCache(self.clock.seconds, life=60, size=2)
        self.record = make_record("anna")
        self.digest = self.cache.make_digest("anna", "x")

    def test_good_login_is_remembered_for_its_life_exactly(self) -> None:
        self.cache.add("anna", self.digest, self.record)
        self.clock.advance(59.9)
        self.assertIs(self.cache.find("anna", self.digest), self.record)
        self.clock.advance(0.1)
        self.assertIsNone(self.cache.find("anna", self.digest))
        self.assertEqual(len(self.cache), 0)

    def test_other_passwords_and_names_are_not_known(self) -> None:
        self.cache.add("anna", self.digest, self.record)
        self.assertIsNone(self.cache.find("anna", self.cache.make_digest("anna", "y")))
        self.assertIsNone(self.cache.find("anne", self.digest))
        self.assertIs(self.cache.find("anna", self.digest), self.record)

    def test_name_and_password_cannot_be_cut_elsewhere(self) -> None:
        self.assertNotEqual(self.cache.make_digest("ab", "c"), self.cache.make_digest("a", "bc"))

    def test_digest_is_of_this_process_only(self) -> None:
        self.assertNotEqual(LoginCache(self.clock.seconds).make_digest("anna", "x"), self.digest)

    def test_forgotten_is_forgotten(self) -> None:
        self.cache.add("anna", self.digest, self.record)
        self.cache.forget("anna")
        self.cache.forget("anna")
        self.assertIsNone(self.cache.find("anna", self.digest))

    def test_oldest_gives_way(self) -> None:
        for name in ("a", "b", "a", "c"):
            self.cache.add(name, self.cache.make_digest(name, "x"), self.record)
        self.assertEqual(len(self.cache), 2)
        self.assertIsNone(self.cache.find("b", self.cache.make_digest("b", "x")))
        self.assertIsNotNone(self.cache.find("a", self.cache.make_digest("a", "x")))

    def test_no_life_is_no_cache(self) -> None:
        cache = LoginCache(self.clock.seconds, life=0)
        cache.add("anna", self.digest, self.record)
        self.assertEqual(len(cache), 0)
