"""Tests of netservices.runtime.tls.authority."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store
from twisted.trial.unittest import SynchronousTestCase

from netservices.config.pem import CertificateError, KeyedCertificate, load_chain
from netservices.runtime.tls.authority import SERVER_LIFE, LocalAuthority
from tests.runtime.tls.memory import NOW, make_files

HOST = "host.example.org"


class LocalAuthorityTests(SynchronousTestCase):
    """An authority of the machine's own."""

    def setUp(self) -> None:
        self.state = Path(self.mktemp())
        self.state.mkdir()
        self.directory = self.state / "tls"
        self.moment = NOW
        self.authority = LocalAuthority(self.directory, self.now)

    def now(self) -> datetime:
        return self.moment

    def root(self) -> x509.Certificate:
        return load_chain(self.authority.path)[0]

    def names(self, pair: KeyedCertificate) -> x509.SubjectAlternativeName:
        return pair.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    def test_the_first_call_makes_both_pairs(self) -> None:
        """R18."""
        self.authority.load_server(HOST)
        files = sorted(path.name for path in self.directory.iterdir())
        self.assertEqual(files, ["ca.key", "ca.pem", "server.key", "server.pem"])
        self.assertEqual((self.directory / "ca.key").stat().st_mode & 0o777, 0o600)
        self.assertEqual((self.directory / "server.key").stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.authority.path, self.directory / "ca.pem")

    def test_the_authority_is_p256_for_ten_years_and_signs_no_other_authority(self) -> None:
        """R18."""
        self.authority.load_server(HOST)
        root = self.root()
        key = root.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        self.assertEqual(key.curve.name, "secp256r1")
        self.assertEqual(root.not_valid_before_utc, NOW - timedelta(hours=1))
        self.assertEqual((root.not_valid_after_utc - root.not_valid_before_utc).days, 3652)
        constraints = root.extensions.get_extension_for_class(x509.BasicConstraints)
        self.assertEqual((constraints.critical, constraints.value), (True, x509.BasicConstraints(True, 0)))
        usage = root.extensions.get_extension_for_class(x509.KeyUsage)
        self.assertTrue(usage.critical and usage.value.key_cert_sign)
        self.assertFalse(usage.value.digital_signature)
        root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        self.assertIn(HOST, str(root.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value))

    def test_the_server_has_every_name_and_verifies(self) -> None:
        """R18."""
        server = self.authority.load_server(HOST, ["192.0.2.7", "fe80::1%eth0", "Bücher.example", HOST])
        names = self.names(server)
        self.assertEqual(names.get_values_for_type(x509.DNSName), [HOST, "localhost", "xn--bcher-kva.example"])
        self.assertEqual(
            names.get_values_for_type(x509.IPAddress),
            [ip_address(text) for text in ("127.0.0.1", "::1", "192.0.2.7", "fe80::1")],
        )
        policy = PolicyBuilder().store(Store([self.root()])).time(NOW)
        for subject in (x509.DNSName(HOST), x509.IPAddress(ip_address("192.0.2.7"))):
            policy.build_server_verifier(subject).verify(server.leaf, [])

    def test_the_server_is_for_servers_and_lives_199_days(self) -> None:
        leaf = self.authority.load_server(HOST).leaf
        self.assertEqual(leaf.not_valid_before_utc, NOW - timedelta(hours=1))
        self.assertEqual(leaf.not_valid_after_utc - leaf.not_valid_before_utc, SERVER_LIFE)
        self.assertEqual(SERVER_LIFE.days, 199)
        purpose = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        self.assertEqual(list(purpose), [ExtendedKeyUsageOID.SERVER_AUTH])
        leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
        self.assertGreater(leaf.serial_number.bit_length(), 64)

    def test_the_second_call_keeps_it(self) -> None:
        first = self.authority.load_server(HOST)
        self.assertEqual(LocalAuthority(self.directory, self.now).load_server(HOST), first)

    def test_a_third_of_its_life_left_renews_it_and_keeps_the_authority(self) -> None:
        """R18."""
        first = self.authority.load_server(HOST)
        root = self.root()
        self.moment = first.not_after - SERVER_LIFE / 3 - timedelta(seconds=1)
        self.assertEqual(self.authority.load_server(HOST), first)
        self.moment += timedelta(seconds=1)
        second = self.authority.load_server(HOST)
        self.assertNotEqual(second, first)
        self.assertEqual(second.leaf.not_valid_before_utc, self.moment - timedelta(hours=1))
        self.assertEqual(self.root(), root)

    def test_a_clock_that_was_set_back_renews_it(self) -> None:
        first = self.authority.load_server(HOST)
        self.moment -= timedelta(days=2)
        self.assertNotEqual(self.authority.load_server(HOST), first)

    def test_other_names_renew_it_and_another_order_does_not(self) -> None:
        first = self.authority.load_server(HOST, ["192.0.2.7", "192.0.2.8"])
        self.assertEqual(self.authority.load_server(HOST, ["192.0.2.8", "192.0.2.7"]), first)
        self.assertNotEqual(self.authority.load_server(HOST, ["192.0.2.8"]), first)

    def test_the_authority_is_renewed_once_it_has_expired(self) -> None:
        self.authority.load_server(HOST)
        root = self.root()
        self.moment = root.not_valid_after_utc - timedelta(days=10)
        last = self.authority.load_server(HOST)
        self.assertEqual(last.not_after, root.not_valid_after_utc)
        self.assertEqual(self.root(), root)
        self.moment = root.not_valid_after_utc
        after = self.authority.load_server(HOST)
        self.assertNotEqual(self.root(), root)
        after.leaf.verify_directly_issued_by(self.root())

    def test_a_server_of_another_authority_is_signed_anew(self) -> None:
        first = self.authority.load_server(HOST)
        for name in ("ca.pem", "ca.key"):
            (self.directory / name).unlink()
        second = self.authority.load_server(HOST)
        self.assertNotEqual(first, second)
        second.leaf.verify_directly_issued_by(self.root())

    def test_a_server_without_names_is_signed_anew(self) -> None:
        self.authority.load_server(HOST)
        client = self.authority.make_client("demo")
        self.authority._store.save("server", client)
        self.assertNotEqual(self.authority.load_server(HOST), client)

    def test_a_name_that_cannot_stand_in_a_certificate_is_refused(self) -> None:
        for name in ("", "a..b", "my host", "x" * 64 + ".example"):
            error = self.assertRaises(CertificateError, self.authority.load_server, name)
            self.assertEqual(str(error), f"\"{name}\" can't stand in a certificate, wanted a host's name or address")
        self.assertFalse(self.directory.exists())

    def test_a_long_host_name_is_cut_in_the_subject_only(self) -> None:
        name = ".".join(["abcdefghij" * 3] * 3)
        server = self.authority.load_server(name)
        self.assertIn(name, self.names(server).get_values_for_type(x509.DNSName))

    def test_a_damaged_authority_is_named_and_kept(self) -> None:
        """R18."""
        self.authority.load_server(HOST)
        path = self.directory / "ca.pem"
        path.write_bytes(b"rubbish")
        error = self.assertRaises(CertificateError, self.authority.load_server, HOST)
        self.assertIn(str(path), str(error))
        self.assertEqual(path.read_bytes(), b"rubbish")

    def test_a_certificate_that_is_no_authority_is_refused(self) -> None:
        self.directory.mkdir()
        self.moment = datetime.now(NOW.tzinfo)
        for key in (None, rsa.generate_private_key(65537, 2048)):
            certificate, path = make_files(self.state, "odd", key=key)
            certificate.replace(self.directory / "ca.pem")
            path.replace(self.directory / "ca.key")
            error = self.assertRaises(CertificateError, self.authority.load_server, HOST)
            self.assertIn("ca.pem is not the authority that was made here", str(error))

    def test_a_client_certificate_is_for_clients(self) -> None:
        self.authority.load_server(HOST)
        leaf = self.authority.make_client("demo").leaf
        leaf.verify_directly_issued_by(self.root())
        purpose = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        self.assertEqual(list(purpose), [ExtendedKeyUsageOID.CLIENT_AUTH])
        self.assertEqual(leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value, "demo")

    def test_an_authority_that_is_over_signs_no_client(self) -> None:
        self.moment = self.authority.load_authority(HOST).not_after
        error = self.assertRaises(CertificateError, self.authority.make_client, "demo")
        self.assertIn("ca.pem has expired", str(error))

    def test_a_client_certificate_needs_the_authority(self) -> None:
        self.assertRaises(CertificateError, self.authority.make_client, "demo")

    def test_a_kill_at_any_moment_leaves_what_the_next_start_opens(self) -> None:
        """R4."""
        program = (
            "import itertools, sys\n"
            "from pathlib import Path\n"
            "from netservices.runtime.tls import LocalAuthority\n"
            "authority = LocalAuthority(Path(sys.argv[1]))\n"
            "print('ready', flush=True)\n"
            "for number in itertools.count():\n"
            "    authority.load_server(f'host{number}')\n"
            "    print(number, flush=True)\n"
        )
        self.moment = datetime.now(NOW.tzinfo)
        for writes in (0, 1, 4):
            with subprocess.Popen(
                [sys.executable, "-c", program, str(self.directory)], stdout=subprocess.PIPE
            ) as child:
                assert child.stdout is not None
                for _ in range(1 + writes):
                    child.stdout.readline()
                child.send_signal(signal.SIGKILL)
            self.authority.load_server(HOST).leaf.verify_directly_issued_by(self.root())
