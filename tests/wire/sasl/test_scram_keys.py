"""SCRAM's keys."""

from __future__ import annotations

from base64 import b64decode

from twisted.trial.unittest import SynchronousTestCase

from netservices.wire.sasl import PrepareError, ScramKeys, make_fake_scram_keys, make_scram_keys

SALT = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")


class ScramKeysTests(SynchronousTestCase):
    """RFC 5802 3; R26."""

    def test_one_password_in_two_forms_has_one_pair_of_keys(self) -> None:
        """R25."""
        keys = make_scram_keys("pa\u0308ss", SALT, 4096)
        self.assertEqual(keys, make_scram_keys("päss".encode(), SALT, 4096))
        self.assertNotEqual(keys, make_scram_keys("pass", SALT, 4096))
        self.assertNotEqual(keys, make_scram_keys("päss", SALT, 4097))
        self.assertTrue(keys.genuine)

    def test_what_is_no_password_has_none(self) -> None:
        self.assertRaises(PrepareError, make_scram_keys, b"\xff", SALT, 4096)

    def test_keys_never_show(self) -> None:
        self.assertEqual(repr(make_scram_keys("pencil", SALT, 4096)), "ScramKeys(iterations=4096, genuine=True)")

    def test_keys_that_cannot_be_right_are_refused(self) -> None:
        """RFC 7677 4: fewer iterations than 4096 are too few."""
        key = bytes(32)
        for stored, server, salt, iterations in (
            (key[1:], key, b"s", 4096), (key, key[1:], b"s", 4096), (key, key, b"", 4096), (key, key, b"s", 4095),
        ):  # fmt: skip
            self.assertRaises(ValueError, ScramKeys, stored, server, salt, iterations)


class FakeScramKeysTests(SynchronousTestCase):
    """R27: keys for a name that has none."""

    def test_they_look_like_real_ones_and_never_change(self) -> None:
        fake = make_fake_scram_keys(b"secret", "nobody", iterations=5000, salt_size=16)
        self.assertEqual(fake, make_fake_scram_keys(b"secret", "nobody", iterations=5000, salt_size=16))
        self.assertEqual((len(fake.salt), fake.iterations, fake.genuine), (16, 5000, False))

    def test_they_differ_by_name_and_secret(self) -> None:
        salts = {
            make_fake_scram_keys(secret, name, iterations=4096, salt_size=16).salt
            for secret in (b"one", b"two")
            for name in ("anna", "berta")
        }
        self.assertEqual(len(salts), 4)

    def test_a_salt_longer_than_the_hash_is_refused(self) -> None:
        self.assertRaises(ValueError, make_fake_scram_keys, b"secret", "nobody", iterations=4096, salt_size=33)
