"""Tests of netservices.config.pem."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import dsa, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.trial.unittest import SynchronousTestCase

from netservices.config.pem import CertificateError, load_chain, load_keyed_certificate, load_private_key
from tests.runtime.tls.memory import make_files


class LoadKeyedCertificateTests(SynchronousTestCase):
    """Certificates and keys from files."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def refused(self, certificate: Path, key: Path | None = None, password: str | None = None) -> str:
        return str(self.assertRaises(CertificateError, load_keyed_certificate, certificate, key, password))

    def test_two_files_load(self) -> None:
        certificate, key = make_files(self.folder, "a.example.org")
        pair = load_keyed_certificate(certificate, key)
        self.assertEqual(pair.path, certificate)
        self.assertEqual(len(pair.chain), 1)
        self.assertGreater(pair.not_after, datetime.now(UTC))

    def test_the_key_may_stand_in_the_certificates_file(self) -> None:
        certificate, _ = make_files(self.folder, "a.example.org", together=True)
        self.assertEqual(load_keyed_certificate(certificate).leaf, load_chain(certificate)[0])

    def test_a_chain_keeps_its_order(self) -> None:
        certificate, key = make_files(self.folder, "a.example.org")
        other, _ = make_files(self.folder, "b.example.org")
        certificate.write_bytes(certificate.read_bytes() + other.read_bytes())
        self.assertEqual(load_keyed_certificate(certificate, key).chain[1], load_chain(other)[0])

    def test_the_same_chain_is_equal_and_another_is_not(self) -> None:
        certificate, key = make_files(self.folder, "a.example.org")
        other = make_files(self.folder, "b.example.org")
        self.assertEqual(load_keyed_certificate(certificate, key), load_keyed_certificate(certificate, key))
        self.assertNotEqual(load_keyed_certificate(certificate, key), load_keyed_certificate(*other))

    def test_a_key_of_another_certificate_is_refused_naming_both(self) -> None:
        """R3."""
        certificate, _ = make_files(self.folder, "a.example.org")
        _, other = make_files(self.folder, "b.example.org")
        self.assertEqual(
            self.refused(certificate, other),
            f"the key in {other} does not belong to {certificate}, wanted the one it was made for",
        )

    def test_an_encrypted_key_needs_its_password(self) -> None:
        certificate, key = make_files(self.folder, "a.example.org", password=b"made up")
        load_keyed_certificate(certificate, key, "made up")
        self.assertEqual(self.refused(certificate, key), f"the key in {key} is encrypted, wanted its password")
        wrong = self.refused(certificate, key, "wrong")
        self.assertEqual(wrong, f"the key in {key} can't be read with the password given")

    def test_a_password_for_a_key_that_is_not_encrypted_does_no_harm(self) -> None:
        load_keyed_certificate(*make_files(self.folder, "a.example.org"), "made up")

    def test_a_missing_file_is_named(self) -> None:
        missing = self.folder / "none.pem"
        self.assertEqual(
            self.refused(missing),
            f"{missing} can't be read: No such file or directory, wanted a certificate or key in PEM",
        )

    def test_a_file_without_a_certificate_is_named(self) -> None:
        certificate, key = make_files(self.folder, "a.example.org")
        for content in (b"", b"rubbish", certificate.read_bytes()[:200], key.read_bytes()):
            certificate.write_bytes(content)
            text = self.refused(certificate, key)
            self.assertEqual(text, f"{certificate} holds no readable certificate, wanted PEM (BEGIN CERTIFICATE)")

    def test_a_file_without_a_key_is_named(self) -> None:
        certificate, key = make_files(self.folder, "a.example.org")
        for content in (b"", b"rubbish", key.read_bytes()[:60], certificate.read_bytes()):
            key.write_bytes(content)
            text = self.refused(certificate, key)
            self.assertEqual(text, f"{key} holds no readable private key, wanted PEM (BEGIN PRIVATE KEY)")

    def test_a_file_beyond_a_mebibyte_is_refused(self) -> None:
        path = self.folder / "large.pem"
        path.write_bytes(b"x" * ((1 << 20) + 1))
        self.assertIn("larger than 1024 KiB", self.refused(path))

    def test_a_kind_of_key_without_use_for_tls_is_refused(self) -> None:
        for key in (x25519.X25519PrivateKey.generate(), dsa.generate_private_key(2048)):
            path = self.folder / "odd.key"
            path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            error = self.assertRaises(CertificateError, load_private_key, path)
            self.assertEqual(str(error), f"the key in {path} is of no use for TLS, wanted ECDSA, Ed25519 or RSA")

    def test_a_curve_nobody_knows_is_refused(self) -> None:
        certificate, key = make_files(self.folder, "a.example.org")
        original = certificate.read_bytes()
        self.swap_curve(certificate, "CERTIFICATE")
        text = self.refused(certificate, key)
        self.assertEqual(text, f"the key named in {certificate} is of an unknown kind, wanted ECDSA, Ed25519 or RSA")
        certificate.write_bytes(original)
        self.swap_curve(key, "PRIVATE KEY")
        text = self.refused(certificate, key)
        self.assertEqual(text, f"the key in {key} is of an unknown kind, wanted ECDSA, Ed25519 or RSA")

    def swap_curve(self, path: Path, label: str) -> None:
        lines = path.read_text().splitlines()
        der = base64.b64decode("".join(lines[1:-1]))
        # RFC 3279 2.3.5: prime256v1 to prime239v1, an identifier of the same length.
        swapped = der.replace(bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d030104"))
        self.assertNotEqual(swapped, der)
        text = base64.encodebytes(swapped).decode()
        path.write_text(f"-----BEGIN {label}-----\n{text}-----END {label}-----\n")

    def test_rsa_and_ed25519_load(self) -> None:
        for key in (rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()):
            path = self.folder / "good.key"
            path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            self.assertEqual(load_private_key(path).public_key(), key.public_key())
