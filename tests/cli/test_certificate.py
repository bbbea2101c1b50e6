"""The verb certificate."""

from __future__ import annotations

import stat
from pathlib import Path

from click.testing import CliRunner, Result
from cryptography.x509 import ExtendedKeyUsage
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.trial.unittest import SynchronousTestCase

from netservices.cli import netservices
from netservices.config.pem import load_chain, load_keyed_certificate
from netservices.runtime.tls import LocalAuthority
from tests.config.made_up import MadeUpKinds


class ClientTests(SynchronousTestCase):
    """R21: a client's certificate by the local authority."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.state = self.folder / "state"
        self.state.mkdir(parents=True)
        self.out = self.folder / "out"
        self.out.mkdir()
        self.file = self.folder / "netservices.toml"
        self.file.write_text(f'[daemon]\nstate = "{self.state}"\n[services.lamp]\nlisten = ["tcp:7"]\n')

    def run_command(self, name: str, *, status: int = 0) -> Result:
        arguments = ["--config", str(self.file), "certificate", "client", name, "--out", str(self.out)]
        result = CliRunner().invoke(netservices, arguments, obj=MadeUpKinds())
        self.assertEqual(result.exit_code, status, result.output)
        return result

    def test_client_gets_certificate_and_key_of_its_own(self) -> None:
        authority = LocalAuthority(self.state / "tls")
        authority.load_authority("host.example.org")
        result = self.run_command("ada")
        pair = load_keyed_certificate(self.out / "ada.pem", self.out / "ada.key")
        pair.leaf.verify_directly_issued_by(load_chain(authority.path)[0])
        self.assertEqual(pair.leaf.subject.rfc4514_string(), "CN=ada")
        usage = pair.leaf.extensions.get_extension_for_class(ExtendedKeyUsage).value
        self.assertEqual(list(usage), [ExtendedKeyUsageOID.CLIENT_AUTH])
        self.assertEqual(stat.S_IMODE((self.out / "ada.key").stat().st_mode), 0o600)
        self.assertRegex(result.stdout, r"fingerprint sha256:[0-9a-f]{64}\n")

    def test_before_there_is_an_authority_it_says_so(self) -> None:
        result = self.run_command("ada", status=1)
        self.assertIn("the local authority has not been made yet", result.output)
        self.assertEqual(list(self.out.iterdir()), [])

    def test_files_that_are_there_stay(self) -> None:
        LocalAuthority(self.state / "tls").load_authority("host.example.org")
        (self.out / "ada.pem").write_text("mine")
        result = self.run_command("ada", status=2)
        self.assertIn("ada.pem is there already", result.output)
        self.assertEqual([path.name for path in self.out.iterdir()], ["ada.pem"])
        self.assertEqual((self.out / "ada.pem").read_text(), "mine")

    def test_a_folder_that_takes_nothing_is_named(self) -> None:
        LocalAuthority(self.state / "tls").load_authority("host.example.org")
        self.out = Path("/proc")
        self.assertIn("/proc/ada.key", self.run_command("ada", status=1).output)

    def test_names_that_lead_elsewhere_are_refused(self) -> None:
        LocalAuthority(self.state / "tls").load_authority("host.example.org")
        for name in ("../ada", ".ada", "a/b"):
            self.assertIn("can't be the name of a file", self.run_command(name, status=2).output)
        self.assertIn("1 to 64 characters", self.run_command("a" * 65, status=1).output)
        self.assertEqual(list(self.out.iterdir()), [])
