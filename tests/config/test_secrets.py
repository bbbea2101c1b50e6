"""Secrets, from the file itself, a file of their own or the environment."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import SecretStr
from twisted.trial.unittest import SynchronousTestCase

from netservices.config.models import TlsOptions
from netservices.config.secrets import load_secret


class LoadSecretTests(SynchronousTestCase):
    """R1, R3: a secret that can't be read is a mistake; what it is, nobody is told."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def load(self, value: object) -> str:
        return load_secret(value, self.folder).get_secret_value()

    def load_octets(self, octets: bytes) -> str:
        (self.folder / "s").write_bytes(octets)
        return self.load({"file": "s"})

    def refuse(self, value: object) -> str:
        return str(self.assertRaises(ValueError, self.load, value))

    def test_text_is_taken_as_it_is(self) -> None:
        self.assertEqual(self.load("x\n"), "x\n")
        self.assertEqual(self.load(SecretStr("x")), "x")

    def test_file_loses_one_newline(self) -> None:
        for octets, secret in (
            (b"a", "a"),
            (b"a\n", "a"),
            (b"a\r\n", "a"),
            (b"a\n\n", "a\n"),
            ("ü ".encode(), "ü "),
            (b"", ""),
        ):
            self.assertEqual(self.load_octets(octets), secret)

    def test_file_that_is_no_secret_is_refused_by_name(self) -> None:
        self.assertIn("can't be read: No such file", self.refuse({"file": "gone"}))
        self.assertIn("can't be read: Is a directory", self.refuse({"file": "."}))
        (self.folder / "s").write_bytes(b"hunter\xff")
        told = self.refuse({"file": "s"})
        self.assertIn(f"{self.folder / 's'} is not UTF-8", told)
        self.assertNotIn("hunter", told)
        (self.folder / "s").write_bytes(b"x" * 65537)
        self.assertIn("is larger than 64 KiB", self.refuse({"file": "s"}))

    def test_environment_is_read(self) -> None:
        name = "NETSERVICES_TEST_SECRET"
        self.assertEqual(self.refuse({"env": name}), f"the environment has no {name}, wanted the secret there")
        os.environ[name] = "x"
        self.addCleanup(os.environ.pop, name)
        self.assertEqual(self.load({"env": name}), "x")

    def test_anything_else_is_refused(self) -> None:
        values: list[object] = [5, None, [], {}, {"file": 5}, {"env": 5}, {"file": "a", "env": "b"}, {"other": "a"}]
        for value in values:
            self.assertIn("not a secret, wanted a text", self.refuse(value))

    def test_secret_is_shown_nowhere(self) -> None:
        options = TlsOptions(password=SecretStr("hunter2"))
        for shown in (repr(options), str(options), options.model_dump_json(), repr(options.model_dump(mode="json"))):
            self.assertNotIn("hunter2", shown)
