"""What can be set (R28)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.accounts import AccountError
from netservices.runtime.accounts.settings import parse_settings, show_record
from tests.runtime.accounts.doubles import make_record


class SettingsTests(SynchronousTestCase):
    """R28: plain data in, plain data out."""

    def test_everything_comes_back(self) -> None:
        given = {
            "enabled": False, "services": ["mail", "files", "files"], "home": "/srv/a", "mailbox": "Box", "admin": True,
            "addresses": ["B@x.org", "a@x.org"], "quota_bytes": "10GiB", "quota_files": 7, "subjects": ["CN=a"],
            "shared_secret": True,
        }  # fmt: skip
        settings = parse_settings(given)
        shown = show_record(settings.apply(make_record("a")))
        expected = {**given, "services": ["files", "mail"], "mailbox": "box", "addresses": ["a@x.org", "b@x.org"]}
        self.assertEqual({key: shown[key] for key in expected}, expected)
        self.assertEqual(settings.names(), sorted(given))
        self.assertEqual((shown["password"], shown["scram"], shown["last_login"]), ("argon2id", True, None))

    def test_what_is_not_named_stays(self) -> None:
        record = parse_settings({"admin": True, "shared_secret": True}).apply(make_record("a"))
        self.assertEqual(parse_settings({}).apply(record), record)

    def test_none_clears(self) -> None:
        record = parse_settings({"services": [], "home": "x", "mailbox": "x", "quota_bytes": "1B", "quota_files": 0})
        cleared = parse_settings(
            {"services": None, "home": None, "mailbox": None, "quota_bytes": None, "quota_files": None}
        )
        self.assertEqual(cleared.apply(record.apply(make_record("a"))), make_record("a"))

    def test_forms_of_hashes_are_named(self) -> None:
        for stored, name in (
            ("$2y$05$x", "bcrypt"),
            ("$6$x", "sha512crypt"),
            ("$apr1$x", "apr1"),
            ("$y$x", "yescrypt"),
        ):
            record = make_record("a")
            object.__setattr__(record.secrets, "password_hash", stored)
            self.assertEqual(show_record(record)["password"], name)

    def test_mistakes_are_told(self) -> None:
        for given, text in (
            (None, "not a table"), ([], "not a table"), ({"adnim": True}, 'no setting "adnim"; there are enabled, '),
            ({1: 2}, "no setting"), ({"admin": 1}, "admin: wanted true or false"), ({"home": 3}, "home: wanted text"),
            ({"home": "../x"}, "home: "), ({"mailbox": "a/b"}, "mailbox: "), ({"services": "files"}, "wanted a list"),
            ({"services": ["a b"]}, '"a b" is not the name of a section'),
            ({"addresses": [1]}, "wanted a list of texts"),
            ({"addresses": ["x"]}, "is not an address"), ({"subjects": ["x"]}, "is not a subject"),
            ({"addresses": ["a@b"] * 257}, "at most 256"), ({"quota_bytes": "10"}, "quota_bytes: not a size"),
            ({"quota_bytes": 10}, "not a size"), ({"quota_files": "7"}, "wanted a number"),
            ({"quota_files": -1}, "wanted a number"), ({"quota_files": 2**31}, "wanted a number"),
            ({"quota_files": True}, "wanted a number"),
        ):  # fmt: skip
            error = self.assertRaises(AccountError, parse_settings, given)
            self.assertIn(text, str(error))
