"""Tests of netservices.runtime.tls.pairs."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from netservices.config.pem import CertificateError, KeyedCertificate, load_keyed_certificate
from netservices.runtime.tls.pairs import PairStore
from tests.runtime.tls.memory import make_files


class PairStoreTests(SynchronousTestCase):
    """Two files that are one."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        self.old, self.new = (load_keyed_certificate(*make_files(folder, name)) for name in ("old", "new"))
        self.state = folder / "state"
        self.state.mkdir()
        self.directory = self.state / "tls"
        self.store = PairStore(self.directory)

    def content(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(self.directory.iterdir())}

    def saved(self, pair: KeyedCertificate) -> dict[str, bytes]:
        self.store.save("server", pair)
        return self.content()

    def lay_out(self, files: dict[str, bytes]) -> None:
        for path in self.directory.iterdir():
            path.unlink()
        for name, octets in files.items():
            (self.directory / name).write_bytes(octets)

    def test_nothing_is_none(self) -> None:
        self.assertIsNone(self.store.load("server"))

    def test_what_was_saved_is_loaded_and_nothing_else_is_left(self) -> None:
        """R18."""
        saved = self.store.save("server", self.old)
        self.assertEqual(saved.path, self.directory / "server.pem")
        self.assertEqual(self.store.load("server"), self.old)
        self.assertEqual(sorted(self.content()), ["server.key", "server.pem"])

    def test_keys_are_for_their_owner_only(self) -> None:
        """R18."""
        self.store.save("server", self.old)
        modes = {path.name: path.stat().st_mode & 0o777 for path in self.directory.iterdir()}
        self.assertEqual(modes, {"server.key": 0o600, "server.pem": 0o644})
        self.assertEqual(self.directory.stat().st_mode & 0o777, 0o700)

    def test_what_root_writes_belongs_to_the_owner_of_the_state(self) -> None:
        if os.geteuid() != 0:
            raise SkipTest("needs root")
        os.chown(self.state, 12345, 12345)
        self.store.save("server", self.old)
        self.assertEqual({path.stat().st_uid for path in [self.directory, *self.directory.iterdir()]}, {12345})

    def test_a_crash_at_any_step_leaves_the_old_pair_or_the_new(self) -> None:
        """R4."""
        old, new = self.saved(self.old), self.saved(self.new)
        pending = new["server.key"] + new["server.pem"]
        steps = [
            (old, self.old),
            ({**old, ".server.next.tmp": pending[:100]}, self.old),
            ({**old, "server.next": pending}, self.new),
            ({**old, "server.next": pending, ".server.key.tmp": b"-----BEG"}, self.new),
            ({**old, "server.next": pending, "server.key": new["server.key"]}, self.new),
            ({**new, "server.next": pending, ".server.pem.tmp": b""}, self.new),
            ({**new, "server.next": pending}, self.new),
            (new, self.new),
            ({".server.next.tmp": b""}, None),
            ({"server.next": pending}, self.new),
            ({"server.next": pending, "server.key": new["server.key"]}, self.new),
        ]
        for files, expected in steps:
            self.lay_out(files)
            self.assertEqual(self.store.load("server"), expected, sorted(files))
            self.assertNotIn("server.next", self.content())
            self.store.save("server", self.new)
            self.assertEqual(sorted(self.content()), sorted({*self.content(), "server.key", "server.pem"}))
            self.assertEqual(self.store.load("server"), self.new)

    def test_one_file_of_the_two_is_an_error_naming_the_other(self) -> None:
        """R18."""
        for missing, there in (("server.pem", "server.key"), ("server.key", "server.pem")):
            self.saved(self.old)
            (self.directory / missing).unlink()
            error = self.assertRaises(CertificateError, self.store.load, "server")
            self.assertEqual(
                str(error),
                f"{self.directory / missing} is missing, but {self.directory / there} is there; "
                "put it back, or remove both",
            )

    def test_a_damaged_file_is_named(self) -> None:
        """R18."""
        for name in ("server.pem", "server.key"):
            files = self.saved(self.old)
            (self.directory / name).write_bytes(files[name][:80])
            error = self.assertRaises(CertificateError, self.store.load, "server")
            self.assertIn(str(self.directory / name), str(error))

    def test_files_of_two_pairs_are_an_error_naming_both(self) -> None:
        """R18."""
        key = self.saved(self.new)["server.key"]
        self.lay_out({**self.saved(self.old), "server.key": key})
        error = self.assertRaises(CertificateError, self.store.load, "server")
        self.assertIn("does not belong", str(error))

    def test_a_directory_that_cannot_be_made_is_named(self) -> None:
        store = PairStore(self.state / "none" / "tls")
        error = self.assertRaises(CertificateError, store.save, "server", self.old)
        self.assertEqual(str(error), f"{self.state / 'none' / 'tls'} can't be written: No such file or directory")

    def test_an_installation_that_cannot_be_finished_is_an_error(self) -> None:
        new = self.saved(self.new)
        self.lay_out({"server.next": new["server.key"] + new["server.pem"]})
        (self.directory / "server.key").mkdir()
        error = self.assertRaises(CertificateError, self.store.load, "server")
        self.assertIn(f"{self.directory} can't be written", str(error))

    def test_a_link_in_the_place_of_a_temporary_file_is_not_followed(self) -> None:
        self.saved(self.old)
        victim = self.state / "victim"
        victim.write_bytes(b"kept")
        (self.directory / ".server.next.tmp").symlink_to(victim)
        self.assertRaises(CertificateError, self.store.save, "server", self.new)
        self.assertEqual(victim.read_bytes(), b"kept")
