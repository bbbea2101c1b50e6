"""Whether a certificate and a key belong together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from netservices.config.certificates import examine_authorities, examine_pair
from netservices.config.errors import Severity
from tests.config.test_meaning import ExamineCase

LAMP = '[services.lamp]\nlisten = ["tls:7"]\n'


def make_key(
    name: str, folder: Path, encryption: KeySerializationEncryption | None = None
) -> ec.EllipticCurvePrivateKey:
    """A key, in a file of that name."""
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / name).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()))
    return key


def make_certificate(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A certificate that a key signs for itself, in PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "host.example")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


class ExaminePairTests(ExamineCase):
    """R3: an unreadable or mismatched certificate or key."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        key = make_key("key", self.folder)
        other = make_key("other", self.folder)
        make_key("locked", self.folder, BestAvailableEncryption(b"sesame"))
        mine, others = make_certificate(key), make_certificate(other)
        (self.folder / "cert").write_bytes(mine)
        (self.folder / "chain").write_bytes(mine + others)
        (self.folder / "turned").write_bytes(others + mine)
        (self.folder / "both").write_bytes(mine + (self.folder / "key").read_bytes())
        (self.folder / "junk").write_bytes(b"junk")
        (self.folder / "halfjunk").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")

    def told(self, table: str) -> list[str]:
        return [line.replace(f"{self.folder}/", "") for line in self.examine(table + LAMP, base=self.folder)]

    def test_pair_that_fits_is_good(self) -> None:
        for table in (
            'certificate = "cert"\nkey = "key"', 'certificate = "chain"\nkey = "key"', 'certificate = "both"',
        ):  # fmt: skip
            self.assertEqual(self.told(f"[tls]\n{table}\n"), [])

    def test_what_does_not_fit_is_a_mistake(self) -> None:
        for table, said in (
            ('key = "key"', "2: tls.key: has no certificate beside it, wanted one, or neither"),
            ('password = "x"', "2: tls.password: has no certificate beside it, wanted one, or neither"),
            (
                'certificate = "cert"',
                "2: tls.certificate: cert holds no readable private key, wanted PEM (BEGIN PRIVATE KEY)",
            ),
            (
                'certificate = "cert"\nkey = "other"',
                "3: tls.key: the key in other does not belong to cert, wanted the one it was made for",
            ),
            (
                'certificate = "turned"\nkey = "key"',
                "3: tls.key: the key in key belongs to certificate 2 in turned, wanted it first",
            ),
            (
                'certificate = "junk"\nkey = "key"',
                "2: tls.certificate: junk holds no readable certificate, wanted PEM (BEGIN CERTIFICATE)",
            ),
            (
                'certificate = "halfjunk"\nkey = "key"',
                "2: tls.certificate: halfjunk holds no readable certificate, wanted PEM (BEGIN CERTIFICATE)",
            ),
            (
                'certificate = "cert"\nkey = "junk"',
                "3: tls.key: junk holds no readable private key, wanted PEM (BEGIN PRIVATE KEY)",
            ),
            (
                'certificate = "cert"\nkey = "locked"',
                "3: tls.key: the key in locked is encrypted, wanted its password",
            ),
        ):
            self.assertEqual(self.told(f"[tls]\n{table}\n"), [said])

    def test_password_opens_its_key_only(self) -> None:
        locked = f'[tls]\ncertificate = "{self.folder}/cert"\nkey = "{self.folder}/locked"\npassword = '
        (told,) = self.examine(f'{locked}"sesame"\n{LAMP}')
        self.assertIn("does not belong to", told)
        (told,) = self.examine(f'{locked}"wrong"\n{LAMP}')
        self.assertIn("can't be read with the password given", told)
        (told,) = self.examine(f'{locked.replace("locked", "key")}"x"\n{LAMP}')
        self.assertRegex(told, r"^4: warning: tls\.password: the key in .* is not encrypted, wanted no password$")

    def test_other_names_certificates_are_examined(self) -> None:
        (told,) = self.examine(
            f'[tls.names."a.example"]\ncertificate = "{self.folder}/junk"\nkey = "{self.folder}/key"\n{LAMP}'
        )
        self.assertTrue(told.startswith('2: tls.names."a.example".certificate: '), told)

    def test_authorities_must_be_certificates(self) -> None:
        self.assertEqual(self.told('[log.syslog]\nauthority = "chain"\n'), [])
        self.assertEqual(
            self.told('[log.syslog]\nauthority = "key"\n'),
            ["2: log.syslog.authority: key holds no readable certificate, wanted PEM (BEGIN CERTIFICATE)"],
        )

    def test_file_that_went_away_since_is_a_mistake(self) -> None:
        gone = self.folder / "gone"
        for finding in [*examine_authorities(gone), *examine_pair(gone, gone, None)]:
            self.assertIn("can't be read: No such file", finding.text)
            self.assertIs(finding.severity, Severity.MISTAKE)
        self.assertEqual(len([*examine_pair(gone, gone, None)]), 2)
