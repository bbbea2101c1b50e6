"""Tests of netservices.runtime.tls.identity."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.tls.identity import (
    clean,
    describe_certificate,
    find_account,
    make_client_certificate,
    parse_certificate_key,
)

KEY = ec.generate_private_key(ec.SECP256R1())
END = datetime(2031, 2, 3, 4, 5, tzinfo=UTC)


def make_certificate(names: list[str], alternatives: list[x509.GeneralName]) -> x509.Certificate:
    """A self-signed one whose subject has those common names."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    builder = x509.CertificateBuilder(subject, subject, KEY.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(END - timedelta(days=9)).not_valid_after(END)
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(KEY, SHA256())


class ClientCertificateTests(SynchronousTestCase):
    """R21: who a certificate is for."""

    def test_everything_verified_is_told(self) -> None:
        certificate = make_certificate(
            ["Ada, Countess"],
            [
                x509.RFC822Name("Ada@Example.org"),
                x509.DNSName("HOST.example.org"),
                x509.UniformResourceIdentifier("spiffe://example.org/ada"),
                x509.IPAddress(ipaddress.ip_address("2001:db8::7")),
                x509.DirectoryName(x509.Name([])),
            ],
        )
        client = make_client_certificate(certificate)
        self.assertEqual(client.name, "Ada, Countess")
        self.assertEqual(client.subject, "CN=Ada\\, Countess")
        self.assertEqual(client.issuer, client.subject)
        self.assertEqual(client.not_after, END)
        digits = certificate.fingerprint(SHA256()).hex()
        self.assertEqual(client.fingerprint, digits)
        self.assertEqual(
            client.keys,
            (
                f"sha256:{digits}",
                "subject:CN=Ada\\, Countess",
                "email:ada@example.org",
                "dns:host.example.org",
                "uri:spiffe://example.org/ada",
                "ip:2001:db8::7",
                "name:Ada, Countess",
            ),
        )

    def test_two_common_names_are_none(self) -> None:
        client = make_client_certificate(make_certificate(["ada", "root"], []))
        self.assertEqual(client.name, "")
        self.assertEqual(len(client.keys), 2)


class AccountTests(SynchronousTestCase):
    """R21: which account that is."""

    def setUp(self) -> None:
        self.client = make_client_certificate(make_certificate(["ada"], [x509.RFC822Name("ada@example.org")]))

    def test_the_most_exact_binding_wins(self) -> None:
        bound = {"name:ada": "by name"}
        self.assertEqual(find_account(self.client, bound.get), "by name")
        bound["email:ada@example.org"] = "by address"
        self.assertEqual(find_account(self.client, bound.get), "by address")
        bound["subject:CN=ada"] = "by subject"
        self.assertEqual(find_account(self.client, bound.get), "by subject")
        bound[f"sha256:{self.client.fingerprint}"] = "by fingerprint"
        self.assertEqual(find_account(self.client, bound.get), "by fingerprint")

    def test_an_unknown_one_is_nobodys(self) -> None:
        self.assertIsNone(find_account(self.client, {"name:Ada": "x"}.get))

    def test_a_fingerprint_is_compared_in_one_form(self) -> None:
        digits = self.client.fingerprint.upper()
        colons = ":".join(digits[at : at + 2] for at in range(0, 64, 2))
        for text in (f"sha256:{colons}", f"SHA256:{digits}"):
            self.assertEqual(parse_certificate_key(text), f"sha256:{self.client.fingerprint}")

    def test_what_names_no_certificate_is_refused(self) -> None:
        for text in ("", "ada", "cn:ada", "name:", "sha256:abc", f"sha256:{'g' * 64}"):
            self.assertRaises(ValueError, parse_certificate_key, text)

    def test_every_key_of_a_certificate_is_in_its_one_form(self) -> None:
        for key in self.client.keys:
            self.assertEqual(parse_certificate_key(key), key)


class DescribeTests(SynchronousTestCase):
    """R24: what was presented, in one line."""

    def test_names_issuer_and_end(self) -> None:
        certificate = make_certificate(["a"], [x509.DNSName("a.example.org"), x509.DNSName("b.example.org")])
        self.assertEqual(
            describe_certificate(certificate),
            "a certificate for a.example.org, b.example.org, signed by CN=a, valid until 2031-02-03 04:05 UTC",
        )

    def test_many_names_are_counted(self) -> None:
        names: list[x509.GeneralName] = [x509.DNSName(f"h{number}.example.org") for number in range(40)]
        self.assertIn("h4.example.org and 35 more, signed", describe_certificate(make_certificate(["a"], names)))

    def test_without_names_the_subject_is_told(self) -> None:
        self.assertIn("for no name (subject CN=a),", describe_certificate(make_certificate(["a"], [])))

    @given(st.text(max_size=600))
    @settings(deadline=None, max_examples=100)
    def test_it_is_always_one_short_line(self, text: str) -> None:
        line = clean(text)
        self.assertTrue(line.isprintable())
        self.assertLessEqual(len(line), 400)
